"""Following another pyRTR: what is committed and published of what it says, and what is not."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.generations import SERIES, content, fill, memory_folder
from tests.http_server import HttpServer, response
from tests.other import FIRST_SERIAL, PUBLISHED_AT, Other
from tests.quiet import Log

from pyrtr.compiler.agenda import Policy
from pyrtr.compiler.follower import FIRST_PAUSE_S, IDLE_PAUSE_S, MAX_PAUSE_S, STORED_AGE_S, Follower, Upstream
from pyrtr.compiler.job import Task
from pyrtr.compiler.ledger import Ledger
from pyrtr.errors import StoreError
from pyrtr.server.publisher import Published, Publisher
from pyrtr.settings import OnStale
from pyrtr.sources.fetch.request import SourceTls
from pyrtr.sources.follow.messages import Followed, Order, Position
from pyrtr.sources.follow.worker import Copyist
from pyrtr.sources.location import Location
from pyrtr.sources.pyrtr import PyrtrSource
from pyrtr.store.sessions import new_session_ids
from pyrtr.store.state import Store
from pyrtr.store.table_file import content_digest
from pyrtr.wire.enums import Version
from pyrtr.wire.pdu import Timing

MAX_AGE_S = 3600.0


class Source(PyrtrSource):
    """Does the work here, where it is done by a process."""

    def __init__(self, location: Location) -> None:
        super().__init__(location, SourceTls())
        self.copyist = Copyist()

    async def look(self, known: Position | None, table: Path, steps: Path) -> Followed:
        order = Order(self.location.text, self._tls, self._limits, known, 0.0, str(table), str(steps))
        return await asyncio.to_thread(self.copyist.follow, order)

    async def stop(self) -> None:
        self.copyist.close()


class Program:
    """As much of the program as follows another one."""

    def __init__(self, folder: Path, other: Other, on_stale: OnStale = OnStale.HOLD, max_steps: int = 1000) -> None:
        self.now = PUBLISHED_AT
        self.gates: list[bool] = []
        self._location = Location.parse(other.url)
        self._folder = folder / "state"
        self._policy = Policy(900, MAX_AGE_S, on_stale, 20, 21600)
        self._max_steps = max_steps

    async def start(self) -> Program:
        self.store = Store(self._folder)
        self.publisher = Publisher(Published(Timing(), new_session_ids()))
        self.published: list[Published] = []
        self.publisher.subscribe(self._note)
        self.source = Source(self._location)
        upstream = Upstream(self.source)
        ledger = Ledger(
            self.store, self.publisher, max_steps=self._max_steps, initial_serial=None, upstream=upstream.key
        )
        self.follower = Follower(
            upstream,
            ledger,
            self._policy,
            gate=self.gates.append,
            clock=lambda: self.now,
        )
        await self.follower.recover()
        return self

    def _note(self) -> None:
        """What is published has been committed."""
        current = self.follower._ledger.current
        assert current is not None
        assert self.publisher.current.content == current.content
        assert self.publisher.current.serial == current.serial
        self.published.append(self.publisher.current)

    def stop(self) -> None:
        self.source.copyist.close()
        self.store.close()
        self.publisher.close()

    async def restart(self) -> None:
        self.stop()
        await self.start()

    def serves(self, other: Other) -> bool:
        """Whether what is published is what the other publishes."""
        current = self.publisher.current
        return (
            current.table == other.table
            and current.serial == other.serial
            and current.content == content_digest(other.table)
            and {version.name: list(ids) for version, ids in current.session_ids.items()} == other.sessions
            and current.may_catch_up
        )

    @property
    def log(self) -> Log:
        log = self.follower._log
        assert isinstance(log, Log)
        return log

    @property
    def serials(self) -> list[int]:
        return list(self.publisher.current.history.serials)


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrtr.compiler.updater.get_logger", Log)


@pytest.fixture
def other() -> Iterator[Other]:
    with HttpServer() as server:
        yield Other(server, *SERIES[:3])


@pytest.fixture
def folder() -> Iterator[Path]:
    with memory_folder() as folder:
        yield folder


@pytest.fixture
async def program(folder: Path, other: Other) -> AsyncIterator[Program]:
    program = await Program(folder, other).start()
    yield program
    program.stop()


async def test_a_first_copy(program: Program, other: Other) -> None:
    assert not program.publisher.current.is_ready
    assert await program.follower.look() == 0
    assert program.serves(other)
    assert program.serials == [FIRST_SERIAL, FIRST_SERIAL + 1]
    current = program.publisher.current
    assert (current.published_at, dict(current.metadata)) == (PUBLISHED_AT, {"buildmachine": "tests"})
    status = program.follower.status
    assert (status.error, status.success_count, status.generation_counts[Task.LOAD]) == (None, 1, 1)
    [place] = program.follower.places
    assert place.status.is_used
    assert place.built_at == program.follower.agenda.built_at == PUBLISHED_AT - 60
    details = place.details()
    assert (details["whole_copies"], details["updates"], details["healthy"]) == (1, 0, True)
    assert (program.log.events("warning"), program.log.events("error")) == ([], [])


async def test_each_update_is_a_step(program: Program, other: Other) -> None:
    await program.follower.look()
    for payload in SERIES[3:]:
        other.publish(payload)
        await program.follower.look()
        assert program.serves(other)
    other.publish(SERIES[0])
    other.publish(SERIES[1])  # two at once
    await program.follower.look()
    assert program.serves(other)
    assert program.serials == [step[0] for step in other.steps]
    details = program.source.details()
    assert (details["whole_copies"], details["updates"]) == (1, 4)


async def test_a_restart_goes_on(program: Program, other: Other) -> None:
    await program.follower.look()
    before = content(program.follower._ledger.current)
    counts = program.follower.status.counts
    await program.restart()
    assert program.serves(other)
    assert content(program.follower._ledger.current) == before
    assert program.follower.status.counts == counts != {}
    other.publish(SERIES[3])
    await program.follower.look()
    assert program.serves(other)
    assert program.source.details()["whole_copies"] == 0
    assert len(program.serials) == 3


async def test_as_much_history_as_is_wanted(folder: Path, other: Other) -> None:
    program = await Program(folder, other, max_steps=1).start()
    await program.follower.look()
    assert program.serials == [FIRST_SERIAL + 1]
    other.publish(SERIES[3])
    await program.follower.look()
    assert program.serials == [0]
    program.stop()


async def test_nothing_new(program: Program, other: Other) -> None:
    """Nobody is told; its age goes on, and is stored now and then."""
    await program.follower.look()
    count = len(program.published)
    other.built_at = PUBLISHED_AT
    assert IDLE_PAUSE_S / 2 <= await program.follower.look() <= IDLE_PAUSE_S * 1.5
    assert program.follower.agenda.built_at == PUBLISHED_AT
    other.built_at = PUBLISHED_AT + STORED_AGE_S + 1
    await program.follower.look()
    assert len(program.published) == count
    assert program.follower.places[0].status.unchanged_count == 2
    await program.restart()
    assert program.follower.agenda.built_at == PUBLISHED_AT + STORED_AGE_S + 1
    assert sum(program.follower.status.counts.values()) == len(other.table)


async def test_a_port_that_is_taken_hides_nothing(program: Program, other: Other) -> None:
    """What is committed is published, or it would never be."""
    await program.follower.look()

    def taken(_: bool) -> None:
        raise OSError(98, "Address already in use")

    program.follower._gate = taken
    other.publish(SERIES[3])
    await program.follower.look()
    assert program.serves(other)
    assert program.log.events("error") == ["routers can't be let in again"]


async def test_a_session_of_version_0_is_added(program: Program, other: Other) -> None:
    """The other was restarted; routers of both its sessions are served here, too."""
    await program.follower.look()
    other.sessions["V0"] = [9, 10]
    await program.follower.look()
    assert program.serves(other)
    assert program.publisher.current.is_session(Version.V0, 10)
    assert len(program.serials) == 2
    assert program.source.details()["whole_copies"] == 1


async def test_another_session_is_a_new_copy(program: Program, other: Other) -> None:
    await program.follower.look()
    other.sessions = {"V0": [20], "V1": [21], "V2": [22]}
    other.serial = 5
    other.steps.clear()
    other.publish(SERIES[3])
    await program.follower.look()
    assert program.serves(other)
    assert program.serials == [5]


async def test_what_others_left_is_left_alone(folder: Path, other: Other) -> None:
    """A state of a source of our own, and one of another pyRTR."""
    newest = fill(folder / "state").serial
    program = await Program(folder, other).start()
    assert not program.publisher.current.is_ready
    assert program.log.lines == [("warning", "state of another source is not used", {"serial": newest})]
    await program.follower.look()
    assert program.serves(other)
    program.stop()
    with HttpServer() as server:
        second = Other(server, SERIES[5])
        second.sessions = {"V0": [30], "V1": [31], "V2": [32]}
        program = await Program(folder, second).start()
        assert not program.publisher.current.is_ready
        await program.follower.look()
        assert program.serves(second)
        program.stop()
    store = Store(folder / "state")
    assert store.recovered is not None
    assert len(store.recovered.history.steps) == 0
    store.close()


async def test_one_that_is_away(program: Program, other: Other) -> None:
    """What it said last is served on; it is asked again after longer and longer, and said once."""
    await program.follower.look()
    other.steps_answer = response(status=502)
    pauses = [await program.follower.look() for _ in range(12)]
    assert FIRST_PAUSE_S / 2 <= pauses[0] <= FIRST_PAUSE_S
    assert MAX_PAUSE_S / 2 <= pauses[-1] <= MAX_PAUSE_S
    assert program.log.events("error") == ["source refused"]
    status = program.follower.status
    assert status.error == "HTTP status 502"
    assert (status.failure_count, program.follower.places[0].status.failure_count) == (12, 12)
    assert program.gates[-1]
    other.steps_answer = None
    other.publish(SERIES[3])
    assert await program.follower.look() == 0
    assert program.serves(other)
    assert program.follower.status.error is None


def lie(answer: list[Any]) -> None:
    answer[0]["content"] = "0" * 64


async def test_one_that_is_not_what_it_says(program: Program, other: Other) -> None:
    """No router is served, until it is; the steps alone being wrong is mended by a copy."""
    await program.follower.look()
    other.publish(SERIES[3])
    other.spoil_steps = lie
    await program.follower.look()
    assert program.serves(other)
    assert program.log.events("warning") == ["steps refused"]
    other.publish(SERIES[4])
    other.spoil_table = lie
    before = program.publisher.current
    for _ in range(2):
        assert await program.follower.look() > 0
        assert program.publisher.current is before
        assert program.gates[-1] is False
    status = program.follower.status
    assert status.divergence == f"{other.url}: serial 2 differs from what it says it is"
    assert status.error == status.divergence
    other.spoil_table = id
    await program.follower.look()
    assert program.serves(other)
    assert program.follower.status.divergence is None
    assert program.gates[-1]


async def test_one_that_was_set_back(program: Program, other: Other) -> None:
    """It serves a state from a backup: serials that routers have seen come again, and mean something else."""
    await program.follower.look()
    other.publish(SERIES[3])
    await program.follower.look()
    other.serial = FIRST_SERIAL
    other.steps.clear()
    await program.follower.look()
    assert program.follower.status.divergence == (
        f"{other.url}: it was at serial 1, and is at {FIRST_SERIAL} of the same session"
    )
    for payload in (SERIES[5], SERIES[4], SERIES[0], SERIES[1]):  # as far as we are, and beyond
        other.publish(payload)
    for _ in range(2):
        await program.follower.look()
        assert "differs from what it was before" in program.follower.status.divergence
        assert program.gates[-1] is False
        other.publish(SERIES[2])
    other.sessions = {"V0": [20], "V1": [21], "V2": [22]}
    await program.follower.look()
    assert (program.serves(other), program.gates[-1]) == (True, True)


async def test_one_whose_serial_means_something_else_now(program: Program, other: Other) -> None:
    """Without any history on either side the current serial alone gives it away."""
    other.steps.clear()
    await program.follower.look()
    before = program.publisher.current
    other.publish(SERIES[3])
    other.steps.clear()
    other.serial = before.serial
    await program.follower.look()
    assert program.follower.status.divergence == (
        f"{other.url}: serial {before.serial} differs from what it was before"
    )
    assert (program.publisher.current, program.gates[-1]) == (before, False)


async def test_a_table_that_is_not_what_was_written(
    program: Program, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    await program.follower.look()
    before = program.publisher.current
    other.publish(SERIES[3])
    look = program.source.look

    async def lying(known: Position | None, table: Path, steps: Path) -> Followed:
        return msgspec.structs.replace(await look(known, table, steps), digest=bytes(32))

    with monkeypatch.context() as patch:
        patch.setattr(program.source, "look", lying)
        assert await program.follower.look() > 0
    assert program.publisher.current is before
    assert str(program.follower.status.storage_error).endswith("is not what was written")
    await program.follower.look()
    assert program.serves(other)


async def test_what_can_not_be_stored_is_not_published(
    program: Program, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    await program.follower.look()
    before = program.publisher.current
    other.publish(SERIES[3])

    def no_room(*_: object) -> None:
        raise StoreError("history.db can't be written: database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(program.store, "commit", no_room)
        assert await program.follower.look() > 0
    assert program.publisher.current is before
    assert program.follower.status.storage_error is not None
    assert program.log.events("error") == ["state can't be stored"]
    await program.follower.look()
    assert program.serves(other)
    assert not program.follower.status.storage_error


@pytest.mark.parametrize("on_stale", OnStale)
async def test_stale_data(folder: Path, other: Other, on_stale: OnStale) -> None:
    """By the other's own time. An empty set would need a serial that is not the other's, so there is none."""
    program = await Program(folder, other, on_stale).start()
    await program.follower.look()
    program.now += MAX_AGE_S
    other.publish(SERIES[3])
    await program.follower.look()
    assert program.serves(other)
    assert program.gates[-1] is (on_stale is OnStale.HOLD)
    await program.restart()
    assert not program.publisher.current.is_ready  # it is looked at first
    await program.follower.look()
    assert program.serves(other)
    other.built_at = program.now
    await program.follower.look()
    program.follower._let_in_or_out(program.now)
    assert program.gates[-1] is True
    program.stop()


async def test_it_runs_until_it_is_stopped(program: Program, other: Other) -> None:
    """SIGHUP ends a pause; data that turns stale meanwhile closes the gate."""
    program.follower.agenda.policy = dataclasses.replace(program.follower.agenda.policy, on_stale=OnStale.CLOSE)
    other.table_answer = response(status=503)
    running = asyncio.create_task(program.follower.run())
    async with asyncio.timeout(10):
        while program.follower.status.failure_count < 4:  # noqa: ASYNC110 - no event tells so
            await asyncio.sleep(0.01)
        other.table_answer = None
        program.follower.trigger()
        while not program.publisher.current.is_ready:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        program.now += MAX_AGE_S
        program.follower.trigger()
        while program.gates[-1]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
