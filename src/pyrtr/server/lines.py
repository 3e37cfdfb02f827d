"""Log lines at a bounded rate: whoever knocks a thousand times a second fills no disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

WINDOW_S = 60.0

Key = TypeVar("Key", bound=Hashable)


class Lines(Generic[Key]):
    """Says what may be logged: so much of each key in a window, and no more.

    Args:
        most: lines for each key.
        clock: seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._began = float("-inf")
        self._counts: Counter[Key] = Counter()
        self._unlogged = 0

    def unlogged_before(self, key: Key) -> int | None:
        """How much of any key was not logged before this; None if this is not, either."""
        now = self._clock()
        if now - self._began >= WINDOW_S:
            self._began = now
            self._counts.clear()
        self._counts[key] += 1
        if self._counts[key] > self._most:
            self._unlogged += 1
            return None
        unlogged, self._unlogged = self._unlogged, 0
        return unlogged
