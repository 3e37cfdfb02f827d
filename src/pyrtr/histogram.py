"""How often a duration fell below each of some bounds: counted where it is measured, read by the metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Histogram:
    """Counts of durations.

    Args:
        bounds: seconds, ascending; a duration counts for the first bound that it does not exceed.

    Attributes:
        sum: of all durations, in seconds.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.sum = 0.0
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """For each bound, as Prometheus writes it, how many durations did not exceed it; the last is "+Inf"."""
        names = (*map(str, self._bounds), "+Inf")
        return list(zip(names, accumulate(self._counts), strict=True))
