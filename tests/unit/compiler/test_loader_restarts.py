"""What a restart goes on from, what can't be stored, and what can't be proved."""

from __future__ import annotations

import asyncio
import dataclasses

import msgspec
import pytest
from tests.inputs import SMALL, aspa
from tests.unit.compiler.program import (
    FIRST_SERIAL,
    HALF,
    MANY,
    MAX_AGE_S,
    MORE,
    NOW,
    no_room,
)

from pyrtr.compiler import pipeline, process
from pyrtr.compiler.job import Job, Report
from pyrtr.compiler.worker import compile_table
from pyrtr.errors import StoreError
from pyrtr.payload.delta import NO_CHANGE, difference
from pyrtr.settings import OnStale
from pyrtr.sources.base import Found, Validators
from pyrtr.store.database import Database
from pyrtr.wire.enums import Version

# Restarts


@pytest.mark.parametrize("payload", [SMALL, MORE], ids=["the same", "another"])
def test_what_another_pyrtr_left_is_no_beginning_of_ours(start, payload):
    """It is served as it is until there is data of our own, which begins sessions of its own, whatever it is."""
    program = start()
    program.load(SMALL)
    program.load(MORE)
    store, current = program.store, program.loader._ledger.current
    store.commit(dataclasses.replace(current, upstream="another"), (), "load")
    program.restart()
    before = program.publisher.current
    assert (before.session_ids, before.serial, before.may_catch_up) == (current.session_ids, current.serial, True)
    program.load(payload)
    after = program.publisher.current
    assert (program.serial, program.payload) == (FIRST_SERIAL, set(payload))
    assert after.session_ids.keys() == before.session_ids.keys()
    assert all(set(after.session_ids[version]).isdisjoint(before.session_ids[version]) for version in Version)
    assert (after.history.serials, after.may_catch_up) == ((), False)
    program.restart()
    assert program.publisher.current.session_ids[Version.V2] == after.session_ids[Version.V2]


def test_a_restart_goes_on_at_once(start):
    program = start()
    program.load(SMALL)
    program.load(MORE)
    before = program.publisher.current
    program.source.unlink()
    program.restart(after_s=1000)
    after = program.publisher.current
    assert (program.serial, program.payload) == (0, set(MORE))
    assert after.history.serials == before.history.serials == (FIRST_SERIAL,)
    assert (after.published_at, after.metadata) == (before.published_at, before.metadata)
    assert len(program.published) == 1
    program.step()
    assert (program.serial, program.payload) == (0, set(MORE))
    assert program.loader.status.error is not None


def test_what_another_location_gave_is_told_after_a_restart(start):
    program = start()
    program.load(SMALL)
    told = program.loader.status.counts, program.loader.status.vrps_by_anchor
    program.sources[0] = program.sources[0].with_name("other")
    program.restart()
    assert program.payload == set(SMALL)
    assert (program.loader.status.counts, program.loader.status.vrps_by_anchor) == told


def test_session_ids_after_restarts(start):
    program = start()
    program.load(SMALL)
    ids = [program.publisher.current.session_ids]
    for _ in range(3):
        program.restart()
        ids.append(program.publisher.current.session_ids)
    for version in (Version.V1, Version.V2):
        assert {each[version] for each in ids} == {ids[0][version]}
    told = [each[Version.V0][0] for each in ids]
    assert len(set(told)) == 4
    assert ids[-1][Version.V0] == tuple(reversed(told))
    program.load(MORE)
    assert program.publisher.current.session_ids == ids[-1]


def test_what_ended_meanwhile_is_never_served_again(start):
    program = start()
    program.load(SMALL, expires=int(NOW) + 100)
    program.restart(after_s=100)
    assert (program.serial, program.payload) == (0, set())
    assert [published.serial for published in program.published] == [0]
    assert program.publisher.current.history.serials == (FIRST_SERIAL,)


def test_what_ended_meanwhile_and_can_not_be_taken_away_is_not_served_again(start, monkeypatch):
    program = start()
    program.load((*SMALL, MORE[-1]), expires=int(NOW) + 100)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "commit", no_room)
        program.restart(after_s=100)
        assert program.loader.status.expiry_error is not None
        assert (program.serial, program.published) == (None, [])
    program.offer(SMALL)
    program.pass_time(6)
    assert program.payload == set(SMALL)
    assert [published.serial for published in program.published] == [0]


@pytest.mark.parametrize("on_stale", OnStale)
@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_restart_with_stale_data_looks_at_the_source_first(is_fresh, on_stale, start):
    program = start(on_stale=on_stale)
    program.load(SMALL)
    program.restart(after_s=MAX_AGE_S + 1)
    assert not program.published
    if is_fresh:
        program.offer(MORE)
    program.step()
    program.step()
    if is_fresh:
        assert (program.serial, program.payload, program.gates[-1]) == (0, set(MORE), True)
    elif on_stale is OnStale.WITHDRAW:
        assert (program.serial, program.payload) == (0, set())
    else:
        assert (program.serial, program.payload) == (FIRST_SERIAL, set(SMALL))
        assert program.gates[-1] is (on_stale is OnStale.HOLD)


@pytest.mark.parametrize("offered", [MORE, HALF])
async def test_a_server_that_takes_its_time_after_such_a_restart_is_waited_for(offered, start, monkeypatch):
    """Nothing is withdrawn before the first look, which is judged by what was served before."""
    program = start(on_stale=OnStale.WITHDRAW)
    program.load(SMALL if offered is MORE else MANY)
    program.restart(after_s=MAX_AGE_S)
    program.offer(offered)
    look = program.loader.places[0].feed.look
    asked, answered, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(known: Validators | None) -> Found | None:
        asked.set()
        await answered.wait()
        found: Found | None = await look(known)
        return found

    monkeypatch.setattr(program.loader.places[0].feed, "look", slow)
    program.publisher.subscribe(done.set)
    task = asyncio.create_task(program.loader.run())
    await asyncio.wait_for(asked.wait(), 5)
    for _ in range(50):
        await asyncio.sleep(0)
    assert (program.published, program.loader.agenda.is_withdrawn) == ([], False)
    answered.set()
    await asyncio.wait_for(done.wait(), 5)
    assert program.serial == 0
    if offered is MORE:
        assert (program.payload, program.loader.status.held) == (set(MORE), None)
    else:  # what is held back is not served, and what is stale is not either
        assert (program.payload, program.loader.status.held is not None) == (set(), True)
    task.cancel()
    await asyncio.wait([task], timeout=5)


def test_a_source_that_is_refused_after_such_a_restart(start):
    program = start()
    program.load(SMALL)
    program.restart(after_s=MAX_AGE_S + 1)
    program.source.unlink()
    program.step()
    assert (program.serial, program.payload) == (FIRST_SERIAL, set(SMALL))


# Storage


def test_what_can_not_be_stored_is_not_published(start, monkeypatch):
    program = start()
    program.load(SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "commit", no_room)
        program.load(MORE)
        assert (program.serial, program.payload) == (FIRST_SERIAL, set(SMALL))
        assert str(program.loader.status.storage_error).endswith("disk is full")
        assert program.log.events("error") == ["state can't be stored"]
        assert not (program.folder / "table-2").exists()
    program.pass_time(5)
    program.step()
    assert (program.serial, program.payload) == (0, set(MORE))
    assert (program.loader.status.error, program.loader.status.storage_error) == (None, None)


def test_a_table_that_can_not_be_written(start, monkeypatch):
    program = start()
    program.load(SMALL)

    async def full(_: Job) -> Report:
        raise StoreError("table-2 can't be written: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(process, "run", full)
        program.load(MORE)
        assert str(program.loader.status.storage_error).startswith("table-2")
        assert program.serial == FIRST_SERIAL
    program.load(MORE)
    assert (program.serial, program.loader.status.storage_error) == (0, None)


def test_a_table_that_is_not_what_was_written(start, monkeypatch):
    program = start()
    program.load(SMALL)

    async def lying(job: Job) -> Report:
        return msgspec.structs.replace(compile_table(job), digest=bytes(32))

    monkeypatch.setattr(process, "run", lying)
    program.load(MORE)
    assert program.serial == FIRST_SERIAL
    assert "is not what was written" in str(program.loader.status.error)


def test_an_expiry_that_can_not_be_stored_is_tried_again(start, monkeypatch):
    program = start()
    program.load(SMALL, expires=int(NOW) + 10)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "commit", no_room)
        program.pass_time(11)
        assert program.payload == set(SMALL)
        assert program.log.events("error") == ["payload can't be taken away"]
    program.pass_time(6)
    assert program.payload == set()


def test_a_restart_on_a_full_disk_serves_what_there_is(start, monkeypatch):
    program = start()
    program.load(SMALL)
    ids = program.publisher.current.session_ids
    with monkeypatch.context() as patch:
        patch.setattr(Database, "commit", no_room)
        program.restart()
    assert (program.serial, program.payload) == (FIRST_SERIAL, set(SMALL))
    assert program.publisher.current.session_ids == ids
    assert program.loader.status.storage_error is not None
    program.load(MORE)
    assert (program.serial, program.loader.status.storage_error) == (0, None)


# Proof


@pytest.mark.parametrize("falsehood", ["too little", "nothing at all"])
def test_a_delta_that_is_not_proved_is_never_sent(falsehood, start, monkeypatch):
    """The table is right all the same; routers get Cache Reset, at another serial."""
    program = start()
    program.load(MORE)
    program.load(SMALL)
    assert program.publisher.current.history.serials == (FIRST_SERIAL,)

    def wrong(old, new):
        delta = difference(old, new)
        return NO_CHANGE if falsehood == "nothing at all" else dataclasses.replace(delta, aspas=())

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "difference", wrong)
        program.load((*MORE, aspa(64500, 64501)))
    assert (program.serial, program.payload) == (1, {*MORE, aspa(64500, 64501)})
    assert program.publisher.current.history.serials == ()
    assert program.loader.status.unproved_count == 1
    assert program.log.events("error") == ["delta failed its proof: routers get the whole table"]
    program.load(MORE)
    assert program.publisher.current.history.serials == (1,)
    program.restart()
    assert (program.serial, program.publisher.current.history.serials) == (2, (1,))
