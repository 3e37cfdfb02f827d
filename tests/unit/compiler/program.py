"""The loader on a clock that is set by hand, with compilations in this process: starts, stops, and time that passes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from tests.inputs import NEVER, SMALL, Payload, many, rpki_client_bytes, vrp
from tests.quiet import Log, drive

from pyrtr.compiler.agenda import Policy
from pyrtr.compiler.job import Task
from pyrtr.compiler.ledger import Ledger
from pyrtr.compiler.loader import Loader
from pyrtr.compiler.place import Place
from pyrtr.compiler.slurm import SlurmPlaces
from pyrtr.errors import StoreError
from pyrtr.payload.order import vrps_of
from pyrtr.payload.table import PayloadTable
from pyrtr.server.publisher import Published, Publisher
from pyrtr.settings import Merge, OnStale
from pyrtr.sources.fetch.feed import DocumentFeed
from pyrtr.sources.fetch.request import SourceTls
from pyrtr.sources.location import Location
from pyrtr.store.sessions import new_session_ids
from pyrtr.store.state import Store
from pyrtr.wire.pdu import Timing

NOW = 1_795_404_155.0
_WRITES = itertools.count()
RELOAD_S, MAX_AGE_S, HOLD_S = 900.0, 86400.0, 21600.0
FIRST_SERIAL = 2**32 - 1

MORE = (*SMALL, vrp("192.0.2.128/25"))
MANY = (*many(100), *SMALL)
HALF = (*many(50), *SMALL)


def no_room(*_: object) -> None:
    raise StoreError("history.db can't be written: database or disk is full")


def replace(path: Path, body: bytes) -> None:
    """Put another file in its place, as validators do: one that no signature takes for the one before."""
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(body)
    os.utime(new, ns=(0, int(NOW) * 10**9 + next(_WRITES)))
    new.replace(path)


def place(path: Path, folder: Path) -> Place:
    """A local file of rpki-client's."""
    location = Location("file", str(path))
    return Place("RPKICLIENT", location, str(path), DocumentFeed(location, folder, SourceTls()))


class Program:
    """As much of the program as decides what is published."""

    def __init__(self, folder: Path, **settings) -> None:
        self.folder = folder / "state"
        self.source = folder / "json"
        self.now = NOW
        self.settings = {
            "on_stale": OnStale.HOLD,
            "max_shrink": 20.0,
            "max_steps": 1000,
            "merge": Merge.FAILOVER,
            "slurm": (),
            "others": 0,
            "history_days": None,
            **settings,
        }
        self.sources = [self.source, *(folder / f"json-{number}" for number in range(self.settings["others"]))]
        self.gates: list[bool] = []
        self.tasks: list[Task] = []

    def start(self) -> Program:
        self.store = Store(self.folder, self.settings["history_days"])
        self.publisher = Publisher(Published(Timing(), new_session_ids()))
        self.published: list[Published] = []
        self.publisher.subscribe(lambda: self.published.append(self.publisher.current))
        policy = Policy(RELOAD_S, MAX_AGE_S, self.settings["on_stale"], self.settings["max_shrink"], HOLD_S)
        ledger = Ledger(self.store, self.publisher, max_steps=self.settings["max_steps"], initial_serial=FIRST_SERIAL)
        self.loader = Loader(
            [place(path, self.store.path) for path in self.sources],
            self.settings["merge"],
            SlurmPlaces([Location("file", str(path)) for path in self.settings["slurm"]], {}),
            ledger,
            policy,
            gate=self.gates.append,
            clock=lambda: self.now,
        )
        self.loader.agenda.random = lambda: 0.0
        drive(self.loader.recover())
        return self

    def restart(self, *, after_s: float = 0) -> Program:
        self.stop()
        self.now += after_s
        return self.start()

    def stop(self) -> None:
        self.store.close()
        self.publisher.close()

    def offer(
        self, payload: Iterable[Payload], *, expires: int = NEVER, built_at: float | None = None, place: int = 0
    ) -> None:
        """What a validator writes; by itself just now."""
        moment = datetime.fromtimestamp(self.now if built_at is None else built_at, UTC)
        replace(self.sources[place], rpki_client_bytes(payload, expires=expires, build_time=moment.isoformat()))

    def load(self, payload: Iterable[Payload], **source) -> None:
        self.offer(payload, **source)
        self.loader.trigger()
        self.step()

    def step(self) -> None:
        """One turn of `Loader.run`."""
        loader = self.loader
        loader.agenda.clock_read(self.now)
        if loader._wanted.is_set():
            loader._wanted.clear()
            self._do(Task.LOAD)
        elif (task := loader.agenda.due(self.now)) is not None:
            self._do(task)
        loader._let_in_or_out(self.now)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(5000):
            self.step()
            pause_s = self.loader.agenda.pause_s(self.now)
            if self.now + pause_s > end:
                self.now = end
                return
            self.now += pause_s
        raise AssertionError("it never rests")

    def _do(self, task: Task) -> None:
        self.tasks.append(task)
        drive(self.loader._do(task))

    # What there is to see

    @property
    def log(self) -> Log:
        log = self.loader._log
        assert isinstance(log, Log)
        return log

    @property
    def serial(self) -> int | None:
        current = self.publisher.current
        return current.serial if current.is_ready else None

    @property
    def payload(self) -> set[Payload] | None:
        table = self.publisher.current.table
        return None if table is None else payload_of(table)


def payload_of(table: PayloadTable | None) -> set[Payload]:
    """What a table holds; nothing without one."""
    if table is None:
        return set()
    vrps = [*vrps_of(table.ipv4), *vrps_of(table.ipv6)]
    return {
        *(("vrp", str(vrp.prefix), vrp.max_length, vrp.asn) for vrp in vrps),
        *(("key", key.ski, key.asn, key.spki) for key in table.router_keys),
        *(("aspa", aspa.customer_asn, aspa.provider_asns) for aspa in table.aspas),
    }


Start = Callable[..., Program]
