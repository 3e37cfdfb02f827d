"""DATASOURCE=PYRTR: another pyRTR is followed over HTTP, with its sessions, serials and history.

The location is its HTTP server, such as `http://other:8080`. Requests, and all work that grows with the table, are done
by a follow process (see `follow.worker`), which lives as long as we do. What it brings is no payload to be compiled,
but whole generations: `compiler.follower` commits and publishes them as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyrtr import processes
from pyrtr.errors import SourceError
from pyrtr.sources.fetch.request import Limits, SourceTls
from pyrtr.sources.follow.messages import Followed, Order, Position
from pyrtr.sources.location import Location

SCHEMES = ("http", "https")

# Looks that bring nothing new take so long, and tell that the other is there. It waits no longer itself.
WAIT_S = 25.0


@dataclass(slots=True)
class FollowStats:
    """What an operator is told of a pyRTR that is followed.

    Attributes:
        whole_copies: how often all had to be copied.
        updates: how often the steps since the last time were enough.
        received_bytes: octets of the last of them.
        seconds: how long that took, once it was told, until it was published.
        healthy: whether the other says that what it serves may be trusted; None before it was heard.
    """

    whole_copies: int = 0
    updates: int = 0
    received_bytes: int | None = None
    seconds: float | None = None
    healthy: bool | None = None


class PyrtrSource:
    """The other pyRTR.

    Args:
        location: its HTTP server.
        tls: how TLS is spoken with it.
        limits: what a request may take.

    Attributes:
        stats: what an operator is told.
    """

    def __init__(self, location: Location, tls: SourceTls, limits: Limits | None = None) -> None:
        self.location = location
        self.stats = FollowStats()
        self._tls = tls
        self._limits = limits or Limits()
        self._companion = processes.Companion("pyrtr.sources.follow.worker", "follow", processes.Answer[Followed])

    async def look(self, known: Position | None, table: Path, steps: Path) -> Followed:
        """Wait for something new, for `WAIT_S` at most, and copy it.

        Args:
            known: where we stand; None to begin.
            table: path to write the table to.
            steps: path to write the steps to.

        Raises:
            SourceError: nothing can be had.
            StoreError: what was had can't be written.
        """
        order = Order(
            url=self.location.text,
            tls=self._tls,
            limits=self._limits,
            known=known,
            wait_s=WAIT_S,
            table=str(table),
            steps=str(steps),
        )
        try:
            return await self._companion.ask(order, timeout_s=self._limits.whole_s + WAIT_S)
        except SourceError as error:
            raise SourceError(f"{self.location}: {error}") from error

    async def stop(self) -> None:
        """End the follow process."""
        await self._companion.stop()

    def details(self) -> Mapping[str, int | float | str | None]:
        """What an operator is told."""
        return dataclasses.asdict(self.stats)
