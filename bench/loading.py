"""From JSON on disk to what is published: how long it takes, the memory it takes, and what routers notice of it."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import readers
from bench.programs import Pyrtr, forget_peak, memory_kib, pyrtr, starting
from bench.report import PYRTR, Run, Unit
from bench.worker import Worker, worker
from pyrtr.wire.enums import Version

LOAD, MEMORY, PAUSE = "load", "memory", "pause"
DECODER = "bare decode"
DECODE, COLD = "of the same file by msgspec, in a fresh process", "start of the program to published"
AT_REST = "serving process at rest, images of versions 0 to 2 in use"
AT_REST_ONE = "serving process at rest, image of version 1 in use"
SUM_PEAK = "all processes at one moment, peak"
INSIDE = "longest pause of the event loop while reloading, from inside"
EXTRA, STALLED = "extra for each of 200 routers that read", "extra for each of 200 routers that ask and never read"
CROWD, CROWD_S, STALLED_S = 200, 30.0, 2.0
RELOADS = 2
REST_S = 2.0
POLL_EVERY_S = 0.02  # 50 times a second
MARGIN_S = 0.4

# Typed records of the members that pyRTR needs, and nothing done with them.
_DECODE = """
import gc, sys, time
from pathlib import Path
from bench import oracle

gc.disable()
start = time.perf_counter()
roas = oracle.read_roas(Path(sys.argv[1]))
print(time.perf_counter() - start, len(roas))
"""


def reload_name(change: str) -> str:
    """The name of that figure."""
    return f"SIGHUP to published, {change} changed"


def load(run: Run) -> None:
    """JSON on disk to published, beside a bare decode of the same file."""
    first = run.inputs.first.path
    decodes, starts, start_cpu = [], [], []
    for _ in range(run.rounds):
        decodes.append(_decode(first))
        with starting(run.folder, first) as program:
            starts.append(program.wait_for("published")[0] - program.started)
            start_cpu.append(program.cpu_s)
    run.add(LOAD, DECODE, DECODER, Unit.SECONDS, decodes)
    run.add(LOAD, COLD, PYRTR, Unit.SECONDS, starts)
    run.add(LOAD, f"{COLD}, processor time", PYRTR, Unit.SECONDS, start_cpu)
    with pyrtr(run.folder, first) as program:
        for change, source in run.inputs.later.items():
            laps, cpu = [], []
            turns = itertools.cycle((source.path, first))
            for _ in range(run.rounds + run.rounds % 2):  # there and back again
                before = program.cpu_s
                laps.append(program.reload(next(turns)))
                cpu.append(program.cpu_s - before)
            run.add(LOAD, reload_name(change), PYRTR, Unit.SECONDS, laps)
            run.add(LOAD, f"{reload_name(change)}, processor time", PYRTR, Unit.SECONDS, cpu)
            for stage, seconds in readers.durations(program.http_port).items():
                run.add(LOAD, f"{reload_name(change)}, the last one: {stage}", PYRTR, Unit.SECONDS, [seconds])


def memory(run: Run) -> None:
    """Memory of the serving process and of the compile process, through a start, full responses and reloads."""
    first, second = run.inputs.first, run.inputs.second
    crowd_memory(run)
    with pyrtr(run.folder, first.path) as program, worker() as reader:
        run.add(MEMORY, "serving process, nothing asked yet", PYRTR, Unit.KIB, [memory_kib(program.pid, "VmRSS")])
        reader.call(readers.read_table, program.address, first.digest)
        program.reload(second.path)
        reader.call(readers.read_table, program.address, second.digest)
        time.sleep(MARGIN_S)
        run.add(MEMORY, AT_REST_ONE, PYRTR, Unit.KIB, [memory_kib(program.pid, "VmRSS")])
        for version in Version:
            reader.call(readers.read_table, program.address, second.digest, None, version)
        program.reload(first.path)
        for version in Version:
            reader.call(readers.read_table, program.address, first.digest, None, version)
        time.sleep(MARGIN_S)
        at_rest, own, mapped = (memory_kib(program.pid, name) for name in ("VmRSS", "RssAnon", "RssFile"))
        run.add(MEMORY, AT_REST, PYRTR, Unit.KIB, [at_rest])
        run.add(MEMORY, "of that its own", PYRTR, Unit.KIB, [own])
        run.add(MEMORY, "of that mapped files", PYRTR, Unit.KIB, [mapped])
        run.add(MEMORY, "serving process, peak", PYRTR, Unit.KIB, [memory_kib(program.pid, "VmHWM")])
        run.add(MEMORY, "compile process, peak", PYRTR, Unit.KIB, [program.peaks.child_kib])
        run.add(MEMORY, SUM_PEAK, PYRTR, Unit.KIB, [program.peaks.sum_kib])


def crowd_memory(run: Run) -> None:
    """Memory of routers that read the whole table at once, and of such as ask for it and never read."""
    digest = run.inputs.first.digest
    with pyrtr(run.folder, run.inputs.first.path) as program, worker() as reader:
        size = reader.call(readers.read_table, program.address, digest).size
        before = _rest(program)
        reader.call(readers.read_tables, program.address, size, CROWD, digest, CROWD_S)
        extra = memory_kib(program.pid, "VmHWM") - before
        run.add(MEMORY, EXTRA, PYRTR, Unit.KIB_PER_ROUTER, [extra / CROWD])
    with pyrtr(run.folder, run.inputs.first.path) as program, worker() as reader:
        reader.call(readers.read_table, program.address, digest)
        before = _rest(program)
        reader.call(readers.Idlers.ask_and_stall, program.address, CROWD)
        time.sleep(STALLED_S)
        stalled = memory_kib(program.pid, "VmHWM") - before
        reader.call(readers.Idlers.close)
        run.add(MEMORY, STALLED, PYRTR, Unit.KIB_PER_ROUTER, [stalled / CROWD])


def _rest(program: Pyrtr) -> int:
    """What the program holds now; its peak starts again from there."""
    forget_peak(program.pid)
    return memory_kib(program.pid, "VmRSS")


def pause(run: Run) -> None:
    """The longest pause of the event loop while a source is loaded: from inside, and as routers and HTTP see it."""
    beats = run.folder / "beats"
    first, second = run.inputs.first.path, run.inputs.second.path
    with pyrtr(run.folder, first, {"BEATS": str(beats)}, "bench.inside") as program, worker() as asker:
        asker.call(readers.read_table, program.address, run.inputs.first.digest)
        sources = itertools.cycle((second, first))
        reload_s = program.reload(next(sources))
        windows: list[tuple[float, float]] = []
        for name in ("RTR", "HTTP"):
            figures = {"at rest": _ask(program, asker, name, REST_S)(), "while reloading": []}
            for _ in range(RELOADS):
                asking = _ask(program, asker, name, reload_s + MARGIN_S)
                time.sleep(MARGIN_S / 4)
                began = time.monotonic()
                figures["while reloading"] += _reloaded(program, next(sources), asking)
                windows.append((began, time.monotonic()))
            for when, laps in figures.items():
                what = f"{name} asked 50 times a second, {when}"
                run.add(PAUSE, f"{what}, longest answer", PYRTR, Unit.SECONDS, [max(laps)])
                run.add(PAUSE, f"{what}, median answer", PYRTR, Unit.SECONDS, [statistics.median(laps)])
    late = [tuple(pair) for pair in json.loads(beats.read_text())]
    longest = [max((s for at, s in late if began <= at <= ended), default=0.0) for began, ended in windows]
    run.add(PAUSE, INSIDE, PYRTR, Unit.SECONDS, longest)


def _reloaded(program: Pyrtr, source: Path, asking: Callable[[], list[float]]) -> list[float]:
    program.reload(source)
    return asking()


def _ask(program: Pyrtr, asker: Worker, name: str, seconds: float) -> Callable[[], list[float]]:
    if name == "RTR":
        return asker.begin(readers.rtr_round_trips, program.address, seconds, POLL_EVERY_S)
    return asker.begin(readers.http_round_trips, program.http_port, seconds, POLL_EVERY_S)


def _decode(source: Path) -> float:
    command = (sys.executable, "-c", _DECODE, str(source))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    output = subprocess.run(command, check=True, capture_output=True, env=environment).stdout
    return float(output.split()[0])
