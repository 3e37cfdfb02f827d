"""Many connected routers: what each costs, and how soon all have an update."""

from __future__ import annotations

import resource
import time

from bench import readers
from bench.programs import memory_kib, pyrtr
from bench.report import PYRTR, Run, Unit
from bench.worker import worker
from pyrtr.wire.enums import Version

IDLE_FIGURE, UPDATE_FIGURE = "idle", "fan-out"
IDLE_EACH = "extra memory, connected and up to date"
IDLE = 10_000
SPARE_DESCRIPTORS = 200
FLEET = 1_000
SETTLE_S = 1.0


def update_name(version: Version) -> str:
    """The name of that figure."""
    return f"published to the last of {FLEET:,} routers' End of Data, version {version.value}"


def idle(run: Run) -> None:
    """Memory of routers that are connected, up to date and silent."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE, hard - SPARE_DESCRIPTORS)
    with pyrtr(run.folder, run.inputs.first.path) as program, worker() as reader:
        held = reader.call(readers.read_table, program.address, run.inputs.first.digest)
        before = memory_kib(program.pid, "VmRSS")
        before_s = program.cpu_s
        began = time.perf_counter()
        reader.call(readers.Idlers.connect, program.address, count, held)
        seconds = time.perf_counter() - began
        cpu_s = program.cpu_s - before_s
        time.sleep(SETTLE_S)
        extra = memory_kib(program.pid, "VmRSS") - before
        quiet_s = program.cpu_s
        time.sleep(SETTLE_S)
        quiet_s = (program.cpu_s - quiet_s) / SETTLE_S
        reader.call(readers.Idlers.close)
    if count < IDLE:
        run.remark(f"{count:,} of {IDLE:,} idle routers: the limit of descriptors is {hard:,}")
    run.add(IDLE_FIGURE, IDLE_EACH, PYRTR, Unit.KIB_PER_ROUTER, [extra / count])
    run.add(IDLE_FIGURE, "to connect and to answer a Serial Query", PYRTR, Unit.COUNT_PER_SECOND, [count / seconds])
    run.add(IDLE_FIGURE, "processor time of that, each", PYRTR, Unit.SECONDS, [cpu_s / count])
    run.add(IDLE_FIGURE, "processor time a second, while all are silent", PYRTR, Unit.SECONDS, [quiet_s])


def update(run: Run) -> None:
    """An update of 0.1 % to many connected routers that all ask as soon as they are told."""
    with pyrtr(run.folder, run.inputs.first.path) as program, worker() as reader:
        serving, other = run.inputs.first, run.inputs.second
        size = other.delta_bytes + readers.EMPTY_RESPONSE_BYTES
        for version in (Version.V1, Version.V2):
            laps = []
            for _ in range(run.rounds):
                held = reader.call(readers.read_table, program.address, serving.digest, None, version)
                reader.call(readers.Idlers.connect, program.address, FLEET, held, version)
                following = reader.begin(readers.Idlers.follow, held, size, version)
                published, _ = program.published(other.path)
                serving, other = other, serving
                first, last = following()
                reader.call(readers.Idlers.close)
                laps.append(last - min(first, published))
            run.add(UPDATE_FIGURE, update_name(version), PYRTR, Unit.SECONDS, laps)
