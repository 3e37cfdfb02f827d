"""Which connections are logged: so many from one address in a minute, and no more."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from pyrtr.server.peers import Address, Owner, owner_of

# A router that can't agree with us comes every few seconds; all of a site, behind one address, come at once after a
# restart. Who connects a thousand times a second fills no disk.
LOGGED_PER_WINDOW = 60
WINDOW_S = 60.0


class Arrivals:
    """Counts who comes.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = float("-inf")
        self._counts: Counter[Owner] = Counter()
        self._unlogged = 0

    def unlogged_before(self, address: Address) -> int | None:
        """How many connections were not logged before one from this address; None if that is not, either."""
        now = self._clock()
        if now - self._began >= WINDOW_S:
            self._began = now
            self._counts.clear()
        owner = owner_of(address)
        self._counts[owner] += 1
        if self._counts[owner] > LOGGED_PER_WINDOW:
            self._unlogged += 1
            return None
        unlogged, self._unlogged = self._unlogged, 0
        return unlogged
