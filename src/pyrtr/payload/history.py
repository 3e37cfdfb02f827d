"""The steps between the serials that a router may ask for, and how long they are kept."""

from __future__ import annotations

from dataclasses import dataclass

from pyrtr.payload.delta import Delta

# Up to so many changes a delta is sent even where the table is smaller: about 2 MiB of PDUs.
SMALL_DELTA = 65536


@dataclass(frozen=True, slots=True)
class Step:
    """One update: what leads from the table of `from_serial` to that of the serial after it.

    Attributes:
        from_serial: 0..2^32-1.
        delta: the change.
        content: digest of the table that it leads from, by which two caches tell that they hold the same.
    """

    from_serial: int
    delta: Delta
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class History:
    """Retained steps, oldest first, without a gap, up to the current serial.

    A serial is found by exact match, never by order (RFC 1982 leaves order undefined 2^31 apart).
    """

    steps: tuple[Step, ...] = ()

    def followed_by(self, step: Step, *, max_steps: int, table_size: int) -> History:
        """The history with one more step, without the steps that are no longer worth keeping.

        Kept are at most `max_steps`, and only while the sum of their changes is no larger than the table they lead to:
        a delta larger than the table is better answered by Cache Reset.

        Args:
            step: the newest step.
            max_steps: how many serials back a router may ask for.
            table_size: payload in the current table.
        """
        budget = max(table_size, SMALL_DELTA)
        kept: list[Step] = []
        for candidate in reversed((*self.steps, step)):
            budget -= len(candidate.delta)
            if budget < 0 or len(kept) == max_steps:
                break
            kept.append(candidate)
        return History(tuple(reversed(kept)))

    @property
    def serials(self) -> tuple[int, ...]:
        """The serials that deltas can be made from, oldest first; the current one is not among them."""
        return tuple(step.from_serial for step in self.steps)

    def since(self, serial: int) -> tuple[Delta, ...] | None:
        """The deltas from `serial` to the current one, or None where it is not retained."""
        for index in range(len(self.steps) - 1, -1, -1):  # most routers ask for a recent one
            if self.steps[index].from_serial == serial:
                return tuple(step.delta for step in self.steps[index:])
        return None
