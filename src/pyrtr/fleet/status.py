"""What an operator is told of the fleet."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class FleetStatus:
    """What an operator is told of the fleet.

    Attributes:
        name: of the fleet.
        member: our own name in it.
        error: why it can't be heard; None if it can.
        on_duty: who looks at the sources; None if nobody does.
        members: who is there.
        sequence: place of what we publish on the stream; None while it is not known.
        made_count, taken_count, whole_count: generations that we made, and that we took over; of the latter those that
            had to be taken whole.
        superseded_count: generations of ours that came too late.
    """

    name: str
    member: str
    error: str | None = None
    on_duty: str | None = None
    members: list[str] = field(default_factory=list)
    sequence: int | None = None
    made_count: int = 0
    taken_count: int = 0
    whole_count: int = 0
    superseded_count: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Generations by what became of them here."""
        return {
            "made": self.made_count,
            "taken": self.taken_count,
            "whole": self.whole_count,
            "superseded": self.superseded_count,
        }
