"""Who is connected, and the sums over all who ever were."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum

from pyrtr.histogram import Histogram
from pyrtr.logs import get_logger
from pyrtr.server.advice import Advice
from pyrtr.server.connection import Connection, Transport
from pyrtr.server.limits import Limits
from pyrtr.server.lines import Lines
from pyrtr.server.peers import Owner, Peer
from pyrtr.server.publisher import Publisher
from pyrtr.server.refusals import Refusals
from pyrtr.session.actions import Parting
from pyrtr.session.cache import CacheSession
from pyrtr.wire.enums import ErrorCode, Version

# Slices are large enough that handing them over costs little beside the copying, and small enough that all routers
# together don't hold up the event loop for long: copying 16 MiB takes some 5 ms.
MAX_SLICE_BYTES = 2**20
MIN_SLICE_BYTES = 2**17
TURN_BYTES = 2**24
NOTIFIES_PER_TURN = 256
# A router that can't agree with us comes every few seconds; all of a site, behind one address, come at once after a
# restart.
ARRIVALS_PER_WINDOW = 60
_CLOSED = "no router is served for now"
# From a delta on a local network to a whole table over a slow line.
SYNC_BOUNDS_S = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0)

# A router may send any of 65536 error codes: those that nobody assigned are counted as one.
OTHER_CODE = "other"
_CODES = frozenset(map(int, ErrorCode))


class Happening(StrEnum):
    """What those who listen are told of a router."""

    CONNECTED = "connected"
    SYNCED = "synced"
    LEFT = "left"


class Registry:
    """The connected routers.

    Attributes:
        publisher: what they are served.
        connections: who is connected.
        sending: those of them that an image is being sent to.
        totals: counters of connections that have ended, as `tally` has them.
        accepted_count: connections since the start.
        syncs: how long responses took, by kind, `full` or `delta`.
        partings: why connections have ended.
        limits: who may connect.
        refusals: who was turned away.
        arrivals: which connections are logged, so many of one owner of addresses.
    """

    def __init__(self, publisher: Publisher, lowest: Version, highest: Version, limits: Limits | None = None) -> None:
        self.publisher = publisher
        self.connections: set[Connection] = set()
        self.sending: set[Connection] = set()
        self.totals: Counter[tuple[str, str]] = Counter()
        self.accepted_count = 0
        self.syncs = {kind: Histogram(SYNC_BOUNDS_S) for kind in ("full", "delta")}
        self.partings: Counter[Parting] = Counter()
        self.limits = limits or Limits()
        self.refusals = Refusals()
        self.arrivals: Lines[Owner] = Lines(ARRIVALS_PER_WINDOW)
        self._is_open = True
        self._advice = Advice()
        self._listeners: list[Callable[[Happening, Connection], None]] = []
        self._lowest = lowest
        self._highest = highest
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        publisher.subscribe(self._published)

    def connect(self, transport: Transport, peer: Peer, left: Callable[[], None] = lambda: None) -> Connection:
        """A connection for a router that may come in; `left` is called when it is over."""
        highest = self.limits.highest_version(peer.address, self._highest)
        if highest < self._highest:
            get_logger().debug("version capped", router=peer.name, highest=highest.name)
        return Connection(self, CacheSession(self._lowest, highest), transport, peer, left)

    def subscribe(self, listener: Callable[[Happening, Connection], None]) -> None:
        """Call `listener` whenever a router comes, has been sent a whole response, or goes; it has to be quick."""
        self._listeners.append(listener)

    def add(self, connection: Connection) -> None:
        """The router is connected."""
        self.accepted_count += 1
        self.connections.add(connection)
        self._is_empty.clear()
        self._tell(Happening.CONNECTED, connection)
        if not self._is_open:  # its handshake was under way
            asyncio.get_running_loop().call_soon(connection.leave, None, _CLOSED)

    def remove(self, connection: Connection) -> None:
        """The router is gone."""
        if connection in self.connections:
            self.connections.remove(connection)
            self.totals.update(tally(connection))
            if connection.parting is not None:
                self.partings[connection.parting] += 1
            self._advice.ended(connection, connection.peer.address, time.time() - connection.connected_at)
            self._tell(Happening.LEFT, connection)
        if not self.connections:
            self._is_empty.set()

    def synced(self, connection: Connection) -> None:
        """The router has been sent a whole response."""
        self._tell(Happening.SYNCED, connection)

    def slice_bytes(self, connection: Connection) -> int:
        """How much of an image a router may be handed at once.

        One that asks for the whole table again on one connection gets the least while others are sent to, too.
        """
        if connection.session.full_responses > 1 and len(self.sending) > 1:
            return MIN_SLICE_BYTES
        return max(MIN_SLICE_BYTES, min(MAX_SLICE_BYTES, TURN_BYTES // max(1, len(self.sending))))

    def gate(self, is_open: bool) -> None:
        """Serve routers, or part from all without a word, after what is under way, and from all that still come in."""
        self._is_open = is_open
        if not is_open:
            for connection in list(self.connections):
                connection.leave(None, _CLOSED)

    async def leave(self, farewell: ErrorCode | None, *, timeout_s: float) -> None:
        """Part from all routers: what is under way may finish within `timeout_s`, the rest is cut off then."""
        self._is_open = False
        for connection in list(self.connections):
            connection.leave(farewell, "the cache is stopping")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_empty.wait(), timeout_s)
        for connection in list(self.connections):
            connection.abort("the program has stopped")

    def __iter__(self) -> Iterator[Connection]:
        return iter(sorted(self.connections, key=lambda connection: connection.connected_at))

    def _tell(self, happening: Happening, connection: Connection) -> None:
        for listener in self._listeners:
            listener(happening, connection)

    def _published(self) -> None:
        self._notify(list(self.connections))

    def _notify(self, connections: list[Connection]) -> None:
        """Tell some of them, and the rest in later turns of the event loop: there may be ten thousand."""
        for connection in connections[:NOTIFIES_PER_TURN]:
            if connection in self.connections:
                connection.notify()
        if rest := connections[NOTIFIES_PER_TURN:]:
            asyncio.get_running_loop().call_soon(self._notify, rest)


def tally(connection: Connection) -> Counter[tuple[str, str]]:
    """One connection's counters by (what, kind)."""
    session = connection.session
    counts = Counter(
        {
            ("queries", "reset"): session.reset_queries,
            ("queries", "serial"): session.serial_queries,
            ("sent", "full"): session.full_responses,
            ("sent", "delta"): session.delta_responses,
            ("sent", "cache_reset"): session.cache_resets,
            ("sent", "notify"): session.notifies,
            ("bytes", "received"): connection.bytes_received,
            ("bytes", "sent"): connection.bytes_sent,
            **{("error_sent", str(int(code))): count for code, count in session.errors_sent.items()},
        }
    )
    for code, count in session.errors_received.items():
        counts["error_received", str(code) if code in _CODES else OTHER_CODE] += count
    return counts
