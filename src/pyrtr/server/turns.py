"""What takes time before a router is in (handshakes, passwords): so many at once, and not all for one address."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pyrtr.server.peers import Address, Owner, owner_of


@dataclass(slots=True)
class _Lane:
    """Those of one address, or one /64 of IPv6."""

    places: asyncio.Semaphore
    count: int = 0


class Turns:
    """A line for each address, and one that the first of these lines stand in: who waits is served in turn.

    Args:
        total: how many may have their turn at once.
        per_address: how many of one address, or one /64 of IPv6; others of it wait for these, and for nobody else.
    """

    def __init__(self, total: int, per_address: int) -> None:
        self._places = asyncio.Semaphore(total)
        self._per_address = per_address
        self._lanes: dict[Owner, _Lane] = {}

    @contextlib.asynccontextmanager
    async def turn(self, address: Address) -> AsyncIterator[None]:
        """Wait for a turn; it lasts as long as the context."""
        owner = owner_of(address)
        lane = self._lanes.setdefault(owner, _Lane(asyncio.Semaphore(self._per_address)))
        lane.count += 1
        try:
            async with lane.places, self._places:
                yield
        finally:
            lane.count -= 1
            if not lane.count:
                del self._lanes[owner]
