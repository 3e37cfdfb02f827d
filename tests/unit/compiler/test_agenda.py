"""What is due when, told as a table of moments: nothing here reads a clock."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pyrtr.compiler.agenda import EXPIRY_GAP_S, FIRST_RETRY_S, MAX_PAUSE_S, Agenda, Policy
from pyrtr.compiler.job import Task
from pyrtr.payload.table import NEVER
from pyrtr.settings import OnStale

T = 1_795_404_155.0
RELOAD_S, MAX_AGE_S, HOLD_S = 900.0, 86400.0, 21600.0


def agenda(on_stale: OnStale = OnStale.HOLD, **known: Any) -> Agenda:
    policy = Policy(RELOAD_S, MAX_AGE_S, on_stale, 20, HOLD_S)
    return Agenda(policy, **{"load_at": T + RELOAD_S, "built_at": T, "random": lambda: 0.0, **known})


def test_the_first_look_is_due_at_once():
    fresh = agenda(load_at=T, built_at=None)
    assert (fresh.due(T), fresh.pause_s(T), fresh.age_s(T), fresh.is_stale(T)) == (Task.LOAD, 0, None, False)


# What is known; the moment; what is due; how long to wait for it otherwise.
DUE: dict[str, tuple[dict[str, Any], float, Task | None, float]] = {
    "nothing yet": ({}, T, None, MAX_PAUSE_S),
    "a look, soon": ({}, T + RELOAD_S - 10, None, 10),
    "a look": ({}, T + RELOAD_S, Task.LOAD, 0),
    "a look, long ago": ({}, T + 2 * RELOAD_S, Task.LOAD, 0),
    "an expiry, soon": ({"next_expiry": T + 7}, T, None, 7),
    "an expiry, to the second": ({"next_expiry": T + 7}, T + 7, Task.EXPIRE, 0),
    "an expiry before a look": ({"next_expiry": T}, T + RELOAD_S, Task.EXPIRE, 0),
    "nothing ever ends": ({"next_expiry": NEVER, "load_at": T + 10**9}, T, None, MAX_PAUSE_S),
    "stale and held": ({"built_at": T - MAX_AGE_S - 1}, T, None, MAX_PAUSE_S),
}


@pytest.mark.parametrize("case", DUE)
def test_due(case):
    known, now, task, pause_s = DUE[case]
    assert (agenda(**known).due(now), agenda(**known).pause_s(now)) == (task, pause_s)


def test_expiries_of_a_few_moments_are_one():
    plan = agenda(next_expiry=T)
    assert plan.due(T) is Task.EXPIRE
    plan.expired(T + 0.25, has_failed=False)
    plan.next_expiry = T + 0.5  # the next one ends while the first is taken away
    assert plan.due(T + 0.5) is None
    assert plan.pause_s(T + 0.5) == 0.75
    assert plan.due(T + 0.25 + EXPIRY_GAP_S) is Task.EXPIRE
    plan.next_expiry = T + 60
    assert plan.due(T + 59) is None
    assert plan.due(T + 60) is Task.EXPIRE


def test_a_look_gets_its_turn_between_expiries():
    """However fast they follow one another."""
    plan = agenda(load_at=T, next_expiry=T)
    assert plan.due(T) is Task.EXPIRE
    plan.expired(T + 3, has_failed=False)
    plan.next_expiry = T + 1
    assert plan.due(T + 3) is Task.LOAD


def test_what_could_not_be_taken_away_is_tried_again_soon():
    plan = agenda(next_expiry=T)
    plan.expired(T, has_failed=True)
    assert plan.due(T + FIRST_RETRY_S) is None
    assert plan.due(T + FIRST_RETRY_S + EXPIRY_GAP_S) is Task.EXPIRE


def test_looks_that_fail_come_ever_less_often():
    plan = agenda()
    waits = []
    for _ in range(12):
        plan.failed(T)
        waits.append(plan.load_at - T)
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, *[RELOAD_S] * 4]
    for _ in range(2000):  # for weeks
        plan.failed(T)
    assert plan.load_at == T + RELOAD_S
    plan.loaded(T)
    assert (plan.load_at, plan.failure_count) == (T + RELOAD_S, 0)
    plan.failed(T)
    assert plan.load_at == T + FIRST_RETRY_S


@pytest.mark.parametrize(("random", "waits"), [(0.0, [5, 10, 20]), (0.5, [3.75, 7.5, 15]), (1.0, [2.5, 5, 10])])
def test_caches_that_fail_together_do_not_come_back_together(random, waits):
    plan = agenda(random=lambda: random)
    for wait in waits:
        plan.failed(T)
        assert plan.load_at == T + wait
    for _ in range(20):
        plan.failed(T)
    assert plan.load_at == T + RELOAD_S * (1 - random / 2)


def test_every_agenda_draws_its_own_pauses():
    plans = [Agenda(agenda().policy, load_at=T) for _ in range(20)]
    for plan in plans:
        plan.failed(T)
    assert len({plan.load_at for plan in plans}) > 1


def test_no_retry_waits_longer_than_reload():
    plan = Agenda(Policy(2, MAX_AGE_S, OnStale.HOLD, 20, HOLD_S), load_at=T, random=lambda: 0.0)
    plan.failed(T)
    assert plan.load_at == T + 2


@pytest.mark.parametrize(("since", "load_at"), [(0, 900), (20000, 900), (20700, 900), (20701, 899), (21600, 0)])
def test_a_held_load_is_looked_at_again_when_its_time_is_up(since, load_at):
    """But looks in between go on: it may be cured."""
    plan = agenda(held_since=T - since)
    plan.loaded(T)
    assert plan.load_at == T + load_at


def test_a_clock_that_is_set_back_holds_nothing_up():
    plan = agenda(held_since=T, next_expiry=T - 1)
    plan.expired(T, has_failed=False)
    now = T - 10**8
    plan.clock_read(now)
    assert plan.load_at == now + RELOAD_S
    assert plan.held_since == now
    plan.next_expiry = now
    assert plan.due(now) is None
    assert plan.due(now + FIRST_RETRY_S + EXPIRY_GAP_S) is Task.EXPIRE
    assert plan.age_s(now) == -(10**8)
    assert not plan.is_stale(now)


def test_a_clock_that_goes_on_changes_nothing():
    plan = agenda(held_since=T, next_expiry=T + 5)
    plan.expired(T, has_failed=False)
    before = repr(plan)
    plan.clock_read(T + 1)
    assert repr(plan) == before


@pytest.mark.parametrize("on_stale", OnStale)
def test_stale(on_stale):
    plan = agenda(on_stale, load_at=T + 10**6)
    assert not plan.is_stale(T + MAX_AGE_S - 0.001)
    assert plan.is_stale(T + MAX_AGE_S)
    assert plan.pause_s(T + MAX_AGE_S - 7) == 7, "whoever asks whether it is stale is told in time"
    expected = Task.WITHDRAW if on_stale is OnStale.WITHDRAW else None
    assert plan.due(T + MAX_AGE_S - 0.001) is None
    assert plan.due(T + MAX_AGE_S) is expected
    plan.is_withdrawn = True
    assert plan.due(T + MAX_AGE_S + 0.001) is None


def test_a_look_goes_before_a_withdrawal():
    plan = agenda(OnStale.WITHDRAW, load_at=T + 2 * MAX_AGE_S)
    assert plan.due(T + 2 * MAX_AGE_S) is Task.LOAD
    plan.failed(T + 2 * MAX_AGE_S)
    assert plan.due(T + 2 * MAX_AGE_S) is Task.WITHDRAW
    plan.expired(T + 2 * MAX_AGE_S, has_failed=True)
    assert plan.due(T + 2 * MAX_AGE_S) is None
    assert plan.pause_s(T + 2 * MAX_AGE_S) == FIRST_RETRY_S


@pytest.mark.parametrize(
    ("load_at", "held_since", "look_at", "awaits"),
    [
        (900, None, 900, False),  # it was looked at not long ago
        (-1, None, -1, True),
        (math.inf, -HOLD_S - 1, math.inf, False),  # it is being looked at
        (900, 100 - HOLD_S, 100, False),  # by who was on duty before
        (900, -HOLD_S, 0, True),
    ],
)
def test_who_comes_on_duty_looks_when_that_is_due(load_at, held_since, look_at, awaits):
    plan = agenda(load_at=T + load_at, held_since=None if held_since is None else T + held_since)
    plan.is_off_duty = True
    plan.on_duty(T)
    assert (plan.load_at, plan.awaits_first_look, plan.is_off_duty) == (T + look_at, awaits, False)
