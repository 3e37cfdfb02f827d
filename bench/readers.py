"""Routers as cheap as Python can make them, for processes of their own: plain sockets, big buffers, no parsing.

The same for all programs. A full response is received first and looked at afterwards: that it is complete, and that its
VRPs are those of the source. Where many routers read at once, one of them is looked at so, the others by their size.
"""

from __future__ import annotations

import http.client
import json
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import oracle
from bench.programs import HOST, Address, BenchError
from bench.worker import TIMEOUT_S
from pyrtr.wire.codec import encode
from pyrtr.wire.enums import PduType, Version
from pyrtr.wire.pdu import ResetQuery, SerialQuery

BUFFER_BYTES = 2**20
RECEIVE_BYTES = 96 * 2**20  # of a whole table of 3 million VRPs
VERSION = Version.V1  # the highest that all peers speak alike

_HEADER = struct.Struct("!BBHI")
_END = struct.Struct("!BBHII")
_END_BYTES = {Version.V0: 12, Version.V1: 24, Version.V2: 24}
_CACHE_RESPONSE_BYTES = 8
NOTIFY_BYTES = 12
EMPTY_RESPONSE_BYTES = _CACHE_RESPONSE_BYTES + _END_BYTES[VERSION]
RETRY_S = 0.005

Receive = Callable[[memoryview], int]


@dataclass(frozen=True, slots=True)
class Response:
    """A full response.

    Attributes:
        first_s, end_s: from the query to its first octet, and to its last.
        size: in octets.
        payload_count: its PDUs but Cache Response and End of Data.
        session_id, serial: the state that it leads to.
    """

    first_s: float
    end_s: float
    size: int
    payload_count: int
    session_id: int
    serial: int


class _Buffer:
    """This process's own, every page of it touched, so that none is fetched while time is taken."""

    octets: bytearray | None = None

    @classmethod
    def get(cls) -> memoryview:
        if cls.octets is None:
            cls.octets = bytearray(b"\xff") * RECEIVE_BYTES
        return memoryview(cls.octets)


def read_table(
    address: Address, digest: oracle.Digest, body: Path | None = None, version: Version = VERSION
) -> Response:
    """Ask for the whole table, read it, and look whether it is that of the digest; keeps its octets in `body`."""
    with _connect(address) as router:
        query = encode(version, ResetQuery())
        return receive_table(router.recv_into, lambda: router.sendall(query), digest, body, version)


def receive_table(
    receive: Receive,
    ask: Callable[[], object],
    digest: oracle.Digest,
    body: Path | None = None,
    version: Version = VERSION,
) -> Response:
    """The same by whatever leads to the cache.

    Raises:
        BenchError: it is not the table that it should be.
    """
    view = _Buffer.get()
    start = time.perf_counter()
    ask()
    size = receive(view)
    first = time.perf_counter()
    while not _is_end(view[:size], version):
        got = receive(view[size:])
        if not got:
            raise ConnectionError(f"closed after {size} octets")
        size += got
    end = time.perf_counter()
    if body is not None:
        body.write_bytes(view[:size])
    try:
        held, payload_count = oracle.of_response(view[:size])
    except (ValueError, struct.error) as error:
        raise BenchError(f"the response is not a table: {error}") from error
    if held != digest:
        raise BenchError(f"the response holds {held}, the source {digest}")
    _, _, session_id, _, serial = _END.unpack_from(view, size - _END_BYTES[version])
    return Response(first - start, end - start, size, payload_count, session_id, serial)


def _is_end(view: memoryview, version: Version) -> bool:
    """Whether an End of Data of the session that the Cache Response named stands at the end."""
    length = _END_BYTES[version]
    if len(view) < _CACHE_RESPONSE_BYTES + length:
        return False
    head = _HEADER.pack(version, PduType.END_OF_DATA, int.from_bytes(view[2:4]), length)
    return view[-length : len(head) - length] == head


def wait_for_table(address: Address, until: float) -> float:
    """Ask again and again until there is a first octet of payload; returns when that was read (monotonic)."""
    while time.monotonic() < until:
        try:
            with _connect(address) as router:
                router.sendall(encode(VERSION, ResetQuery()))
                for kind, _, _ in _pdus(router):
                    if kind in (PduType.IPV4_PREFIX, PduType.IPV6_PREFIX):
                        return time.monotonic()
                    if kind in (PduType.ERROR_REPORT, PduType.END_OF_DATA):  # no data yet
                        break
        except ConnectionError:
            pass
        time.sleep(RETRY_S)
    raise BenchError(f"{address} had no data in time")


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
                router.sendall(encode(VERSION, SerialQuery(held.session_id, held.serial)))
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


@dataclass(frozen=True, slots=True)
class Crowd:
    """Many routers that asked at once.

    Attributes:
        first_s: from the first query until the last of them had its first octet; 0 if one has none.
        end_s: until the last had its End of Data, or until the time was up.
        octet_count: what all have read.
        done_count: how many have all.
    """

    first_s: float
    end_s: float
    octet_count: int
    done_count: int


def read_tables(address: Address, size: int, count: int, digest: oracle.Digest, limit_s: float) -> Crowd:
    """Have many routers ask for the whole table at once; one of them is looked at as `read_table` does."""
    buffer, whole = memoryview(bytearray(BUFFER_BYTES)), _Buffer.get()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        routers = [stack.enter_context(_connect(address)) for _ in range(count)]
        observed = routers[0]
        start = time.perf_counter()
        missing = dict.fromkeys(routers, size)
        started: set[socket.socket] = set()
        first_s = 0.0
        for router in routers:
            router.sendall(encode(VERSION, ResetQuery()))
            router.setblocking(False)
            selector.register(router, selectors.EVENT_READ)
        while missing and time.perf_counter() - start < limit_s:
            for router in _ready(selector):
                place = whole[size - missing[router] :] if router is observed else buffer
                missing[router] -= _receive_some(router, place)
                if len(started) < count:
                    started.add(router)
                    first_s = time.perf_counter() - start if len(started) == count else 0.0
                if missing[router] <= 0:
                    del missing[router]
                    selector.unregister(router)
        end_s = time.perf_counter() - start
    if observed not in missing and oracle.of_response(whole[:size])[0] != digest:
        raise BenchError("one of many routers has read something else than the source")
    return Crowd(first_s, end_s, count * size - sum(missing.values()), count - len(missing))


class Idlers:
    """Routers that are connected and up to date; one set a process."""

    routers: list[socket.socket] = []  # noqa: RUF012 - it is this process's own

    @classmethod
    def connect(cls, address: Address, count: int, response: Response, version: Version = VERSION) -> None:
        """Connect them, each with a Serial Query that has nothing for an answer."""
        query = encode(version, SerialQuery(response.session_id, response.serial))
        buffer = bytearray(EMPTY_RESPONSE_BYTES)
        for _ in range(count):
            router = _connect(address)
            router.sendall(query)
            cls.routers.append(router)
        for router in cls.routers:
            _receive(router, EMPTY_RESPONSE_BYTES, buffer)

    @classmethod
    def poll(cls, response: Response, version: Version = VERSION) -> None:
        """Have all of them ask at once, with nothing for an answer."""
        query = encode(version, SerialQuery(response.session_id, response.serial))
        buffer = bytearray(EMPTY_RESPONSE_BYTES)
        for router in cls.routers:
            router.sendall(query)
        for router in cls.routers:
            _receive(router, EMPTY_RESPONSE_BYTES, buffer)

    @classmethod
    def ask_and_stall(cls, address: Address, count: int) -> None:
        """Connect routers that ask for the whole table and never read."""
        for _ in range(count):
            router = _connect(address)
            router.sendall(encode(VERSION, ResetQuery()))
            cls.routers.append(router)

    @classmethod
    def follow(cls, response: Response, delta_size: int, version: Version = VERSION) -> tuple[float, float]:
        """Wait for a Serial Notify on all of them, ask at once, and read the answers.

        Returns:
            When the first Serial Notify came, and when the last octet of the last answer (both monotonic).
        """
        query = encode(version, SerialQuery(response.session_id, response.serial))
        buffer = bytearray(BUFFER_BYTES)
        started = 0.0
        with selectors.DefaultSelector() as selector:
            missing = dict.fromkeys(cls.routers, NOTIFY_BYTES + delta_size)
            for router in cls.routers:
                router.setblocking(False)
                selector.register(router, selectors.EVENT_READ)
            while missing:
                for router in _ready(selector):
                    started = started or time.monotonic()
                    is_notified = missing[router] <= delta_size
                    missing[router] -= _receive_some(router, buffer)
                    if not is_notified and missing[router] <= delta_size:
                        router.sendall(query)
                    if missing[router] < 0:
                        raise BenchError(f"a router was sent {-missing[router]} octets more than the update has")
                    if missing[router] == 0:
                        del missing[router]
                        selector.unregister(router)
            return started, time.monotonic()

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
            router.sendall(encode(VERSION, ResetQuery()))
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


def rtr_round_trips(address: Address, seconds: float, every_s: float) -> list[float]:
    """Seconds that each of many small questions took.

    A Serial Query of a state that never was is answered by Cache Reset, whatever is published.
    """
    query = encode(VERSION, SerialQuery(0, 0))
    buffer = bytearray(16)
    with _connect(address) as router:

        def ask() -> None:
            router.sendall(query)
            _receive(router, 8, buffer)

        return _trickle(ask, seconds, every_s)


def http_round_trips(port: int, seconds: float, every_s: float) -> list[float]:
    """The same for GET /readyz on one connection."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)

    def ask() -> None:
        connection.request("GET", "/readyz")
        connection.getresponse().read()

    return _trickle(ask, seconds, every_s)


def durations(port: int) -> dict[str, float]:
    """How long each stage of the last load took, as `/healthz` says it."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    connection.request("GET", "/healthz")
    found: dict[str, float] = json.loads(connection.getresponse().read())["source"]["durations_s"]
    connection.close()
    return found


def _trickle(ask: Callable[[], None], seconds: float, every_s: float) -> list[float]:
    laps = []
    due = time.perf_counter()
    end = due + seconds
    while (start := time.perf_counter()) < end:
        ask()
        laps.append(time.perf_counter() - start)
        due = max(due + every_s, time.perf_counter())
        time.sleep(max(0.0, due - time.perf_counter()))
    return laps


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
