"""The API beside the routers: how many routes it validates, and what routers notice of what others ask."""

from __future__ import annotations

import itertools
import math
import selectors
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench import peers, readers
from bench.programs import HOST, Address, BenchError, Program, own_cpu_seconds, pyrtr
from bench.report import PYRTR, Run, Unit
from bench.worker import TIMEOUT_S, Worker, worker

API = "api"
ROUTINATOR = "Routinator"
RATE = "validity, 8 connections that are kept open"
CPU = "processor time of a validity request"
STREAM_CPU = "processor time of the serving process for all `vrps` as JSON"
HALF, MOST = "validity, one after the other, median", "validity, one after the other, 99 of 100 within"
AT_REST = "whole table to one router, nothing else asked"
UNDER_LOAD = "whole table to one router, during a stream of `vrps` and 200 validity requests a second"
LATE = "validity at 200 a second meanwhile, 99 of 100 within"
STREAM = "the stream of `vrps` meanwhile"
CONNECTIONS = 8
SECONDS = 5.0
LOADED_S = 15.0
EVERY_S = 1 / 200
PAUSE_S = 0.1
ROUTES = 2000
START_S = 60.0


class _Vrp(msgspec.Struct):
    prefix: str
    asn: int


class _Document(msgspec.Struct):
    roas: list[_Vrp]


def api(run: Run) -> None:
    """Validity of routes beside Routinator's, and full tables while the API is busy."""
    source = run.inputs.first
    with pyrtr(run.folder, source.path) as program, worker() as reader, worker() as client, worker() as other:
        address, http = program.address, (HOST, program.http_port)
        _validity(run, client, program, http)
        before_s = own_cpu_seconds(program.pid)
        other.call(read_vrps, http)
        run.add(API, STREAM_CPU, PYRTR, Unit.SECONDS, [own_cpu_seconds(program.pid) - before_s])
        reader.call(readers.read_table, address, source.digest)
        rest = _tables(run, reader, address, LOADED_S / 2)
        stream = other.begin(stream_vrps, http, LOADED_S)
        asking = client.begin(ask_steadily, http, source.path, LOADED_S)
        time.sleep(1)  # the lookup process has to start, and to map the table
        loaded = _tables(run, reader, address, LOADED_S - 2)
        rate, laps = stream(), asking()
        rest += _tables(run, reader, address, LOADED_S / 2)
    run.add(API, AT_REST, PYRTR, Unit.SECONDS, rest)
    run.add(API, UNDER_LOAD, PYRTR, Unit.SECONDS, loaded)
    run.add(API, LATE, PYRTR, Unit.SECONDS, [_within(laps, 0.99)])
    run.add(API, STREAM, PYRTR, Unit.OCTETS_PER_SECOND, [rate])
    if ROUTINATOR in run.peers:
        with peers.started(ROUTINATOR, run.peers[ROUTINATOR], run.folder, source.path) as peer, worker() as client:
            client.call(readers.wait_for_table, peer.address, time.monotonic() + START_S)
            _validity(run, client, peer, _http(peer))


def _http(peer: Program) -> Address:
    """Where it speaks HTTP, which its command line says."""
    host, _, port = peer.command[peer.command.index("--http") + 1].rpartition(":")
    return host, int(port)


def _validity(run: Run, client: Worker, program: Program, address: Address) -> None:
    name, source = program.name, run.inputs.first.path
    rates, cpus, laps = [], [], []
    for _ in range(run.rounds):
        before_s = own_cpu_seconds(program.pid)
        count, taken_s = client.call(ask_at_once, address, source, SECONDS / run.rounds)
        cpus.append((own_cpu_seconds(program.pid) - before_s) / count)
        rates.append(count / taken_s)
        laps += client.call(ask_in_turn, address, source, SECONDS / run.rounds)
    run.add(API, RATE, name, Unit.COUNT_PER_SECOND, rates)
    run.add(API, CPU, name, Unit.SECONDS, cpus)
    run.add(API, HALF, name, Unit.SECONDS, [statistics.median(laps)])
    run.add(API, MOST, name, Unit.SECONDS, [_within(laps, 0.99)])


def _within(laps: Sequence[float], share: float) -> float:
    return sorted(laps)[int(len(laps) * share)]


def _tables(run: Run, reader: Worker, address: Address, seconds: float) -> list[float]:
    """How long whole tables take, one after the other for some time."""
    laps = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        laps.append(reader.call(readers.read_table, address, run.inputs.first.digest).end_s)
        time.sleep(PAUSE_S)
    return laps


def _requests(source: Path) -> Iterator[bytes]:
    """Requests for routes of some VRPs' prefixes, every other one with another ASN; again and again."""
    vrps = msgspec.json.decode(source.read_bytes(), type=_Document).roas
    chosen = vrps[:: max(1, len(vrps) // ROUTES)]
    paths = [f"/api/v1/validity/AS{vrp.asn + place % 2}/{vrp.prefix}" for place, vrp in enumerate(chosen)]
    return itertools.cycle([f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() for path in paths])


def ask_in_turn(address: Address, source: Path, seconds: float) -> list[float]:
    """How long each request took, on one connection without a pause."""
    return _laps(address, source, seconds, 0.0)


def ask_steadily(address: Address, source: Path, seconds: float) -> list[float]:
    """The same, `EVERY_S`: a request that is late is counted from when it was due."""
    return _laps(address, source, seconds, EVERY_S)


def _laps(address: Address, source: Path, seconds: float, every_s: float) -> list[float]:
    requests, laps = _requests(source), []
    with socket.create_connection(address, TIMEOUT_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due = time.perf_counter()
        end = due + seconds
        while due < end:
            sock.sendall(next(requests))
            data = b""
            while not _is_whole(data):
                data += _received(sock)
            now = time.perf_counter()
            laps.append(now - due)
            due = due + every_s if every_s else now
            time.sleep(max(0.0, due - time.perf_counter()))
    return laps


def ask_at_once(address: Address, source: Path, seconds: float) -> tuple[int, float]:
    """Ask on some connections, each with one request under way at any time.

    Returns:
        How many were answered, and in what time.
    """
    requests, count = _requests(source), 0
    with selectors.DefaultSelector() as selector:
        data: dict[socket.socket, bytes] = {}
        for _ in range(CONNECTIONS):
            sock = socket.create_connection(address, TIMEOUT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(sock, selectors.EVENT_READ)
            data[sock] = b""
            sock.sendall(next(requests))
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            for key, _ in selector.select(TIMEOUT_S):
                sock = key.fileobj  # type: ignore[assignment]  # only sockets were registered
                data[sock] += _received(sock)
                if _is_whole(data[sock]):
                    count += 1
                    data[sock] = b""
                    sock.sendall(next(requests))
        taken = time.perf_counter() - start
        for sock in data:
            sock.close()
    return count, taken


def _received(sock: socket.socket) -> bytes:
    octets = sock.recv(2**16)
    if not octets:
        raise ConnectionError("closed before the answer was whole")
    return octets


def _is_whole(data: bytes) -> bool:
    """Whether a response is there, which is to be one of success with a Content-Length."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        return False
    if not head.startswith(b"HTTP/1.1 200 "):
        raise BenchError(f"a request was answered with {head[:60]!r}")
    _, _, length = head.lower().partition(b"content-length:")
    return len(body) >= int(length.partition(b"\r\n")[0])


def stream_vrps(address: Address, seconds: float) -> float:
    """Read all VRPs as JSON, again and again; octets a second."""
    size, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        size += read_vrps(address, start + seconds)
    return size / (time.perf_counter() - start)


def read_vrps(address: Address, until: float = math.inf) -> int:
    """Read all VRPs as JSON, until some time at most; octets."""
    request = f"GET /api/v1/vrps HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
    buffer, size = bytearray(2**20), 0
    with socket.create_connection(address, TIMEOUT_S) as sock:
        sock.sendall(request)
        while time.perf_counter() < until and (got := sock.recv_into(buffer)):
            size += got
    return size
