"""What takes time before a router is in (handshakes, passwords): so many at once, and not all for one address."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pyrtr.server.peers import Address


@dataclass(slots=True)
class _Lane:
    """Those of one address."""

    places: asyncio.Semaphore
    count: int = 0


class Turns:
    """A line for each address, and one that the first of these lines stand in: who waits is served in turn.

    Args:
        total: how many may have their turn at once.
        per_address: how many of one address; the others of that address wait for these, and for nobody else.
    """

    def __init__(self, total: int, per_address: int) -> None:
        self._places = asyncio.Semaphore(total)
        self._per_address = per_address
        self._lanes: dict[Address, _Lane] = {}

    @contextlib.asynccontextmanager
    async def turn(self, address: Address) -> AsyncIterator[None]:
        """Wait for a turn; it lasts as long as the context."""
        lane = self._lanes.setdefault(address, _Lane(asyncio.Semaphore(self._per_address)))
        lane.count += 1
        try:
            async with lane.places, self._places:
                yield
        finally:
            lane.count -= 1
            if not lane.count:
                del self._lanes[address]
