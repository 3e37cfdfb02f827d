"""Which of several locations is used when the first good one counts: back to an earlier one, but not back and forth."""

from __future__ import annotations

from dataclasses import dataclass

# A location that was left is used again after so many good looks in a row. Each time that it is left again before it
# has proved itself, twice as many, so that one that comes and goes does not take the routers along.
RETURN_LOOKS = 3
MAX_RETURN_LOOKS = 48
PROVEN_LOOKS = 96  # a day of the usual looks


@dataclass(slots=True)
class Standing:
    """How a location has done lately.

    Attributes:
        good_looks: good looks in a row.
        falls: how often it was left since it last proved itself.
    """

    good_looks: int = 0
    falls: int = 0

    def succeeded(self) -> None:
        """A look was good."""
        self.good_looks += 1
        if self.good_looks >= PROVEN_LOOKS:
            self.falls = 0

    def failed(self) -> None:
        """A look was not."""
        self.good_looks = 0

    def left(self) -> None:
        """It was in use, and is not any more."""
        self.falls += 1

    @property
    def missing_looks(self) -> int:
        """How many more good looks it takes until it may be used again in the place of another."""
        needed = min(RETURN_LOOKS << max(self.falls - 1, 0), MAX_RETURN_LOOKS)
        return max(0, needed - self.good_looks)
