"""pyRTR and other caches, one after the other with the same source, readers and order of events; and bare sockets."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from bench import peers, readers
from bench.inputs import Source
from bench.programs import Address, BenchError, Program, memory_kib, raw_sender, starting
from bench.readers import Response
from bench.report import PYRTR, RAW, Run, Unit
from bench.worker import Worker, worker

FLEET = 1_000
LIMIT_S = 20.0
START_S = 90.0
SLOW_S = 1.0
# A table that comes in milliseconds is taken so many times as often, since its time varies with what else goes on.
FAST_TIMES = 5
SLOW_START_S = 20.0
SETTLE_S = 0.5

FULL, CROWD, LOAD, MEMORY, UPDATE = "full-table", "crowd", "cold-start", "memory", "update"
FIRST_OCTET, END_OF_DATA, RATE, CPU = "to the first octet", "to End of Data", "rate", "processor time"
TO_DATA = "start of the program to the first payload"
AT_REST, PEAK = "all processes, at rest", "all processes, peak"
TO_NOTIFY, TO_LAST = "new source to the first Serial Notify", "first Serial Notify to the last End of Data"


def crowd_rate(count: int) -> str:
    """The name of that figure."""
    return f"{count:,} routers at once, in sum"


def side_by_side(run: Run) -> None:
    """Full tables to one and to many, cold start, memory, and an update to many: each cache and bare `sendall`."""
    first = run.inputs.first.path
    starts: dict[str, Callable[[], AbstractContextManager[Program]]] = {PYRTR: partial(starting, run.folder, first)}
    for name, path in run.peers.items():
        starts[name] = partial(peers.started, name, path, run.folder, first)
    for name, start in starts.items():
        with worker() as reader:
            try:
                _measure(run, reader, name, start)
            except (BenchError, OSError) as error:
                run.leave_out(f"{name} from here on", f"{type(error).__name__}: {error}")


def _measure(run: Run, reader: Worker, name: str, start: Callable[[], AbstractContextManager[Program]]) -> None:
    loads: list[float] = []
    cpus: list[float] = []
    while True:
        with start() as program:
            moment = reader.call(readers.wait_for_table, program.address, time.monotonic() + START_S)
            loads.append(moment - program.started)
            cpus.append(program.cpu_s)
            if len(loads) < (run.rounds if loads[0] < SLOW_START_S else 2):
                continue
            run.add(LOAD, TO_DATA, name, Unit.SECONDS, loads)
            run.add(LOAD, CPU, name, Unit.SECONDS, cpus)
            _serve(run, reader, program)
            return


def _serve(run: Run, reader: Worker, program: Program) -> None:
    with contextlib.ExitStack() as stack:
        body = run.folder / "response" if program.name == PYRTR else None
        held = reader.call(readers.read_table, program.address, run.inputs.first.digest, body)
        run.add(FULL, "the first router that asks, to End of Data", program.name, Unit.SECONDS, [held.end_s])
        addresses = {program.name: program.address}
        if body is not None:
            addresses[RAW] = stack.enter_context(raw_sender(body))
        _tables(run, reader, program, addresses, run.rounds * (FAST_TIMES if held.end_s < SLOW_S else 1))
        source = _updates(run, reader, program, run.rounds if held.end_s < SLOW_S else 1)
        time.sleep(SETTLE_S)
        run.add(MEMORY, AT_REST, program.name, Unit.KIB, [memory_kib(program.pid, "VmRSS")])
        run.add(MEMORY, PEAK, program.name, Unit.KIB, [program.peaks.sum_kib])
        for count in run.crowds if program.name == PYRTR else run.peer_crowds:
            _crowd(run, reader, program, addresses, source, held.size, count)


def _tables(run: Run, reader: Worker, program: Program, addresses: dict[str, Address], rounds: int) -> None:
    laps: dict[str, list[Response]] = {name: [] for name in addresses}
    before = program.cpu_s
    for _ in range(rounds):
        for name, address in addresses.items():  # in turn, so that what else the machine does meets all alike
            laps[name].append(reader.call(readers.read_table, address, run.inputs.first.digest))
    cpu_s = (program.cpu_s - before) / rounds
    for name, responses in laps.items():
        run.add(FULL, FIRST_OCTET, name, Unit.SECONDS, [lap.first_s for lap in responses])
        run.add(FULL, END_OF_DATA, name, Unit.SECONDS, [lap.end_s for lap in responses])
        run.add(FULL, RATE, name, Unit.OCTETS_PER_SECOND, [lap.size / lap.end_s for lap in responses])
    run.add(FULL, CPU, program.name, Unit.SECONDS, [cpu_s])


def _updates(run: Run, reader: Worker, program: Program, rounds: int) -> Source:
    """Returns the source that is served in the end."""
    serving, other = run.inputs.first, run.inputs.second
    size = other.delta_bytes + readers.EMPTY_RESPONSE_BYTES
    notified: list[float] = []
    followed: list[float] = []
    cpus: list[float] = []
    try:
        for _ in range(rounds):
            held = reader.call(readers.read_table, program.address, serving.digest)
            reader.call(readers.Idlers.connect, program.address, FLEET, held)
            following = reader.begin(readers.Idlers.follow, held, size)
            before = program.cpu_s
            began = time.monotonic()
            program.put(other.path)
            program.look()
            serving, other = other, serving
            first, last = following()
            reader.call(readers.Idlers.close)
            notified.append(first - began)
            followed.append(last - first)
            cpus.append(program.cpu_s - before)
    except (BenchError, OSError) as error:
        run.leave_out(f"{program.name}, update", f"{type(error).__name__}: {error}")
    else:
        run.add(UPDATE, TO_NOTIFY, program.name, Unit.SECONDS, notified)
        run.add(UPDATE, TO_LAST, program.name, Unit.SECONDS, followed)
        run.add(UPDATE, CPU, program.name, Unit.SECONDS, cpus)
    return serving


def _crowd(
    run: Run, reader: Worker, program: Program, addresses: dict[str, Address], source: Source, size: int, count: int
) -> None:
    """One run where that takes long, as many as of the others else."""
    rates: dict[str, list[float]] = {name: [] for name in addresses}
    firsts: dict[str, list[float]] = {name: [] for name in addresses}
    cpu_s, done = 0.0, count
    for _ in range(run.rounds):
        for name, address in addresses.items():
            before_s = program.cpu_s
            digest = run.inputs.first.digest if name == RAW else source.digest
            crowd = reader.call(readers.read_tables, address, size, count, digest, LIMIT_S)
            rates[name].append(crowd.octet_count / crowd.end_s)
            if crowd.first_s:
                firsts[name].append(crowd.first_s)
            if name == program.name:
                done = min(done, crowd.done_count)
                cpu_s = (program.cpu_s - before_s) / (crowd.octet_count / size)
        if done < count:
            break
    for name, values in rates.items():
        run.add(CROWD, crowd_rate(count), name, Unit.OCTETS_PER_SECOND, values)
        if firsts[name]:
            run.add(CROWD, f"{count:,} routers, until each has its first octet", name, Unit.SECONDS, firsts[name])
    run.add(CROWD, f"{count:,} routers, processor time a table", program.name, Unit.SECONDS, [cpu_s])
    if done < count:
        run.remark(
            f"{program.name}: {done:,} of {count:,} routers had all after {LIMIT_S:.0f} s; the rate is until then"
        )
