"""Many connected routers: what each costs, and how soon all have an update."""

from __future__ import annotations

import resource
import time

from bench import readers
from bench.programs import memory_kib, pyrtr
from bench.report import Run, line, mebibytes, milliseconds, title
from bench.worker import worker

IDLE = 10_000
SPARE_DESCRIPTORS = 200
FLEET = 1_000
SETTLE_S = 1.0


def idle(run: Run) -> None:
    """Memory of routers that are connected, up to date and silent."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE, hard - SPARE_DESCRIPTORS)
    with pyrtr(run.folder, run.inputs.first) as program, worker() as reader:
        response = reader.call(readers.take_apart, program.address)
        before = memory_kib(program.pid, "VmRSS")
        began = time.perf_counter()
        reader.call(readers.Idlers.connect, program.address, count, response)
        seconds = time.perf_counter() - began
        time.sleep(SETTLE_S)
        extra = memory_kib(program.pid, "VmRSS") - before
        reader.call(readers.Idlers.close)
    title(f"idle: {count:,} routers connected and up to date (of {IDLE:,}; the limit of descriptors is {hard:,})")
    line("extra memory", mebibytes(extra), f"{extra / count:.1f} KiB a router")
    line("to connect them all and answer each", milliseconds(seconds), f"{count / seconds:,.0f} a second")


def update(run: Run) -> None:
    """An update of 0.1 % to many connected routers that all ask at once."""
    size = run.inputs.delta_bytes + readers.EMPTY_RESPONSE_BYTES
    with pyrtr(run.folder, run.inputs.first) as program, worker() as reader:
        response = reader.call(readers.take_apart, program.address)
        reader.call(readers.Idlers.connect, program.address, FLEET, response)
        following = reader.begin(readers.Idlers.follow, response, size)
        program.reload(run.inputs.second)
        seconds = following()
    changes = f"{run.inputs.changed_count:,} VRPs in place of others, {size / 1000:.1f} kB a router"
    title(f"update: {changes}, {FLEET:,} routers that ask as soon as they are told")
    line("first Serial Notify to the last router's End of Data", milliseconds(seconds))
