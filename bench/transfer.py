"""Full tables: to one router, to many at once, and to many that do not read."""

from __future__ import annotations

import statistics
import time

from bench import readers
from bench.programs import Address, Pyrtr, forget_peak, memory_kib, pyrtr, raw_sender
from bench.readers import Response
from bench.report import Run, line, mebibytes, milliseconds, rate, title
from bench.worker import worker

ROUNDS = 15
CROWD = 200
CROWD_ROUNDS = 3
STALLED_S = 2.0


def full_table(run: Run) -> None:
    """The whole table to one router, beside a bare loop of `sendall` of the same octets to the same reader."""
    body = run.folder / "response"
    with pyrtr(run.folder, run.inputs.first) as program, worker() as reader:
        began = time.perf_counter()
        response = reader.call(readers.take_apart, program.address, body)
        first = time.perf_counter() - began
        with raw_sender(body) as raw:
            laps: dict[Address, list[float]] = {raw: [], program.address: []}
            for _ in range(ROUNDS):
                for address, times in laps.items():
                    times.append(reader.call(readers.read_table, address, response.size))
    _title("full-table: the whole table to one router", response, f"median of {ROUNDS}")
    raw_s, pyrtr_s = (statistics.median(times) for times in laps.values())
    line("raw sendall", milliseconds(raw_s), rate(response.size, raw_s))
    line("pyRTR", milliseconds(pyrtr_s), f"{rate(response.size, pyrtr_s)}   {raw_s / pyrtr_s:.2f} of raw")
    line("pyRTR, best", milliseconds(min(laps[program.address])), f"raw, best: {milliseconds(min(laps[raw]))}")
    line("pyRTR, first one to ask (encodes; read PDU by PDU)", milliseconds(first))


def crowd(run: Run) -> None:
    """The whole table to many routers at once, beside the same sum of octets by `sendall`."""
    body = run.folder / "response"
    with pyrtr(run.folder, run.inputs.first) as program, worker() as reader:
        response = reader.call(readers.take_apart, program.address, body)
        with raw_sender(body) as raw:
            laps: dict[Address, list[float]] = {raw: [], program.address: []}
            extra = 0.0
            for _ in range(CROWD_ROUNDS):
                for address, times in laps.items():
                    before = _rest(program)
                    lap = reader.call(readers.read_tables, address, response.size, CROWD)
                    times.append(lap)
                    if address == program.address:
                        extra = max(extra, memory_kib(program.pid, "VmHWM") - before)
        before = _rest(program)
        reader.call(readers.Idlers.ask_and_stall, program.address, CROWD)
        time.sleep(STALLED_S)
        stalled = memory_kib(program.pid, "VmHWM") - before
        reader.call(readers.Idlers.close)
    _title(f"crowd: the whole table to {CROWD} routers at once", response, f"median of {CROWD_ROUNDS}")
    total = response.size * CROWD
    raw_s, pyrtr_s = (statistics.median(times) for times in laps.values())
    line("raw sendall, one after the other", milliseconds(raw_s), rate(total, raw_s))
    line("pyRTR", milliseconds(pyrtr_s), f"{rate(total, pyrtr_s)} in sum   {raw_s / pyrtr_s:.2f} of raw")
    line("extra memory, most of all rounds", mebibytes(extra), f"{extra / CROWD:,.1f} KiB a router")
    line(f"extra memory, {CROWD} that ask and never read", mebibytes(stalled), f"{stalled / CROWD:,.1f} KiB a router")


def _rest(program: Pyrtr) -> int:
    """What the program holds now; its peak starts again from there."""
    forget_peak(program.pid)
    return memory_kib(program.pid, "VmRSS")


def _title(what: str, response: Response, how: str) -> None:
    title(f"{what} ({response.payload_count:,} PDUs, {response.size / 1e6:.1f} MB, version 1; {how})")
