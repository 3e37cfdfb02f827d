"""Other caches, where they are installed, with the same input and the same reader."""

from __future__ import annotations

import shutil
import statistics
import time

from bench import readers
from bench.programs import BenchError, memory_kib, pyrtr, stayrtr
from bench.report import Run, line, mebibytes, milliseconds, rate, title
from bench.worker import TIMEOUT_S, worker

ROUNDS = 5
THEIR_ROUNDS = 1  # a table takes StayRTR seconds
POLL_S = 0.05


def stayrtr_beside(run: Run) -> None:
    """StayRTR: full table to one router, load time and memory, beside pyRTR."""
    found = shutil.which("stayrtr")
    if found is None:
        title("stayrtr: not measured, no `stayrtr` in PATH")
        return
    with worker() as reader:
        with stayrtr(found, run.inputs.first) as (pid, address, started):
            while (theirs := reader.call(readers.try_table, address)) is None:
                if time.monotonic() - started > TIMEOUT_S:
                    raise BenchError("StayRTR had no data in time")
                time.sleep(POLL_S)
            their_load = time.monotonic() - started - theirs[1]
            size = theirs[0].size
            their_laps = [reader.call(readers.read_table, address, size) for _ in range(THEIR_ROUNDS)]
            their_rest, their_peak = memory_kib(pid, "VmRSS"), memory_kib(pid, "VmHWM")
        with pyrtr(run.folder, run.inputs.first) as program:
            our_load = program.wait_for("ready")[0] - program.started
            ours = reader.call(readers.take_apart, program.address)
            our_laps = [reader.call(readers.read_table, program.address, ours.size) for _ in range(ROUNDS)]
            our_rest, our_peak = memory_kib(program.pid, "VmRSS"), program.peaks.sum_kib
    their_s, our_s = statistics.median(their_laps), statistics.median(our_laps)
    title(f"stayrtr: {found} beside pyRTR (full table: one, and the median of {ROUNDS})")
    line("StayRTR, full table to one router", milliseconds(their_s), rate(size, their_s))
    line("pyRTR", milliseconds(our_s), f"{rate(ours.size, our_s)}   {their_s / our_s:.0f} times as fast")
    line("StayRTR, start of the program to first data", milliseconds(their_load))
    line("pyRTR", milliseconds(our_load), f"{our_load / their_load:.2f} of StayRTR's time")
    line("StayRTR, resident at rest; peak", mebibytes(their_rest), mebibytes(their_peak))
    line("pyRTR; peak of both its processes at one moment", mebibytes(our_rest), mebibytes(our_peak))
    line("of StayRTR's", f"{our_rest / their_rest:.2f}", f"{our_peak / their_peak:.2f}")
