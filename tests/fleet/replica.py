"""A replica on a clock that is set by hand, with compilations in this process."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.fleet.sea import Boat, Sea
from tests.inputs import Payload
from tests.quiet import drive
from tests.unit.compiler.program import HOLD_S, MAX_AGE_S, NOW, RELOAD_S, Program, no_room, place

from pyrtr.compiler.agenda import Policy
from pyrtr.compiler.slurm import SlurmPlaces
from pyrtr.fleet import worker
from pyrtr.fleet.ledger import FleetLedger
from pyrtr.fleet.member import Member
from pyrtr.fleet.status import FleetStatus
from pyrtr.server.publisher import Published, Publisher
from pyrtr.sources.location import Location
from pyrtr.store.sessions import new_session_ids
from pyrtr.store.state import Store
from pyrtr.wire.enums import Version
from pyrtr.wire.pdu import Timing


class Replica(Program):
    """One of several.

    Args:
        folder: of its own.
        sea: what all share.
        name: of the replica.
        shared: settings that have to agree.

    Attributes:
        is_full: whether nothing more goes on its disk.
    """

    loader: Member

    def __init__(self, folder: Path, sea: Sea, name: str, shared: dict[str, str] | None = None, **settings) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder, **settings)
        self.sea = sea
        self.name = name
        self.shared = shared or {"HOLD": "1"}
        self.starts = 0
        self.is_full = False

    def start(self) -> Replica:
        self.starts += 1
        self.boat = Boat(self.sea, f"{self.name}-{self.starts}")
        self.store = Store(self.folder)
        commit = self.store.commit
        self.store.commit = lambda *arguments: no_room() if self.is_full else commit(*arguments)  # type: ignore[method-assign]
        self.publisher = Publisher(Published(Timing(), new_session_ids()))
        self.published: list[Published] = []
        self.publisher.subscribe(lambda: self.published.append(self.publisher.current))
        status = FleetStatus("sea", f"{self.name}-{self.starts}")
        ledger = FleetLedger(
            self.store,
            self.publisher,
            self.boat,
            status,
            max_steps=self.settings["max_steps"],
            initial_serial=None,
            is_filtered=bool(self.settings["slurm"]),
        )
        policy = Policy(RELOAD_S, MAX_AGE_S, self.settings["on_stale"], self.settings["max_shrink"], HOLD_S)
        self.loader = Member(
            [place(path, self.store.path) for path in self.sources],
            self.settings["merge"],
            SlurmPlaces([Location("file", str(path)) for path in self.settings["slurm"]], {}),
            ledger,
            policy,
            status,
            self.shared,
            gate=self.gates.append,
            clock=lambda: self.now,
            monotonic=lambda: self.sea.now,
        )
        self.loader._taker._companion.ask = self._make  # type: ignore[assignment,method-assign]
        self.loader.agenda.random = lambda: 0.0
        self._sleeps_until = self.now
        drive(self.loader.recover())
        return self

    async def _make(self, order: worker.Order, *, timeout_s: float) -> worker.Made:
        assert timeout_s > 0
        if self.is_full:
            no_room()
        return worker.make(order)

    @property
    def now(self) -> float:
        return NOW + self.sea.now

    @now.setter
    def now(self, now: float) -> None:
        assert now >= NOW

    def beat(self) -> None:
        """One turn of what a member does by itself."""
        drive(self.loader.beat())
        self.turn()
        drive(self.loader.exchange())

    def turn(self) -> None:
        """One turn of `Loader.run`, unless it sleeps (see `Loader._pause`)."""
        loader = self.loader
        if loader._rescheduled.is_set() or loader._wanted.is_set() or self.now >= self._sleeps_until:
            self.step()
            loader._rescheduled.clear()
            self._sleeps_until = self.now + loader.agenda.pause_s(self.now)

    def rename(self, name: str) -> None:
        """Be called so from now on, as another may be."""
        self.fleet.member = self.boat.member = name

    def crash(self) -> None:
        """Without a word to the others."""
        self.store._stack.close()
        self.store._database.close()
        self.publisher.close()

    def offer_all(self, payload: Iterable[Payload]) -> None:
        """What its validator writes, and that it is looked at."""
        self.offer(payload)
        self.loader.trigger()

    @property
    def fleet(self) -> FleetStatus:
        """What an operator is told."""
        assert self.loader.fleet is not None
        return self.loader.fleet

    @property
    def held_back(self) -> tuple[str, ...]:
        """Why a load is held back."""
        held = self.loader.status.held
        return () if held is None else held.reasons

    @property
    def holds(self) -> frozenset[Payload]:
        """What it publishes."""
        assert self.payload is not None
        return frozenset(self.payload)

    @property
    def at(self) -> int:
        """The serial of that."""
        assert self.serial is not None
        return self.serial

    @property
    def state(self) -> tuple[tuple[tuple[int, ...], ...], int | None]:
        """Its sessions and serial."""
        ids = self.publisher.current.session_ids
        return tuple(ids[version] for version in Version), self.serial

    @property
    def table_path(self) -> Path:
        """The file of its table."""
        current = self.loader._ledger.current
        assert current is not None
        return current.table_path
