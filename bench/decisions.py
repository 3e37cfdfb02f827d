"""`python -m bench.decisions [DECISION…]`: the measurements behind the pages of docs/decisions."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import os
import resource
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from tests.unit.sources.canonical import address, family, roa_set, sequence
from tests.unit.sources.canonical import ccr as encode_ccr
from tests.unit.sources.canonical import state as seal

from bench import inputs
from bench.programs import Address, memory_kib, pyrtr
from bench.report import Run, line, mebibytes, milliseconds, title
from bench.worker import worker
from pyrtr.payload.delta import difference
from pyrtr.payload.history import History, Step
from pyrtr.payload.order import vrps_of
from pyrtr.payload.table import PayloadTable, sort_unique
from pyrtr.server.pump import Pump
from pyrtr.server.registry import MIN_SLICE_BYTES
from pyrtr.sources import ccr, rpki_client
from pyrtr.sources.base import Reader
from pyrtr.sources.fetch import http
from pyrtr.sources.fetch.feed import DocumentFeed
from pyrtr.sources.fetch.request import Limits, Request, SourceTls
from pyrtr.sources.location import Location
from pyrtr.store.sessions import new_session_ids
from pyrtr.store.state import Generation, Store
from pyrtr.store.table_file import read_table, write_table
from pyrtr.wire.codec import encode
from pyrtr.wire.enums import Version
from pyrtr.wire.image import encode_snapshot
from pyrtr.wire.pdu import ResetQuery

STALLED = 100
WAITING = 5
SHORTAGE_S = 0.5
IMAGE_BYTES = 20 * 2**20
TICK_S = 0.001
HISTORIES = ((1_000, 15), (20, 50_000))  # three weeks of usual updates; all that is ever kept
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def _alone(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - whatever the function returns
    """Call a function in a fresh process, so that its memory is its own."""
    with worker() as fresh:
        return fresh.call(function, *arguments)


def _table(source: Path) -> PayloadTable:
    return rpki_client.read(source.read_bytes(), now=time.time()).table


def _resident() -> int:
    gc.collect()
    return memory_kib(os.getpid(), "VmRSS")


def _seconds(function: Callable[[], object], rounds: int = 5) -> float:
    laps = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        laps.append(time.perf_counter() - start)
    return statistics.median(laps)


def rows(run: Run) -> None:
    """Columns of packed rows against one object a VRP."""
    title("rows: a million VRPs as two columns of rows, and as objects")
    for name, value, beside in _alone(_rows, run.inputs.first.path, run.inputs.second.path):
        line(name, value, beside)


def _rows(first: Path, second: Path) -> list[tuple[str, str, str]]:
    old, new = _table(first), _table(second)
    size = old.ipv4.nbytes + old.ipv6.nbytes
    before = _resident()
    objects = [*vrps_of(old.ipv4), *vrps_of(old.ipv6)]
    object_kib = _resident() - before
    others = {*vrps_of(new.ipv4), *vrps_of(new.ipv6)}
    ours = set(objects)
    rng = np.random.default_rng(inputs.SEED)
    shuffled = [rng.permutation(column) for column in (old.ipv4, old.ipv6)]
    beside = [(np.zeros(len(column), np.int64), np.zeros(len(column), np.uint16)) for column in shuffled]
    mixed = [objects[index] for index in rng.permutation(len(objects))]

    def keys() -> object:
        return sorted(mixed, key=lambda v: (v.prefix.version, v.prefix.network_address, v.max_length, v.asn))

    def sort_columns() -> None:
        for column, (times, anchors) in zip(shuffled, beside, strict=True):
            sort_unique(column, times, anchors)

    sort_s, object_sort_s = _seconds(sort_columns), _seconds(keys, 1)
    step_s, object_step_s = _seconds(lambda: difference(old, new)), _seconds(lambda: (others - ours, ours - others), 3)
    return [
        ("memory, columns", mebibytes(size / 1024), ""),
        ("memory, objects", mebibytes(object_kib), f"{object_kib * 1024 / size:.0f} x"),
        ("sort and merge equal ones, columns", milliseconds(sort_s), ""),
        ("sort, objects", milliseconds(object_sort_s), f"{object_sort_s / sort_s:.0f} x"),
        ("difference of two tables, columns", milliseconds(step_s), ""),
        ("difference of two sets of objects (already hashed)", milliseconds(object_step_s), ""),
    ]


def compile_process(run: Run) -> None:
    """Loading in the serving process, on a thread, against a process of its own."""
    title("compile: loading a million VRPs on a thread of the serving process, and in a process of its own")
    longest, peak, rest = _alone(_load_on_a_thread, run.inputs.first.path)
    line("thread: longest pause of the event loop", milliseconds(longest))
    line("thread: memory, peak; when all but the table is let go", mebibytes(peak), mebibytes(rest))
    with pyrtr(run.folder, run.inputs.first.path) as program:
        serving = [memory_kib(program.pid, name) for name in ("VmHWM", "VmRSS")]
        line("process: memory of the serving one, peak; at rest", mebibytes(serving[0]), mebibytes(serving[1]))
        line("process: memory of the compile process, peak", mebibytes(program.peaks.child_kib))
    print("  (the pause with a process of its own: python -m bench pause)")


def _load_on_a_thread(source: Path) -> tuple[float, int, int]:
    async def work() -> tuple[float, PayloadTable]:
        loading = asyncio.create_task(asyncio.to_thread(_table, source))
        longest = 0.0
        while not loading.done():
            start = time.perf_counter()
            await asyncio.sleep(TICK_S)
            longest = max(longest, time.perf_counter() - start - TICK_S)
        return longest, await loading

    longest, table = asyncio.run(work())
    return longest, memory_kib(os.getpid(), "VmHWM"), _resident() + 0 * len(table)


def image(run: Run) -> None:
    """Encoding an image when the first router asks, against writing the images of all versions with the table."""
    title("image: the whole table for one version")
    for name, value, beside in _alone(_image, run.inputs.first.path, run.folder):
        line(name, value, beside)


def _image(source: Path, folder: Path) -> list[tuple[str, str, str]]:
    table = _table(source)
    body = encode_snapshot(Version.V2, table).body

    def write_and_sync() -> None:
        with (folder / "image").open("wb") as file:
            for _ in Version:
                file.write(body)
            file.flush()
            os.fsync(file.fileno())

    encode_s = _seconds(lambda: encode_snapshot(Version.V2, table))
    write_s = _seconds(write_and_sync, 3)
    return [
        ("size", mebibytes(len(body) / 1024), ""),
        ("encode", milliseconds(encode_s), ""),
        ("write and sync those of three versions", milliseconds(write_s), f"{write_s / encode_s:.1f} x"),
    ]


def slices(_run: Run) -> None:
    """What peers that do not read cost, when a whole image is written to each, and when it is pumped."""
    title(f"slices: {STALLED} peers that do not read, an image of {IMAGE_BYTES // 2**20} MiB")
    for name, factory, is_pumped in (
        ("asyncio, whole image written", asyncio.new_event_loop, False),
        ("uvloop, whole image written", uvloop.new_event_loop, False),
        ("asyncio, pumped", asyncio.new_event_loop, True),
        ("uvloop, pumped", uvloop.new_event_loop, True),
    ):
        line(name, mebibytes(_alone(_stalled_peers, factory, is_pumped)), "beside the image")


def _stalled_peers(factory: LoopFactory, is_pumped: bool) -> int:
    async def work() -> int:
        loop = asyncio.get_running_loop()
        body = memoryview(bytes(os.urandom(2**20) * (IMAGE_BYTES // 2**20)))
        peers = [socket.socketpair() for _ in range(STALLED)]
        before = _resident()
        for ours, _ in peers:
            ours.setblocking(False)
            protocol = _PumpProtocol()
            transport, _ = await loop.create_connection(lambda given=protocol: given, sock=ours)  # type: ignore[misc]
            if is_pumped:
                protocol.pump = Pump(transport, lambda: MIN_SLICE_BYTES, lambda: None)
                protocol.pump.start(b"", body, b"")
            else:
                transport.write(body)
        await asyncio.sleep(0.2)
        return _resident() - before

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work())


class _PumpProtocol(asyncio.Protocol):
    pump: Pump | None = None

    def pause_writing(self) -> None:
        if self.pump is not None:
            self.pump.pause()

    def resume_writing(self) -> None:
        if self.pump is not None:
            self.pump.resume()


def accept(_run: Run) -> None:
    """What becomes of connections that come while a server has no descriptor, and of one that comes afterwards."""
    title(f"accept: {WAITING} connections come while there is no descriptor, for half a second; then one more")
    for name, factory in (("asyncio's own server", asyncio.new_event_loop), ("uvloop's own server", uvloop_factory)):
        for what, is_greedy in (("", False), (", a thread opens files meanwhile", True)):
            line(name + what, *_alone(_accept, factory, is_greedy))
    with pyrtr(_run.folder, _run.inputs.first.path) as program:
        line("pyRTR's", *_accept_of(program.pid, program.address))


def uvloop_factory() -> asyncio.AbstractEventLoop:
    """By name, for another process."""
    return uvloop.new_event_loop()


def _accept(factory: LoopFactory, is_greedy: bool) -> tuple[str, str]:
    async def work() -> tuple[str, str]:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        server = await asyncio.start_server(_greet, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        peers = [socket.socket() for _ in range(WAITING)]
        waiting = await asyncio.to_thread(_connect_without_descriptors, peers, address, is_greedy)
        with socket.socket() as peer:
            peer.settimeout(2)
            later = await asyncio.to_thread(_is_answered, peer, address)
        return f"{waiting} of {WAITING} served", "afterwards served" if later else "afterwards NOT served"

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work())


async def _greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()


def _connect_without_descriptors(peers: list[socket.socket], address: Address, is_greedy: bool) -> int:
    """Connect while this process, which is the server's, has no descriptor left; returns how many were served."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers: list[int] = []
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, hard))
    end = time.monotonic() + SHORTAGE_S
    _take_all(fillers)
    for peer in peers:
        peer.settimeout(2)
        peer.connect(address)
    while time.monotonic() < end:
        if is_greedy:
            _take_all(fillers)
        else:
            time.sleep(0.05)
    for filler in fillers:
        os.close(filler)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return sum(_is_answered(peer) for peer in peers)


def _take_all(fillers: list[int]) -> None:
    with contextlib.suppress(OSError):
        while True:
            fillers.append(os.open(os.devnull, os.O_RDONLY))


def _is_answered(peer: socket.socket, address: Address | None = None) -> bool:
    try:
        if address is not None:
            peer.connect(address)
        return bool(peer.recv(5))
    except OSError:
        return False


def _accept_of(pid: int, address: Address) -> tuple[str, str]:
    """The same with pyRTR, whose limit is set from outside."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, hard))
    peers = [socket.create_connection(address, 2) for _ in range(WAITING)]
    for peer in peers:
        peer.sendall(encode(Version.V1, ResetQuery()))
    time.sleep(SHORTAGE_S)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    waiting = sum(_is_answered(peer) for peer in peers)
    with socket.create_connection(address, 2) as peer:
        peer.sendall(encode(Version.V1, ResetQuery()))
        later = _is_answered(peer)
    return f"{waiting} of {WAITING} served", "afterwards served" if later else "afterwards NOT served"


def fetch(run: Run) -> None:
    """Fetching over HTTP in the serving process, on a thread, and in a process of its own."""
    title(f"fetch: {run.inputs.first.size_mb:,.0f} MB over HTTP on loopback, on a thread, and in a process of its own")
    handler = partial(_QuietHandler, directory=run.inputs.first.path.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/{run.inputs.first.path.name}"
        for name, is_apart in (("thread", False), ("process", True)):
            seconds, longest, serving, fetching = _alone(_fetch, url, run.folder, is_apart)
            line(f"{name}: whole; longest pause of the event loop", milliseconds(seconds), milliseconds(longest))
            line(f"{name}: memory, peak; of the fetch process", mebibytes(serving), mebibytes(fetching))
        server.shutdown()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _fetch(url: str, folder: Path, is_apart: bool) -> tuple[float, float, int, int]:
    async def apart() -> None:
        found = await DocumentFeed(Location.parse(url), folder, SourceTls()).look(None)
        assert found is not None
        found.path.unlink()

    async def here() -> None:
        body = folder / "body"
        await asyncio.to_thread(http.get, Request(url, {}, str(body), SourceTls(), Limits()))
        body.unlink()

    def child_peak() -> int:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return max((memory_kib(int(child), "VmHWM") for child in children), default=0)

    async def work() -> tuple[float, float, int]:
        start = time.perf_counter()
        fetching = asyncio.create_task(apart() if is_apart else here())
        longest, last, peak = 0.0, start, 0
        while not fetching.done():
            await asyncio.sleep(TICK_S)
            longest, last = max(longest, time.perf_counter() - last - TICK_S), time.perf_counter()
            peak = child_peak() or peak  # the last that is seen of it: at first it is a copy of ours
        await fetching
        return time.perf_counter() - start, longest, peak

    pid = os.getpid()
    seconds, longest, peak = asyncio.run(work())
    return seconds, longest, memory_kib(pid, "VmHWM"), peak


def poll(run: Run) -> None:
    """What a look at a path costs."""
    title("poll: a look at the source's path")
    rounds = 10_000

    def look() -> None:
        for _ in range(rounds):
            run.inputs.first.path.stat()

    line("stat", f"{_seconds(look) / rounds * 1e6:.1f} us")


def state(run: Run) -> None:
    """What a commit costs, and the opening of the state folder, with a short history and with all that is kept."""
    title("state: a million VRPs, and the history in SQLite")
    for step_count, change_count in HISTORIES:
        for name, value, beside in _alone(_state, run.inputs.first.path, run.folder, step_count, change_count):
            line(f"{step_count} steps of {change_count:,} changes: {name}", value, beside)


def _state(source: Path, folder: Path, step_count: int, change_count: int) -> list[tuple[str, str, str]]:
    loaded = rpki_client.read(source.read_bytes(), now=time.time())
    whole = loaded.table
    lost = np.random.default_rng(inputs.SEED).choice(len(whole.ipv4), change_count, replace=False)
    less = PayloadTable(np.delete(whole.ipv4, lost), whole.ipv6, whole.router_keys, whole.aspas)
    deltas = difference(whole, less), difference(less, whole)
    place = folder / f"state-{step_count}"
    store = Store(place)
    path = store.new_paths().table
    write_table(path, whole, loaded.facts)
    stored, history, session_ids = read_table(path), History(), new_session_ids()
    commit_s = 0.0
    for serial in range(step_count):
        step = Step(serial, deltas[serial % 2])
        history = history.followed_by(step, max_steps=step_count, table_size=len(whole))
        generation = Generation(session_ids, serial + 1, 0.0, stored, path, history, 0.0, False, {})
        start = time.perf_counter()
        store.commit(generation, (step,), "load")
        commit_s = time.perf_counter() - start
    store.close()
    open_s = _seconds(lambda: Store(place).close(), 3)
    size = (place / "history.db").stat().st_size
    shutil.rmtree(place)
    return [
        ("the last commit", milliseconds(commit_s), f"history.db {mebibytes(size / 1024)}"),
        ("open", milliseconds(open_s), f"{sum(len(step.delta) for step in history.steps):,} changes kept"),
    ]


def canonical(run: Run) -> None:
    """What reading a CCR costs, beside JSON of the same VRPs."""
    title("ccr: a million VRPs as CCR and as JSON, up to the sorted table")
    path = run.folder / "ccr"
    _alone(_write_ccr, run.inputs.first.path, path)
    for name, module, source in (("CCR", ccr, path), ("JSON", rpki_client, run.inputs.first.path)):
        seconds, peak = _alone(_read, module.__name__, source)
        line(name, f"{seconds:.2f} s", f"{mebibytes(peak)} at most, of {mebibytes(source.stat().st_size / 1024)}")


def _write_ccr(source: Path, path: Path) -> None:
    families: dict[int, dict[int, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    table = _table(source)
    for afi, rows in ((1, table.ipv4), (2, table.ipv6)):
        for vrp in vrps_of(rows):
            max_length = None if vrp.max_length == vrp.prefix.prefixlen else vrp.max_length
            families[vrp.asn][afi].append(address(str(vrp.prefix), max_length))
    roa_sets = [
        roa_set(asn, *[family(afi, *addresses) for afi, addresses in sorted(blocks.items())])
        for asn, blocks in sorted(families.items())
    ]
    path.write_bytes(encode_ccr(vrps=seal(sequence(*roa_sets))))


def _read(module: str, source: Path) -> tuple[float, int]:
    read: Reader = importlib.import_module(module).read
    bodies = [source.read_bytes()]
    gc.disable()  # as in the compile process
    start = time.process_time()
    read(bodies.pop(), now=time.time())
    return time.process_time() - start, memory_kib(os.getpid(), "VmHWM")


DECISIONS: dict[str, Callable[[Run], None]] = {
    "rows": rows,
    "compile": compile_process,
    "image": image,
    "slices": slices,
    "accept": accept,
    "fetch": fetch,
    "poll": poll,
    "state": state,
    "ccr": canonical,
}


def main() -> int:
    """Measure; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.decisions", description=__doc__)
    parser.add_argument("decision", nargs="*", metavar="DECISION", help=", ".join(DECISIONS))
    names = parser.parse_args().decision or list(DECISIONS)
    if unknown := sorted(set(names) - DECISIONS.keys()):
        parser.error(f"{', '.join(unknown)}: expected {', '.join(DECISIONS)}")
    with tempfile.TemporaryDirectory(prefix="pyrtr-bench-") as folder:
        run = Run(Path(folder), inputs.make(Path(folder) / "inputs", "sep2026"), 1)
        for name in names:
            DECISIONS[name](run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
