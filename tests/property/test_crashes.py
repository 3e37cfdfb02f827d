"""Loads, expiries, restarts and crashes in any order: no router loses its place, and none is told something false.

The real loader and store run on a disk that a crash can come to at any moment, and strict routers of every version
come and go. What they must hold is worked out with plain sets.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest
from tests.crashes import Crash, Disk
from tests.generations import content, memory_folder
from tests.inputs import NEVER, Payload, aspa, router_key, rpki_client_json, visible, vrp
from tests.model_near import Router
from tests.quiet import drive, quieten
from tests.unit.compiler.program import place, replace

from pyrtr.compiler.agenda import Policy
from pyrtr.compiler.job import Task
from pyrtr.compiler.ledger import Ledger
from pyrtr.compiler.loader import Loader
from pyrtr.compiler.slurm import SlurmPlaces
from pyrtr.payload.order import vrps_of
from pyrtr.payload.table import PayloadTable
from pyrtr.server.publisher import Published, Publisher
from pyrtr.settings import Merge, OnStale
from pyrtr.store.sessions import new_session_ids
from pyrtr.store.state import Store
from pyrtr.wire.pdu import Timing

NOW = 1_795_404_155
RUNS = 60
POOL: tuple[Payload, ...] = (
    *(vrp(f"192.0.2.{number * 32}/27", 64496) for number in range(5)),
    *(vrp("2001:db8::/32", 64496, length) for length in (32, 40, 48)),
    *(router_key(number) for number in range(1, 4)),
    *(aspa(64496, *providers) for providers in ((64497,), (64498, 64499))),
    aspa(64500, 64501),
)
ALWAYS = aspa(64511, 64510)  # a load without any ASPA would be held back


def tuples_of(table: PayloadTable) -> frozenset[Payload]:
    vrps = (("vrp", str(v.prefix), v.max_length, v.asn) for v in (*vrps_of(table.ipv4), *vrps_of(table.ipv6)))
    keys = (("key", key.ski, key.asn, key.spki) for key in table.router_keys)
    return frozenset((*vrps, *keys, *(("aspa", a.customer_asn, a.provider_asns) for a in table.aspas)))


class RecordedStore(Store):
    """Says what was to be committed when the crash came."""

    disk: Disk
    attempted: object = None
    committed: object = None

    def commit(self, generation, steps, cause, story=None):
        self.disk.is_commit_done = False
        self.attempted = content(generation)
        super().commit(generation, steps, cause, story)
        self.committed, self.attempted = self.attempted, None


class World:
    """One state folder, what was ever published from it, and the routers that were told."""

    def __init__(self, folder: Path, disk: Disk, seed: int) -> None:
        self.random = random.Random(seed)
        self.disk = disk
        self.folder = folder / "state"
        self.source = folder / "json"
        self.now = float(NOW)
        self.max_steps = self.random.choice((0, 2, 1000))
        self.names: dict[tuple[int, int, int], frozenset[Payload]] = {}  # what each state ever meant
        self.serials: list[int] = []  # in the order in which they came to be
        self.held: dict[Payload, int] = {}  # with their ends
        self.offered: dict[Payload, int] = {}
        self.routers = [Router(version) for version in (0, 1, 2, 0, 2)]
        self.committed: object = None
        self.counts: Counter[str] = Counter()
        self.store: RecordedStore | None = None

    # What happens

    def start(self) -> None:
        self.is_loading = False
        self.store = None
        store = RecordedStore.__new__(RecordedStore)
        store.disk = self.disk
        store.committed = self.committed
        self.store = store
        store.__init__(self.folder)  # type: ignore[misc]
        assert store.set_aside_reason is None
        assert content(store.recovered) == self.committed
        self.publisher = Publisher(Published(Timing(), new_session_ids()))
        self.publisher.subscribe(self._published)
        self.loader = Loader(
            [place(self.source, store.path)],
            Merge.FAILOVER,
            SlurmPlaces([], {}),
            Ledger(store, self.publisher, max_steps=self.max_steps, initial_serial=2**32 - 3),
            Policy(3600, 10**9, OnStale.HOLD, 100, 3600),
            gate=lambda _: None,
            clock=lambda: self.now,
        )
        drive(self.loader.recover())

    def stop(self) -> None:
        assert self.store is not None
        self.store.close()
        self._leave()

    def crash(self, *, is_power_cut: bool) -> None:
        assert self.store is not None
        if self.store.attempted is not None and self.disk.is_commit_done:
            self.committed = self.store.attempted
            if self.is_loading:
                self.held = self.offered
        elif self.store.attempted is None:
            self.committed = self.store.committed
        self.store._stack.close()  # the lock goes with the process
        self.disk.restart(is_power_cut=is_power_cut)
        self._leave()

    def load(self) -> None:
        payload = [value for value in POOL if self.random.random() < 0.6]
        self.random.shuffle(payload)
        soon = self.random.choice((NEVER, int(self.now) + 3, int(self.now) + 30))
        unique = {value[:2] if value[0] == "aspa" else value: value for value in payload}
        self.offered = {value: self.random.choice((NEVER, soon)) for value in unique.values()} | {ALWAYS: NEVER}
        document: dict[str, list[object]] = {"roas": [], "bgpsec_keys": [], "aspas": []}
        for value, expires in self.offered.items():
            records = rpki_client_json([value], expires=expires)
            for kind, entries in document.items():
                entries += cast("list[object]", records[kind])
        replace(self.source, msgspec.json.encode(document))
        self._do(Task.LOAD)
        self.held = self.offered

    def expire(self) -> None:
        if self.loader.agenda.due(self.now) is Task.EXPIRE:
            self._do(Task.EXPIRE)

    # What must hold then

    def check(self) -> None:
        assert self.store is not None
        assert self.store.attempted is None, self.loader.status.storage_error
        self.committed = self.store.committed
        published = self.publisher.current
        if published.table is None:
            assert self.committed is None
            return
        self._published()
        expected = {value for value, expires in self.held.items() if expires > self.now}
        assert tuples_of(published.table) == expected
        for router in self.routers:
            router.notify(published, self.now)
            chance = self.random.random()
            if chance < 0.2:
                router.disconnect()
            elif chance < 0.7:
                self._sync(router, expected)

    def _sync(self, router: Router, expected: set[Payload]) -> None:
        core = router.core
        is_known = core.session_id is not None
        back = len(self.serials) - 1 - self.serials.index(core.serial) if is_known else 0
        before = core.full_syncs
        router.sync(self.publisher.current, self.now)
        assert core.payload == visible(core.version, expected)
        assert core.serial == self.publisher.current.serial
        is_full = core.full_syncs > before
        assert is_full is (not is_known or back > self.max_steps), f"{back} serials back of {self.max_steps}"
        self.counts["first syncs" if not is_known else "beyond HISTORY" if is_full else "incremental syncs"] += 1

    def _published(self) -> None:
        published = self.publisher.current
        assert published.table is not None
        assert self.store is not None
        assert content(self.loader._ledger.current) == self.store.committed, "published before it was committed"
        meaning = tuples_of(published.table)
        for version, session_ids in published.session_ids.items():
            for session_id in session_ids:
                state = (version, session_id, published.serial)
                assert self.names.setdefault(state, meaning) == meaning, f"{state} means two things"
        if published.serial not in self.serials:
            # A generation may have been committed by a crash's victim, who never told anyone.
            before = self.serials[-1] if self.serials else published.serial - 1
            gap = (published.serial - before) % 2**32
            assert 1 <= gap <= 2
            self.serials += [(before + step) % 2**32 for step in range(1, gap + 1)]

    def _do(self, task: Task) -> None:
        self.is_loading = task is Task.LOAD
        self.loader.agenda.clock_read(self.now)
        drive(self.loader._do(task))
        assert self.loader.status.error is None

    is_loading = False

    def _leave(self) -> None:
        if hasattr(self, "publisher"):
            self.publisher.close()
        for router in self.routers:
            router.disconnect()


@pytest.fixture
def disk(monkeypatch) -> Disk:
    quieten(monkeypatch)
    disk = Disk()
    disk.install(monkeypatch)
    return disk


@pytest.fixture
def folder() -> Iterator[Path]:
    with memory_folder() as path:
        yield path


def test_any_order_of_events(disk, folder):
    counts: Counter[str] = Counter()
    for seed in range(RUNS):
        (folder / str(seed)).mkdir()
        world = World(folder / str(seed), disk, seed)
        try:
            run(world)
        except AssertionError as error:
            error.add_note(f"in run {seed}")
            raise
        counts += world.counts
    print(dict(counts))
    assert counts["crashes"] > 3 * RUNS
    assert counts["crashes after the commit"] > RUNS / 8
    assert counts["incremental syncs"] > 10 * RUNS


def run(world: World) -> None:
    world.start()
    for _ in range(14):
        world.now += world.random.choice((0, 1, 5, 61))
        event = world.random.choice(("load", "load", "load", "expire", "restart"))
        if world.random.random() < 0.5:
            world.disk.crash_in = world.random.randrange(45)
        happen(world, event)
        world.expire()  # what ended meanwhile
        world.check()
    world.stop()


def restart(world: World) -> None:
    world.stop()
    world.start()


def survives(act: Callable[[], object]) -> bool:
    """Whether it comes to its end. After a crash nothing holds on to a cursor or a frame of it any more."""
    try:
        act()
    except Crash:
        return False
    return True


def happen(world: World, event: str) -> None:
    acts = {"load": world.load, "expire": world.expire, "restart": lambda: restart(world)}
    has_survived = survives(acts[event])
    while not has_survived:
        assert world.store is not None
        world.counts["crashes"] += 1
        is_after = world.store.attempted is not None and world.disk.is_commit_done
        world.counts["crashes after the commit"] += is_after
        world.crash(is_power_cut=world.random.random() < 0.5)
        if world.random.random() < 0.2:
            world.disk.crash_in = world.random.randrange(30)  # the next start has no luck either
        has_survived = survives(world.start)
    world.disk.crash_in = None


@pytest.mark.parametrize("is_power_cut", [False, True])
def test_a_crash_at_each_point_of_a_load(is_power_cut, disk, folder):
    """The third load of three: its table and delta, its commit, what is tidied after it, and publishing."""
    outcomes = []
    for crash_in in range(200):
        path = folder / str(crash_in)
        path.mkdir()
        world = World(path, disk, seed=4)
        world.start()
        world.load()
        world.load()
        world.check()
        disk.crash_in = crash_in
        if survives(world.load):
            disk.crash_in = None
            world.stop()
            break
        assert world.store is not None
        outcomes.append(world.store.attempted is not None and disk.is_commit_done)
        world.crash(is_power_cut=is_power_cut)
        world.start()
        world.check()
        world.stop()
    assert len(outcomes) < 200, "the load never came to its end"
    assert (outcomes.count(False) > 20, outcomes.count(True) > 1) == (True, True)
    assert outcomes == sorted(outcomes)
