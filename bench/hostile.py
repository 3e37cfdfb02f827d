"""Peers that mean harm, in numbers: what they cost a router that means none, and the program."""

from __future__ import annotations

import resource
import statistics
import time

from bench import readers
from bench.programs import memory_kib, pyrtr
from bench.report import Run, line, mebibytes, milliseconds, title
from bench.worker import worker

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
    with pyrtr(run.folder, run.inputs.first) as program, worker() as router, worker() as attackers:
        response = router.call(readers.take_apart, program.address)

        def laps() -> list[float]:
            return [router.call(readers.read_table, program.address, response.size) for _ in range(ROUNDS)]

        usual, before = statistics.median(laps()), memory_kib(program.pid, "VmRSS")
        began = time.perf_counter()
        attackers.call(readers.Siege.begin, program.address, silent_count, SLOW)
        seconds = time.perf_counter() - began
        time.sleep(SETTLE_S)
        reading = attackers.begin(readers.Siege.read_slowly, SLOW_FOR_S, PAUSE_S)
        besieged = laps()
        during = memory_kib(program.pid, "VmRSS")
        reading()
        attackers.call(readers.Siege.close)
        time.sleep(SETTLE_S)
        relieved, after = statistics.median(laps()), memory_kib(program.pid, "VmRSS")
    title(f"hostile: the whole table to one router, beside {silent_count:,} silent connections and {SLOW} slow readers")
    line("before", milliseconds(usual), mebibytes(before))
    during_s = statistics.median(besieged)
    beside = f"{during_s / usual:.2f} of before, slowest of {ROUNDS} {milliseconds(max(besieged))}"
    line("during", milliseconds(during_s), f"{mebibytes(during)}   {beside}")
    line("after", milliseconds(relieved), mebibytes(after))
    line("to connect them all", milliseconds(seconds))
