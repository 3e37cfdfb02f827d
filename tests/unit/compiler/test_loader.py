"""The loader: what is published when, and what is said about what went wrong."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.inputs import SMALL
from tests.quiet import drive
from tests.unit.compiler.program import (
    FIRST_SERIAL,
    MORE,
    NOW,
    RELOAD_S,
)

from pyrtr.compiler import process
from pyrtr.compiler.job import Job, Report, Task
from pyrtr.errors import SourceError
from pyrtr.sources.base import Found, Validators

# Loads


def test_the_first_load(start):
    program = start()
    assert (program.serial, program.loader.agenda.due(NOW)) == (None, Task.LOAD)
    program.offer(SMALL)
    program.step()
    assert (program.serial, program.payload) == (FIRST_SERIAL, set(SMALL))
    status = program.loader.status
    assert (status.success_count, status.failure_count, status.error, status.storage_error) == (1, 0, None, None)
    assert (status.last_attempt, status.last_success) == (NOW, NOW)
    assert sum(status.counts.values()) == len(SMALL)
    assert status.found is not None
    assert status.found.built_at == NOW
    assert status.generation_counts[Task.LOAD] == 1
    assert program.loader.agenda.load_at == NOW + RELOAD_S
    assert program.publisher.current.metadata["buildmachine"] == "tests"


def test_a_load_without_a_change_makes_no_serial(start):
    """But its times are taken over, also on disk."""
    program = start()
    program.load(SMALL, expires=int(NOW) + 5000)
    program.now += 60
    program.load(SMALL[::-1], expires=int(NOW) + 9000)
    assert len(program.published) == 1
    assert program.loader.agenda.next_expiry == NOW + 9000
    assert program.loader.agenda.built_at == NOW + 60
    assert program.loader.status.generation_counts[Task.LOAD] == 1
    assert program.publisher.current.published_at == NOW
    program.restart()
    assert (program.serial, program.loader.agenda.next_expiry) == (FIRST_SERIAL, NOW + 9000)
    assert (program.loader.agenda.built_at, program.publisher.current.published_at) == (NOW + 60, NOW)


def test_a_change_makes_a_serial_and_a_step(start):
    program = start()
    program.load(SMALL)
    program.load(MORE)
    program.load(SMALL)
    current = program.publisher.current
    assert (program.serial, program.payload) == (1, set(SMALL))
    assert current.history.serials == (FIRST_SERIAL, 0)
    assert [published.serial for published in program.published] == [FIRST_SERIAL, 0, 1]


def test_history_reaches_back_as_far_as_it_may(start):
    program = start(max_steps=2)
    for payload in (SMALL, MORE) * 3:
        program.load(payload)
    assert program.publisher.current.history.serials == (2, 3)
    program.restart()
    assert program.publisher.current.history.serials == (2, 3)


def test_a_source_that_is_refused_changes_nothing(start):
    program = start()
    program.load(SMALL)
    program.source.write_text('{"roas": [')
    program.loader.trigger()
    program.step()
    status = program.loader.status
    assert (program.serial, program.payload) == (FIRST_SERIAL, set(SMALL))
    assert "not a whole JSON document" in str(status.error)
    assert (status.success_count, status.failure_count, status.last_success) == (1, 1, NOW)
    assert program.log.events("error") == ["source refused"]
    assert program.loader.agenda.load_at == NOW + 5
    program.offer(MORE)
    program.pass_time(5)
    program.step()
    assert (program.payload, program.loader.status.error) == (set(MORE), None)


def test_a_bug_changes_nothing_either(start, monkeypatch):
    program = start()
    program.load(SMALL)

    async def broken(_: Job) -> Report:
        raise RuntimeError("oh")

    with monkeypatch.context() as patch:
        patch.setattr(process, "run", broken)
        program.load(MORE)
    assert program.payload == set(SMALL)
    assert program.loader.status.error == "internal error: RuntimeError('oh')"
    assert program.log.events("exception") == ["task failed"]
    program.pass_time(5)
    program.step()
    assert program.payload == set(MORE)


def test_records_that_are_dropped_are_told(start):
    program = start()
    program.load((*SMALL, SMALL[0]))
    assert program.log.lines[-1][1:] == ("records dropped", {"source": str(program.source), "duplicate": 1})


@pytest.mark.parametrize(("ahead_s", "is_told"), [(60, False), (61, True), (10**7, True)])
def test_a_source_that_is_dated_in_the_future_is_told(ahead_s, is_told, start):
    program = start()
    program.load(SMALL, built_at=NOW + ahead_s)
    assert program.payload == set(SMALL)
    assert ("source is dated in the future" in program.log.events("warning")) is is_told


# Expiry


def test_what_ends_goes_at_its_time(start):
    program = start()
    first, second = SMALL[:3], SMALL[3:]
    program.load(SMALL, expires=int(NOW) + 100)
    document = json.loads(program.source.read_bytes())
    for record in document["roas"][:2]:
        record["expires"] = int(NOW) + 50
    program.source.write_text(json.dumps(document))
    program.loader.trigger()
    program.step()
    assert program.serial == FIRST_SERIAL
    program.pass_time(49.999)
    assert program.payload == {*first, *second}
    program.pass_time(0.002)
    assert (program.payload, program.serial) == (set(SMALL[2:]), 0)
    program.pass_time(50)
    program.step()
    assert (program.payload, program.serial) == (set(), 1)
    assert program.tasks.count(Task.EXPIRE) == 2
    assert program.publisher.current.history.serials == (FIRST_SERIAL, 0)
    assert program.publisher.current.metadata["buildmachine"] == "tests"
    assert program.loader.agenda.built_at == NOW


def test_what_went_by_a_clock_that_was_wrong_comes_back_with_the_next_look(start):
    """Though the source is as it was."""
    program = start()
    program.load(SMALL, expires=int(NOW) + 3600)
    program.now += 86400
    program.pass_time(1)
    assert program.payload == set()
    program.now = NOW + 60
    program.pass_time(RELOAD_S)
    assert program.payload == set(SMALL)


def test_looks_get_their_turn_however_much_expires(start, monkeypatch):
    """A compilation takes longer here than it takes for the next VRP to end."""
    program = start()
    document = {"roas": [{"prefix": f"192.0.2.{n}/32", "asn": 1, "expires": NOW + n} for n in range(1, 200)]}
    program.source.write_text(json.dumps(document))
    program.step()
    compile_at_once = process.run

    async def slow(job: Job) -> Report:
        program.now += 3
        return await compile_at_once(job)

    monkeypatch.setattr(process, "run", slow)
    program.loader.agenda.load_at = program.now
    program.tasks.clear()
    program.now += 2
    program.step()
    program.step()
    assert program.tasks == [Task.EXPIRE, Task.LOAD]


# The loop


async def test_it_runs_by_itself(start):
    program = start()
    program.offer(SMALL)
    seen: asyncio.Queue[int] = asyncio.Queue()
    program.publisher.subscribe(lambda: seen.put_nowait(program.publisher.current.serial))
    task = asyncio.create_task(program.loader.run())
    assert await asyncio.wait_for(seen.get(), 5) == FIRST_SERIAL
    program.offer(MORE)
    program.loader.trigger()
    program.loader.trigger()
    assert await asyncio.wait_for(seen.get(), 5) == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert program.loader.status.success_count == 2


async def test_what_ends_does_not_wait_for_a_server_that_takes_its_time(start, monkeypatch):
    program = start()
    program.load(SMALL, expires=int(NOW) + 1000)
    loop = asyncio.get_running_loop()
    started = loop.time()
    asked, empty = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(program.loader.places[0].feed, "look", slow)
    monkeypatch.setattr(program.loader, "_clock", lambda: NOW + 999.9 + loop.time() - started)
    program.publisher.subscribe(empty.set)
    task = asyncio.create_task(program.loader.run())
    await asyncio.wait_for(asked.wait(), 5)
    assert program.payload == set(SMALL)
    await asyncio.wait_for(empty.wait(), 5)
    assert program.payload == set()
    task.cancel()
    await asyncio.wait([task], timeout=5)


def test_what_ended_while_a_server_took_its_time_does_not_come_back(start, monkeypatch):
    program = start(max_shrink=100.0)
    program.load(SMALL, expires=int(NOW) + 60)
    look = program.loader.places[0].feed.look

    async def slow(known: Validators | None) -> Found | None:
        program.now += 100
        found: Found | None = await look(known)
        return found

    monkeypatch.setattr(program.loader.places[0].feed, "look", slow)
    program.load(MORE, expires=int(NOW) + 60)
    assert program.payload == set()
    assert program.loader.status.last_success == program.now


def test_a_load_that_is_cancelled_is_no_failure(start, monkeypatch):
    program = start()
    program.offer(SMALL)

    async def cancelled(_: Job) -> Report:
        raise asyncio.CancelledError

    monkeypatch.setattr(process, "run", cancelled)
    with pytest.raises(asyncio.CancelledError):
        drive(program.loader._do(Task.LOAD))
    assert program.loader.status.error is None


def test_a_process_that_dies_is_a_reason(start, monkeypatch):
    program = start()
    program.load(SMALL)

    async def dead(_: Job) -> Report:
        raise SourceError("the compile process was killed by SIGKILL")

    monkeypatch.setattr(process, "run", dead)
    program.load(MORE)
    assert (program.serial, program.loader.status.storage_error) == (FIRST_SERIAL, None)
    assert program.loader.status.error == "the compile process was killed by SIGKILL"
