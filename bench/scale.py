"""What a router costs the serving process, and whether that foretells what more of them cost (docs/scale.md)."""

from __future__ import annotations

import resource
from statistics import median

from bench import readers
from bench.fleet import SPARE_DESCRIPTORS
from bench.programs import own_cpu_seconds, pyrtr
from bench.report import PYRTR, Run, Unit
from bench.worker import worker

SCALE = "scale"
SMALL, LARGE = 1_000, 5_000
CHANGE = "15 VRPs"
POLL_EACH, UPDATE_EACH = "processor time of a Serial Query with nothing new", f"processor time of an update of {CHANGE}"
UPDATE_BASE = f"processor time of the serving process to take over {CHANGE}, no router connected"
PREDICTED = f"the same for {LARGE:,} routers by the model: the base, and {LARGE:,} times one router's"
MEASURED = f"the same for {LARGE:,} routers, measured"


def scale(run: Run) -> None:
    """Processor time by routers: of polls, and of an update, with none, some and many connected."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < LARGE + SPARE_DESCRIPTORS:
        run.remark(f"{SCALE} is not measured: the limit of descriptors is {hard:,}")
        return
    costs = {count: [_update(run, count) for _ in range(run.rounds)] for count in (0, SMALL, LARGE)}
    bases = [own_s for own_s, _, _ in costs[0]]
    run.add(SCALE, UPDATE_BASE, PYRTR, Unit.SECONDS, bases)
    base_s = median(bases)
    each_s = [(own_s - base_s) / SMALL for own_s, _, _ in costs[SMALL]]
    run.add(SCALE, f"{UPDATE_EACH}, a router of {SMALL:,}", PYRTR, Unit.SECONDS, each_s)
    run.add(
        SCALE, f"{POLL_EACH}, a router of {SMALL:,}", PYRTR, Unit.SECONDS, [poll / SMALL for _, poll, _ in costs[SMALL]]
    )
    run.add(
        SCALE, f"{POLL_EACH}, a router of {LARGE:,}", PYRTR, Unit.SECONDS, [poll / LARGE for _, poll, _ in costs[LARGE]]
    )
    run.add(SCALE, PREDICTED, PYRTR, Unit.SECONDS, [base_s + LARGE * median(each_s)])
    run.add(SCALE, MEASURED, PYRTR, Unit.SECONDS, [own_s for own_s, _, _ in costs[LARGE]])
    for count in (SMALL, LARGE):
        what = f"first Serial Notify to the last of {count:,} routers' End of Data, {CHANGE}"
        run.add(SCALE, what, PYRTR, Unit.SECONDS, [seconds for _, _, seconds in costs[count]])


def _update(run: Run, count: int) -> tuple[float, float, float]:
    """With so many routers: processor time of an update and of a poll by all, and how long the update took them."""
    source = run.inputs.later[CHANGE]
    size = source.delta_bytes + readers.EMPTY_RESPONSE_BYTES
    with pyrtr(run.folder, run.inputs.first.path) as program, worker() as reader:
        held = reader.call(readers.read_table, program.address, run.inputs.first.digest)
        reader.call(readers.Idlers.connect, program.address, count, held)
        before = own_cpu_seconds(program.pid)
        reader.call(readers.Idlers.poll, held)
        polled = own_cpu_seconds(program.pid)
        following = reader.begin(readers.Idlers.follow, held, size)
        program.reload(source.path)
        first, last = following()
        return own_cpu_seconds(program.pid) - polled, polled - before, last - first
