"""Routers as cheap as Python can make them, for processes of their own: plain sockets, one big buffer, no parsing.

Where a response ends is known beforehand, by its size: `take_apart` has read it once, PDU by PDU.
"""

from __future__ import annotations

import http.client
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.programs import Address, BenchError
from bench.worker import TIMEOUT_S
from pyrtr.wire.codec import encode
from pyrtr.wire.enums import PduType, Version
from pyrtr.wire.pdu import Pdu, ResetQuery, SerialQuery

BUFFER_BYTES = 2**20
VERSION = Version.V1  # the highest that all peers speak alike

_HEADER = struct.Struct("!BBHI")
NOTIFY_BYTES = 12
EMPTY_RESPONSE_BYTES = 8 + 24
RETRY_S = 0.005


@dataclass(frozen=True, slots=True)
class Response:
    """What a full response was: its size in octets, its payload PDUs, and the state that it leads to."""

    size: int
    payload_count: int
    session_id: int
    serial: int


def take_apart(address: Address, body: Path | None = None) -> Response:
    """Ask for the whole table and read it PDU by PDU; keeps its octets in `body`."""
    data = bytearray()
    count = 0
    with _connect(address) as router:
        router.sendall(_query(ResetQuery()))
        for kind, session_id, pdu in _pdus(router):
            data += pdu
            count += 1
            if kind == PduType.ERROR_REPORT:
                raise ConnectionError(f"{address} answered with an Error Report")
            if kind == PduType.END_OF_DATA:
                if body is not None:
                    body.write_bytes(data)
                return Response(len(data), count - 2, session_id, int.from_bytes(pdu[8:12]))
    raise ConnectionError(f"{address} closed after {len(data)} octets")


def _pdus(router: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """Type, session id and octets of each PDU until the other side closes."""
    data = b""
    while chunk := router.recv(BUFFER_BYTES):
        data += chunk
        offset = 0
        while len(data) - offset >= _HEADER.size:
            _, kind, session_id, length = _HEADER.unpack_from(data, offset)
            if len(data) - offset < length:
                break
            yield kind, session_id, data[offset : offset + length]
            offset += length
        data = data[offset:]


def first_answer(address: Address, held: Response, until: float) -> tuple[float, int, int, int]:
    """Ask for what came after `held`, again and again until somebody answers with data.

    Returns:
        When the End of Data was read (monotonic), the octets of the answer, and its session id and serial.
    """
    while time.monotonic() < until:
        try:
            with _connect(address) as router:
                router.sendall(_query(SerialQuery(held.session_id, held.serial)))
                size = 0
                for kind, session_id, pdu in _pdus(router):
                    size += len(pdu)
                    if kind == PduType.CACHE_RESET:
                        raise BenchError(f"{address} answered with Cache Reset: it has lost the session")
                    if kind == PduType.ERROR_REPORT:  # no data yet
                        break
                    if kind == PduType.END_OF_DATA:
                        return time.monotonic(), size, session_id, int.from_bytes(pdu[8:12])
        except ConnectionError:
            pass
        time.sleep(RETRY_S)
    raise BenchError(f"{address} did not answer in time")


def try_table(address: Address) -> tuple[Response, float] | None:
    """The whole table and how long it took; None if there is none yet."""
    start = time.monotonic()
    try:
        response = take_apart(address)
    except ConnectionError:
        return None
    return (response, time.monotonic() - start) if response.payload_count else None


def read_table(address: Address, size: int) -> float:
    """One router: seconds from its Reset Query to the last octet of the answer."""
    buffer = bytearray(BUFFER_BYTES)
    with _connect(address) as router:
        start = time.perf_counter()
        router.sendall(_query(ResetQuery()))
        _receive(router, size, buffer)
        return time.perf_counter() - start


def read_tables(address: Address, size: int, count: int) -> float:
    """Many routers at once: seconds from the first Reset Query to the last octet of the last answer."""
    buffer = bytearray(BUFFER_BYTES)
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        routers = [stack.enter_context(_connect(address)) for _ in range(count)]
        start = time.perf_counter()
        missing = dict.fromkeys(routers, size)
        for router in routers:
            router.sendall(_query(ResetQuery()))
            router.setblocking(False)
            selector.register(router, selectors.EVENT_READ)
        while missing:
            for router in _ready(selector):
                missing[router] -= _receive_some(router, buffer)
                if missing[router] <= 0:
                    del missing[router]
                    selector.unregister(router)
        return time.perf_counter() - start


class Idlers:
    """Routers that are connected and up to date; one set a process."""

    routers: list[socket.socket] = []  # noqa: RUF012 - it is this process's own

    @classmethod
    def connect(cls, address: Address, count: int, response: Response) -> None:
        """Connect them, each with a Serial Query that has nothing for an answer."""
        query = _query(SerialQuery(response.session_id, response.serial))
        buffer = bytearray(EMPTY_RESPONSE_BYTES)
        for _ in range(count):
            router = _connect(address)
            router.sendall(query)
            cls.routers.append(router)
        for router in cls.routers:
            _receive(router, EMPTY_RESPONSE_BYTES, buffer)

    @classmethod
    def ask_and_stall(cls, address: Address, count: int) -> None:
        """Connect routers that ask for the whole table and never read."""
        for _ in range(count):
            router = _connect(address)
            router.sendall(_query(ResetQuery()))
            cls.routers.append(router)

    @classmethod
    def follow(cls, response: Response, delta_size: int) -> float:
        """Wait for a Serial Notify on all of them, ask at once, and read the answers.

        Returns:
            Seconds from the first Serial Notify to the last octet of the last answer.
        """
        query = _query(SerialQuery(response.session_id, response.serial))
        buffer = bytearray(BUFFER_BYTES)
        started = 0.0
        with selectors.DefaultSelector() as selector:
            missing = dict.fromkeys(cls.routers, NOTIFY_BYTES + delta_size)
            for router in cls.routers:
                router.setblocking(False)
                selector.register(router, selectors.EVENT_READ)
            while missing:
                for router in _ready(selector):
                    started = started or time.perf_counter()
                    is_notified = missing[router] <= delta_size
                    missing[router] -= _receive_some(router, buffer)
                    if not is_notified and missing[router] <= delta_size:
                        router.sendall(query)
                    if missing[router] <= 0:
                        del missing[router]
                        selector.unregister(router)
            return time.perf_counter() - started

    @classmethod
    def close(cls) -> None:
        """Disconnect them."""
        while cls.routers:
            cls.routers.pop().close()


class Siege:
    """Peers that mean harm, from addresses of their own; one set a process."""

    silent: list[socket.socket] = []  # noqa: RUF012 - it is this process's own
    slow: list[socket.socket] = []  # noqa: RUF012

    @classmethod
    def begin(cls, address: Address, silent_count: int, slow_count: int) -> None:
        """Connect those that say nothing, and those that ask for the whole table."""
        cls.silent += [_connect_from(place, address) for place in range(silent_count)]
        for place in range(slow_count):
            router = _connect_from(place, address)
            router.sendall(_query(ResetQuery()))
            cls.slow.append(router)

    @classmethod
    def read_slowly(cls, seconds: float, pause_s: float) -> None:
        """Take an octet of each answer, again and again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for router in cls.slow:
                router.recv(1)
            time.sleep(pause_s)

    @classmethod
    def close(cls) -> None:
        """Disconnect them all."""
        for router in (*cls.silent, *cls.slow):
            router.close()


def rtr_round_trips(address: Address, seconds: float, pause_s: float) -> list[float]:
    """Seconds that each of many small questions took.

    A Serial Query of a state that never was is answered by Cache Reset, whatever is published.
    """
    query = _query(SerialQuery(0, 0))
    buffer = bytearray(16)
    with _connect(address) as router:

        def ask() -> None:
            router.sendall(query)
            _receive(router, 8, buffer)

        return _trickle(ask, seconds, pause_s)


def http_round_trips(port: int, seconds: float, pause_s: float) -> list[float]:
    """The same for GET /readyz on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)

    def ask() -> None:
        connection.request("GET", "/readyz")
        connection.getresponse().read()

    return _trickle(ask, seconds, pause_s)


def _trickle(ask: Callable[[], None], seconds: float, pause_s: float) -> list[float]:
    laps = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        ask()
        laps.append(time.perf_counter() - start)
        time.sleep(pause_s)
    return laps


def _query(query: Pdu) -> bytes:
    return encode(VERSION, query)


def _connect(address: Address) -> socket.socket:
    return socket.create_connection(address, TIMEOUT_S)


def _connect_from(place: int, address: Address) -> socket.socket:
    """Connect with a small buffer from one of the addresses 127.0.1.x, which 500 share each."""
    router = socket.socket()
    router.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    router.settimeout(TIMEOUT_S)
    router.bind((f"127.0.1.{1 + place // 500}", 0))
    router.connect(address)
    return router


def _receive(router: socket.socket, size: int, buffer: bytearray) -> None:
    view = memoryview(buffer)
    while size > 0:
        size -= _receive_some(router, view[: min(size, len(view))])


def _receive_some(router: socket.socket, buffer: bytearray | memoryview) -> int:
    got = router.recv_into(buffer)
    if not got:
        raise ConnectionError("closed in the middle of an answer")
    return got


def _ready(selector: selectors.BaseSelector) -> list[socket.socket]:
    ready = [key.fileobj for key, _ in selector.select(TIMEOUT_S)]
    if not ready:
        raise TimeoutError(f"nothing came for {TIMEOUT_S:.0f} s")
    return [router for router in ready if isinstance(router, socket.socket)]
