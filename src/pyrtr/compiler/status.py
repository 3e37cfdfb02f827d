"""What an operator is told about where the payload comes from. Times are Unix seconds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pyrtr.compiler.guard import Losses
from pyrtr.compiler.job import Task
from pyrtr.payload.delta import Delta
from pyrtr.sources.base import SourceReport


@dataclass(frozen=True, slots=True)
class Held:
    """A load that waits for an operator's word.

    Attributes:
        since: when it was first held back.
        reasons: why, with the figures.
        losses: what it takes away.
    """

    since: float
    reasons: tuple[str, ...]
    losses: Losses


@dataclass(slots=True)
class SourceStatus:
    """The source as a whole, whether it is one location or several.

    Attributes:
        location: where it is.
        last_attempt, last_success: when it was last looked at, and when that last came to something.
        failure_count, success_count: of all looks.
        error: why the last look came to nothing; None if it did not.
        expiry_error: why what has expired, or is stale, could not be taken away; None if it could.
        storage_error: why the last new generation could not be stored; None if it could.
        state_error: why the state folder is not used at all, and a restart will lose the routers' place.
        divergence: how the pyRTR that is followed, or the fleet, contradicts itself, and no router is served; None if
            it does not.
        held: the load that waits for an operator's word; None if none does.
        found: what the last good look found in the source.
        counts, vrps_by_anchor: what was made of it: unique payload by kind, and VRPs by trust anchor.
        oversized_aspas: ASPAs left out of that as too large for a PDU.
        seconds: how long each part of that took, and all of it; empty before the first look of this run.
        unproved_count: deltas that failed their proof.
        generation_counts: generations published, by cause.
        change_counts: payload that came and went by them, by action and kind; not that of a first table.
    """

    location: str
    last_attempt: float | None = None
    last_success: float | None = None
    failure_count: int = 0
    success_count: int = 0
    error: str | None = None
    expiry_error: str | None = None
    storage_error: str | None = None
    state_error: str | None = None
    divergence: str | None = None
    held: Held | None = None
    found: SourceReport | None = None
    counts: dict[str, int] = field(default_factory=dict)
    vrps_by_anchor: dict[str, int] = field(default_factory=dict)
    oversized_aspas: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    unproved_count: int = 0
    generation_counts: dict[Task, int] = field(default_factory=lambda: dict.fromkeys(Task, 0))
    change_counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def succeeded(self, now: float) -> None:
        """A look came to something, be it that nothing is new."""
        self.error = None
        self.last_success = now
        self.success_count += 1

    def failed(self, reason: str) -> None:
        """A look came to nothing."""
        self.error = reason
        self.failure_count += 1

    def changed(self, delta: Delta) -> None:
        """A generation was published that differs so from the one before."""
        for kind, changes in (("ipv4", delta.ipv4), ("ipv6", delta.ipv6), ("router_keys", delta.router_keys)):
            self.change_counts["announce", kind] += len(changes.announce)
            self.change_counts["withdraw", kind] += len(changes.withdraw)
        for aspa in delta.aspas:
            action = "announce" if not aspa.old_provider_asns else "replace" if aspa.new_provider_asns else "withdraw"
            self.change_counts[action, "aspas"] += 1
