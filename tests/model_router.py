"""A strict router over a TCP socket, for tests: it fails on whatever the protocol forbids a cache to send.

    with Router.connect(("127.0.0.1", 8323), version=2) as router:
        router.sync()
        assert router.payload == {("vrp", "192.0.2.0/24", 24, 64496)}

Nothing waits longer than its deadline. The rules live in `tests.model_pdus` and `tests.model_core`.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Collection, Iterable, Set
from types import TracebackType
from typing import Any, Self

from tests.model_core import UNSUPPORTED_VERSION, Event, RouterCore, Sync, reset_query
from tests.model_pdus import CACHE_RESET, ERROR_REPORT, SERIAL_NOTIFY, Payload, Pdu, RouterComplaint, require

Address = tuple[str, int]
TIMEOUT_S = 30.0  # a load, or a handshake, on a busy machine


class Router:
    """One router and its connection, of which it may have several in a row.

    Args:
        address: of the cache.
        version: what it asks for; a refusal lowers it, as OpenBGPD does (8210bis §7).
        cache_versions: what the cache serves.
        clock: seconds; it times Serial Notifies.
        timeout_s: how long any wait may take.
        receive_bytes: size of the receive buffer, for a router that reads slowly; None for the system's.
        source: the address to connect from; None for the system's choice.
        carry: makes what carries RTR of the connected socket: TLS, SSH; by default the socket itself.
    """

    def __init__(
        self,
        address: Address,
        version: int = 2,
        *,
        cache_versions: Collection[int] = (0, 1, 2),
        clock: Callable[[], float] = time.monotonic,
        timeout_s: float = TIMEOUT_S,
        receive_bytes: int | None = None,
        source: str | None = None,
        carry: Callable[[socket.socket], socket.socket] | None = None,
    ) -> None:
        self.core = RouterCore(version, cache_versions)
        self._address = address
        self._clock = clock
        self._timeout_s = timeout_s
        self._receive_bytes = receive_bytes
        self._source = source
        self._carry = carry
        self._events: list[Event] = []
        self._socket: socket.socket | None = None

    @classmethod
    def connect(cls, address: Address, version: int = 2, **options: Any) -> Self:
        """A router with an open connection; the options are the constructor's."""
        router = cls(address, version, **options)
        router.reconnect()
        return router

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def version(self) -> int:
        return self.core.version

    @property
    def payload(self) -> Set[Payload]:
        """What the router holds: ("vrp", prefix, max length, ASN), ("key", SKI, ASN, SPKI), ("aspa", AS, providers)."""
        return self.core.payload

    @property
    def session_id(self) -> int | None:
        return self.core.session_id

    @property
    def serial(self) -> int:
        return self.core.serial

    @property
    def full_syncs(self) -> int:
        return self.core.full_syncs

    @property
    def incremental_syncs(self) -> int:
        return self.core.incremental_syncs

    @property
    def local_address(self) -> Address:
        """Our end, as the cache's list of clients names it."""
        host, port = self.socket.getsockname()[:2]
        return host, port

    @property
    def socket(self) -> socket.socket:
        assert self._socket is not None, "the router is not connected"
        return self._socket

    # Connections

    def reconnect(self) -> None:
        """Drop the connection, if any, and open another; what the router holds stays."""
        self.close()
        self._socket = socket.socket()
        if self._receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_bytes)
        self._socket.settimeout(self._timeout_s)
        if self._source is not None:
            self._socket.bind((self._source, 0))
        self._socket.connect(self._address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._carry is not None:
            self._socket = self._carry(self._socket)
        self._events.clear()
        self.core.reconnected()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def half_close(self) -> None:
        """Send no more; go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Reset the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    # What a router asks

    def reset(self) -> Sync:
        """Ask for everything."""
        self.send(reset_query(self.version))
        return self.expect_sync()

    def serial_query(self) -> Event:
        """Ask for what has changed since the last End of Data: a `Sync`, a Cache Reset or an Error Report."""
        assert self.session_id is not None, "nothing is held that could have changed"
        self.send(self.core.query())
        return self.expect_answer()

    def sync(self) -> Sync:
        """Get up to date as routers do: by the changes if possible, else by everything, at the version offered."""
        self.send(self.core.query())
        event = self.expect_answer()
        while isinstance(event, Pdu):
            if event.type == CACHE_RESET:
                self.send(reset_query(self.version))
            elif event.code == UNSUPPORTED_VERSION and event.version < self.version:
                self.core.speak(event.version)
                self.send(self.core.query())
            else:
                raise RouterComplaint(f"§8.1: no sync, but {event}")
            event = self.expect_answer()
        return event

    # What a router expects

    def expect_answer(self) -> Event:
        """The next event that is no Serial Notify."""
        return self._expect("an answer", lambda event: not _is(event, SERIAL_NOTIFY), skip=True)

    def expect_sync(self) -> Sync:
        event = self.expect_answer()
        require(isinstance(event, Sync), f"§8.1: no sync, but {event}")
        assert isinstance(event, Sync)
        return event

    def expect_notify(self) -> Pdu:
        return self._expect_pdu(SERIAL_NOTIFY)

    def expect_cache_reset(self) -> Pdu:
        return self._expect_pdu(CACHE_RESET)

    def expect_error(self, code: int | None = None) -> Pdu:
        """The next event is an Error Report, with this code if one is named."""
        report = self._expect_pdu(ERROR_REPORT)
        require(code in (None, report.code), f"§12: error code {report.code}, not {code}: {report.text}")
        return report

    def expect_closed(self, *, may_reset: bool = False) -> None:
        """The cache closes the connection, without another event, and where it may not reset it, in an orderly way."""
        require(not self._events, f"§12: {self._events} instead of a close")
        try:
            while self._receive("the connection to close"):
                require(not self._events, f"§12: {self._events} instead of a close")
        except ConnectionResetError:
            require(may_reset, "§12: the connection was reset, so that an Error Report could have been lost")
        else:
            self.core.closed()
        self.close()

    # Octets

    def send(self, data: bytes, pieces: Iterable[int] = ()) -> None:
        """Send octets, in pieces of these sizes as far as they go and the rest at once."""
        self.core.send(data)
        for size in pieces:
            self.socket.sendall(data[:size])
            data = data[size:]
        self.socket.sendall(data)

    def _expect_pdu(self, kind: int) -> Pdu:
        event = self._expect(f"PDU type {kind}", lambda event: _is(event, kind), skip=False)
        assert isinstance(event, Pdu)
        return event

    def _expect(self, what: str, is_wanted: Callable[[Event], bool], *, skip: bool) -> Event:
        deadline = time.monotonic() + self._timeout_s
        while True:
            while self._events:
                event = self._events.pop(0)
                if is_wanted(event):
                    return event
                require(skip, f"§8: {event} where {what} was expected")
            require(self._receive(what, deadline), f"§12: closed where {what} was expected")

    def _receive(self, what: str, deadline: float | None = None) -> bool:
        """Read once; False at the end of the stream."""
        left = self._timeout_s if deadline is None else deadline - time.monotonic()
        require(left > 0, f"§8: {what} took more than {self._timeout_s} s")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            raise RouterComplaint(f"§8: {what} took more than {self._timeout_s} s") from None
        self._events += self.core.feed(data, self._clock())
        return bool(data)


def _is(event: Event, kind: int) -> bool:
    return isinstance(event, Pdu) and event.type == kind
