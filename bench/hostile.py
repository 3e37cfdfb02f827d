"""Peers that mean harm, in numbers: what they cost a router that means none, and the program."""

from __future__ import annotations

import resource
import time

from bench import readers
from bench.programs import memory_kib, pyrtr
from bench.report import PYRTR, Run, Unit
from bench.worker import worker

FIGURE = "hostile"
SILENT = 10_000
SLOW = 100
ROUNDS = 7
SLOW_FOR_S = 5.0
PAUSE_S = 0.01
SETTLE_S = 1.0
SPARE_DESCRIPTORS = 400


def siege(run: Run) -> None:
    """The whole table to one router while many connections are silent, and some read octet by octet."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    silent_count = min(SILENT, hard - SPARE_DESCRIPTORS)
    source = run.inputs.first
    with pyrtr(run.folder, source.path) as program, worker() as router, worker() as attackers:

        def laps() -> list[float]:
            read = (router.call(readers.read_table, program.address, source.digest) for _ in range(ROUNDS))
            return [response.end_s for response in read]

        laps()  # the image is made, and the reader's pages are touched
        times, memory = {"before": laps()}, {"before": memory_kib(program.pid, "VmRSS")}
        began = time.perf_counter()
        attackers.call(readers.Siege.begin, program.address, silent_count, SLOW)
        seconds = time.perf_counter() - began
        time.sleep(SETTLE_S)
        reading = attackers.begin(readers.Siege.read_slowly, SLOW_FOR_S, PAUSE_S)
        times["during"], memory["during"] = laps(), memory_kib(program.pid, "VmRSS")
        reading()
        attackers.call(readers.Siege.close)
        time.sleep(SETTLE_S)
        times["after"], memory["after"] = laps(), memory_kib(program.pid, "VmRSS")
    run.add(FIGURE, f"{silent_count:,} silent and {SLOW} slow ones connect", PYRTR, Unit.SECONDS, [seconds])
    for when in ("before", "during", "after"):
        run.add(FIGURE, f"whole table to one router, {when}", PYRTR, Unit.SECONDS, times[when])
        run.add(FIGURE, f"memory, {when}", PYRTR, Unit.KIB, [memory[when]])
