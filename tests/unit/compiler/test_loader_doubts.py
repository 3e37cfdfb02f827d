"""What the loader doubts: loads that take too much away, and data that is too old."""

from __future__ import annotations

import asyncio

import pytest
from tests.inputs import SMALL, aspa, many, vrp
from tests.quiet import drive
from tests.unit.compiler.program import (
    FIRST_SERIAL,
    HALF,
    HOLD_S,
    MANY,
    MAX_AGE_S,
    MORE,
    NOW,
    RELOAD_S,
    Program,
    Start,
    no_room,
)

from pyrtr.compiler.job import Task
from pyrtr.settings import OnStale
from pyrtr.store.database import Database

# Held back


def held(start: Start) -> Program:
    program = start()
    program.load(MANY)
    program.load(HALF)
    return program


def test_a_load_that_takes_too_much_away_is_held_back(start):
    program = held(start)
    status = program.loader.status
    assert (program.serial, program.payload) == (FIRST_SERIAL, set(MANY))
    assert status.held is not None
    assert (status.held.since, status.held.losses.vrps) == (NOW, (104, 50))
    assert status.held.reasons[0] == "takes away 50 of 104 (48.1 %) VRPs, at most 20 % are accepted"
    assert (status.error, status.success_count) == (None, 2)
    assert program.log.lines[-1][:2] == ("error", "load held back")
    assert program.log.lines[-1][2]["accepted_in_s"] == HOLD_S
    assert sorted(path.name for path in program.folder.iterdir()) == ["history.db", "lock", "share-1-0", "table-1"]


def test_an_operator_accepts_it(start):
    program = held(start)
    assert program.loader.accept().startswith("accepted: the load that takes away 50 of 104")
    program.step()
    assert (program.serial, program.payload, program.loader.status.held) == (0, set(HALF), None)
    assert "held load accepted by the operator" in program.log.events("warning")
    assert program.loader.accept() == "nothing is held back"
    program.load(many(20))
    assert program.loader.status.held is not None, "the word was for one load"


def test_what_takes_more_than_was_accepted_is_held_back_again(start):
    program = held(start)
    program.now += 100
    program.offer(SMALL)
    program.loader.accept()
    program.step()
    assert program.payload == set(MANY)
    assert program.loader.status.held is not None
    held_now = program.loader.status.held
    assert (held_now.since, held_now.losses.vrps.lost) == (NOW + 100, 100), "HOLD begins anew"
    program.load(HALF)
    assert program.payload == set(MANY), "the word was for another load"


def test_it_is_accepted_when_hold_has_passed(start):
    program = held(start)
    program.pass_time(HOLD_S - 1)
    assert program.payload == set(MANY)
    assert program.tasks.count(Task.LOAD) == 2 + (HOLD_S - 1) // RELOAD_S
    program.pass_time(2)
    assert (program.serial, program.payload, program.loader.status.held) == (0, set(HALF), None)
    assert "held load accepted after HOLD" in program.log.events("warning")


def test_a_good_load_clears_it(start):
    program = held(start)
    program.load((*MANY, vrp("192.0.2.7/32")))
    assert (program.serial, program.loader.status.held) == (0, None)
    program.now += HOLD_S
    program.load(HALF)
    assert program.loader.status.held is not None
    assert program.loader.status.held.since == NOW + HOLD_S, "HOLD begins anew"


def test_a_clock_that_is_set_back_does_not_make_it_wait_longer(start):
    program = held(start)
    program.now -= 10**7
    program.pass_time(HOLD_S + RELOAD_S)
    program.step()
    assert program.payload == set(HALF)


@pytest.mark.parametrize("by", ["an operator", "HOLD"])
def test_a_full_disk_does_not_make_it_wait_again(by, start, monkeypatch):
    program = held(start)
    if by == "an operator":
        program.loader.accept()
    else:
        program.now += HOLD_S
    with monkeypatch.context() as patch:
        patch.setattr(Database, "commit", no_room)
        program.step()
    assert program.payload == set(MANY)
    program.pass_time(5)
    program.step()
    assert (program.payload, program.loader.status.held) == (set(HALF), None)


def test_a_load_without_any_aspa_is_held_back(start):
    program = start()
    program.load((*SMALL, aspa(64500, 64501)))
    program.load(SMALL[:5])
    held = program.loader.status.held
    assert held is not None
    assert held.reasons == ("takes away all 2 ASPAs",)


def test_expiry_is_not_held_back(start):
    program = start()
    program.load(MANY, expires=int(NOW) + 10)
    program.pass_time(11)
    assert program.payload == set()


# Stale


def stale(start: Start, on_stale: OnStale) -> Program:
    """The source is stuck for longer than MAX_AGE."""
    program = start(on_stale=on_stale)
    program.load(SMALL)
    program.pass_time(MAX_AGE_S - 1)
    assert program.payload == set(SMALL)
    assert program.gates[-1] is True
    program.pass_time(2)
    program.step()
    return program


def test_stale_data_is_held(start):
    program = stale(start, OnStale.HOLD)
    assert (program.serial, program.payload, program.gates[-1]) == (FIRST_SERIAL, set(SMALL), True)
    assert program.loader.agenda.is_stale(program.now)


def test_stale_data_is_withdrawn_and_comes_back(start):
    program = stale(start, OnStale.WITHDRAW)
    assert (program.serial, program.payload, program.gates[-1]) == (0, set(), True)
    assert program.loader.status.generation_counts[Task.WITHDRAW] == 1
    program.pass_time(3 * RELOAD_S)  # the source stays as it is
    assert (program.serial, program.payload) == (0, set())
    program.restart()
    assert (program.serial, program.payload) == (None, None), "one look at the source goes first"
    program.step()
    assert (program.serial, program.payload) == (0, set())
    program.load(MORE)
    assert (program.serial, program.payload) == (1, set(MORE))
    assert program.publisher.current.history.serials == (FIRST_SERIAL, 0)
    assert not program.loader.agenda.is_withdrawn


def test_a_look_that_finds_the_same_data_fresh_opens_the_gate_itself(start):
    program = stale(start, OnStale.CLOSE)
    assert program.gates[-1] is False
    program.offer(SMALL)
    drive(program.loader._do(Task.LOAD))
    assert (program.serial, program.gates[-1]) == (FIRST_SERIAL, True)


def test_stale_data_closes_the_gate_until_there_is_better(start):
    program = stale(start, OnStale.CLOSE)
    assert (program.serial, program.payload, program.gates[-1]) == (FIRST_SERIAL, set(SMALL), False)
    program.load(SMALL)  # the same, but of today
    assert (program.serial, program.gates[-1]) == (FIRST_SERIAL, True)


def test_a_first_load_that_is_stale(start):
    for on_stale, payload, gate in (
        (OnStale.CLOSE, set(SMALL), False),
        (OnStale.HOLD, set(SMALL), True),
        (OnStale.WITHDRAW, set(), True),
    ):
        program = start(on_stale=on_stale)
        program.folder = program.folder.with_name(on_stale.value)
        program.restart()
        program.load(SMALL, built_at=NOW - MAX_AGE_S - 1)
        assert (program.payload, program.gates[-1]) == (payload, gate)


async def test_data_that_turns_stale_between_two_looks_at_the_clock_is_not_overlooked(start):
    """The gate and the pause are judged at one moment: at the first of these it is fresh, and stale right after."""
    program = start(on_stale=OnStale.CLOSE)
    program.load(SMALL)
    stale_at = NOW + MAX_AGE_S
    moments = iter((stale_at - 2e-6, stale_at - 1e-6, stale_at - 1e-6, stale_at))
    program.loader._clock = lambda: next(moments, stale_at + 1.0)
    program.loader.agenda.load_at = stale_at + RELOAD_S
    program.gates.clear()
    running = asyncio.create_task(program.loader.run())
    async with asyncio.timeout(3):
        while False not in program.gates:  # noqa: ASYNC110 - the gate is a list here
            await asyncio.sleep(0)
    running.cancel()
