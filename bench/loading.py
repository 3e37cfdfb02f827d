"""From JSON on disk to what is published: how long it takes, the memory it takes, and what routers notice of it."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import readers
from bench.programs import Pyrtr, memory_kib, pyrtr
from bench.report import Run, line, mebibytes, milliseconds, title
from bench.worker import Worker, worker

ROUNDS = 2
RELOADS = 2
REST_S = 2.0
TRICKLE_PAUSE_S = 0.001
MARGIN_S = 0.4

# Typed records of the same members that pyRTR needs, and nothing done with them.
_DECODE = """
import gc, sys, time
import msgspec

class Roa(msgspec.Struct, gc=False):
    prefix: str
    asn: int
    maxLength: int
    ta: str
    expires: int

class Document(msgspec.Struct, gc=False):
    roas: list[Roa]

gc.disable()
start = time.perf_counter()
with open(sys.argv[1], "rb") as file:
    document = msgspec.json.decode(file.read(), type=Document)
print(time.perf_counter() - start, len(document.roas))
"""


def load(run: Run) -> None:
    """JSON on disk to published, beside a bare decode of the same file."""
    first, second = run.inputs.first, run.inputs.second
    decodes = []
    starts = []
    reloads = []
    for _ in range(ROUNDS):
        decodes.append(_decode(first))
        with pyrtr(run.folder, first) as program:
            starts.append(program.wait_for("ready")[0] - program.started)
            reloads.append(program.reload(second))
    title(f"load: {run.inputs.size_mb:.1f} MB of JSON to published (mean of {ROUNDS})")
    decode, start, again = map(statistics.mean, (decodes, starts, reloads))
    line("bare msgspec decode, fresh process", milliseconds(decode))
    line("pyRTR, start of the program to ready", milliseconds(start), f"{start / decode:.1f} x the decode")
    line("pyRTR, SIGHUP to published, 0.1 % changed", milliseconds(again), f"{again / decode:.1f} x the decode")


def memory(run: Run) -> None:
    """Memory of the serving process and of the compile process, through a start, a full response and a reload."""
    with pyrtr(run.folder, run.inputs.first) as program, worker() as reader:
        at_start = memory_kib(program.pid, "VmRSS")
        reader.call(readers.take_apart, program.address)
        program.reload(run.inputs.second)
        reader.call(readers.take_apart, program.address)
        at_rest, anonymous, mapped = (memory_kib(program.pid, name) for name in ("VmRSS", "RssAnon", "RssFile"))
        peak, peaks = memory_kib(program.pid, "VmHWM"), program.peaks
    title("memory: resident, with a million VRPs, after a full response, a reload, and another full response")
    line("serving process, ready, nothing asked yet", mebibytes(at_start))
    split = f"{mebibytes(anonymous)} of its own, {mebibytes(mapped)} of mapped files"
    line("serving process at rest", mebibytes(at_rest), split)
    line("serving process, peak", mebibytes(peak))
    line("compile process, peak", mebibytes(peaks.compile_kib))
    line("both at one moment, peak", mebibytes(peaks.sum_kib))


def pause(run: Run) -> None:
    """The longest wait for a small answer while a million VRPs are loaded, beside the longest at rest."""
    figures: dict[str, list[float]] = {}
    with pyrtr(run.folder, run.inputs.first) as program, worker() as asker:
        asker.call(readers.take_apart, program.address)
        sources = itertools.cycle((run.inputs.second, run.inputs.first))
        reload_s = program.reload(next(sources))
        for name in ("RTR", "HTTP"):
            figures[f"{name} at rest"] = _ask(program, asker, name, REST_S)()
            during: list[float] = []
            for _ in range(RELOADS):
                asking = _ask(program, asker, name, reload_s + MARGIN_S)
                time.sleep(MARGIN_S / 4)
                program.reload(next(sources))
                during += asking()
            figures[f"{name} while reloading"] = during
    title(f"pause: a small question every millisecond or so, {RELOADS} reloads each")
    for name, laps in figures.items():
        laps.sort()
        beside = f"99.9 %: {milliseconds(laps[int(len(laps) * 0.999)])}   median: {milliseconds(laps[len(laps) // 2])}"
        line(f"{name}, longest of {len(laps):,}", milliseconds(laps[-1]), beside)


def _ask(program: Pyrtr, asker: Worker, name: str, seconds: float) -> Callable[[], list[float]]:
    if name == "RTR":
        return asker.begin(readers.rtr_round_trips, program.address, seconds, TRICKLE_PAUSE_S)
    return asker.begin(readers.http_round_trips, program.http_port, seconds, TRICKLE_PAUSE_S)


def _decode(source: Path) -> float:
    output = subprocess.run((sys.executable, "-c", _DECODE, str(source)), check=True, capture_output=True).stdout
    return float(output.split()[0])
