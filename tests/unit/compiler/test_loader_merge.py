"""Several locations: the first good one, or all of them together."""

from __future__ import annotations

import pytest
from tests.inputs import SMALL, aspa, vrp
from tests.unit.compiler.program import FIRST_SERIAL, MAX_AGE_S, MORE, NOW, Program, Start

from pyrtr.compiler.failover import MAX_RETURN_LOOKS, RETURN_LOOKS, Standing
from pyrtr.compiler.job import Task
from pyrtr.payload.values import MAX_PROVIDERS
from pyrtr.settings import Merge

OTHER = (vrp("198.51.100.0/24"), vrp("203.0.113.0/24"), aspa(64496, 64499))


def look(program: Program) -> None:
    program.now += 1
    program.loader.trigger()
    program.step()


def used(program: Program) -> list[bool]:
    return [place.status.is_used for place in program.loader.places]


# Failover


@pytest.fixture
def failover(start: Start) -> Program:
    program = start(others=1, max_shrink=100.0)
    program.offer(OTHER, place=1)
    program.load(SMALL)
    return program


def test_the_first_good_one_is_used_and_later_ones_are_not_looked_at(failover):
    assert (failover.payload, used(failover)) == (set(SMALL), [True, False])
    assert failover.loader.places[1].status.last_attempt is None


@pytest.mark.parametrize("how", ["gone", "broken", "stale"])
def test_the_next_one_takes_over_and_the_first_returns_once_it_has_proved_itself(failover, how):
    if how == "gone":
        failover.sources[0].unlink()
    elif how == "broken":
        failover.sources[0].write_text('{"roas": [')
    else:
        failover.offer(SMALL, built_at=NOW - MAX_AGE_S)
    look(failover)
    assert (failover.payload, failover.serial, used(failover)) == (set(OTHER), 0, [False, True])
    assert failover.loader.places[0].status.error is not None
    assert failover.loader.status.error is None
    failover.offer(MORE)
    for _ in range(RETURN_LOOKS - 1):
        look(failover)
        assert used(failover) == [False, True]
    look(failover)
    assert (failover.payload, failover.serial, used(failover)) == (set(MORE), 1, [True, False])


def test_one_that_comes_and_goes_does_not_take_the_routers_along(failover):
    changes = []
    for number in range(200):
        if number % 5 < 4:
            failover.offer(SMALL)
        else:
            failover.sources[0].unlink(missing_ok=True)
        before = used(failover)
        look(failover)
        if used(failover) != before:
            changes.append(number)
    assert len(changes) == 3, "left, used again, left for good"


def test_an_unproved_one_is_better_than_none(failover):
    failover.sources[0].unlink()
    look(failover)
    failover.offer(MORE)
    failover.sources[1].unlink()
    look(failover)
    assert (failover.payload, used(failover)) == (set(MORE), [True, False])


def test_of_stale_ones_the_newest_is_used(failover):
    failover.offer(MORE, built_at=NOW - MAX_AGE_S - 10)
    failover.offer(OTHER, built_at=NOW - MAX_AGE_S - 5, place=1)
    look(failover)
    assert (failover.payload, used(failover)) == (set(OTHER), [False, True])


def test_a_failure_of_all_changes_nothing_and_names_each(failover):
    for source in failover.sources:
        source.unlink()
    look(failover)
    assert failover.payload == set(SMALL)
    assert all(f"{source}: " in str(failover.loader.status.error) for source in failover.sources)
    assert failover.loader.status.failure_count == 1
    assert [place.status.failure_count for place in failover.loader.places] == [1, 1]


def test_a_restart_stays_with_the_one_in_use(failover):
    failover.sources[0].unlink()
    look(failover)
    failover.restart()
    assert (failover.payload, used(failover)) == (set(OTHER), [False, True])
    failover.offer(MORE)
    look(failover)
    assert failover.payload == set(OTHER)


def test_a_failure_counts_once_and_one_that_is_only_confirmed_never_less(failover):
    failover.sources[0].unlink()
    look(failover)
    status = failover.loader.places[0].status
    assert (status.success_count, status.failure_count) == (1, 1)
    failover.pass_time(2 * MAX_AGE_S)  # the other is looked at, unchanged, and turns stale
    for place in failover.loader.places:
        assert place.status.unchanged_count <= place.status.success_count


def test_a_location_is_left_only_when_another_is_used(failover):
    """While nothing can be reached at all, the one in use goes on being it."""
    aside = [source.rename(source.with_suffix(".aside")) for source in failover.sources]
    for _ in range(6):
        look(failover)
    assert failover.loader.places[0].standing.falls == 0
    aside[1].rename(failover.sources[1])
    look(failover)
    assert used(failover) == [False, True]
    assert failover.loader.places[0].standing.falls == 1


def test_one_that_was_confirmed_is_not_stale(failover):
    """A protocol may say for days that nothing changed: it is not left for that."""
    failover.offer(OTHER, built_at=NOW + MAX_AGE_S, place=1)
    confirm(failover, 0)
    failover.now += MAX_AGE_S + 5
    failover.loader.places[0].feed.confirmed_at = failover.now
    look(failover)
    assert used(failover) == [True, False]


def confirm(program: Program, number: int) -> None:
    """Let a location confirm what it gave, from now on by setting `confirmed_at`."""
    feed = program.loader.places[number].feed

    class Confirming:
        confirmed_at: float | None = None
        expires_at: float | None = None
        look, watch, details = feed.look, feed.watch, feed.details

    program.loader.places[number].feed = Confirming()


def test_standing():
    standing = Standing()
    assert standing.missing_looks == RETURN_LOOKS
    standing.left()
    assert standing.missing_looks == RETURN_LOOKS
    for falls in range(2, 9):
        standing.left()
        assert standing.missing_looks == min(RETURN_LOOKS * 2 ** (falls - 1), MAX_RETURN_LOOKS)
    for _ in range(95):
        standing.succeeded()
    standing.failed()
    assert standing.missing_looks == MAX_RETURN_LOOKS
    for _ in range(96):
        standing.succeeded()
    standing.failed()
    assert standing.missing_looks == RETURN_LOOKS


# Union


@pytest.fixture
def union(start: Start) -> Program:
    program = start(others=1, merge=Merge.UNION, max_shrink=100.0)
    program.offer(OTHER, place=1)
    program.load(SMALL)
    return program


def test_all_of_them_together(union):
    assert union.payload is not None
    assert {value for value in union.payload if value[0] != "aspa"} == {
        value for value in (*SMALL, *OTHER) if value[0] != "aspa"
    }
    assert used(union) == [True, True]
    found = union.loader.status.found
    assert found is not None
    assert found.records["vrps"] == sum(value[0] == "vrp" for value in (*SMALL, *OTHER))


def test_one_that_fails_never_empties_it(union):
    before = union.payload
    for break_it in (lambda path: path.unlink(), lambda path: path.write_text("[")):
        break_it(union.sources[1])
        look(union)
        assert (union.payload, union.serial) == (before, FIRST_SERIAL)
        assert union.loader.places[1].status.error is not None
        assert union.loader.status.error is None
        union.restart()
        assert union.payload == before
        look(union)
        assert (union.payload, used(union)) == (before, [True, True])
        union.offer(OTHER, place=1)
        look(union)
        assert union.loader.places[1].status.error is None


def test_its_last_share_stays_until_it_is_stale(union):
    union.sources[1].unlink()
    union.offer(SMALL, built_at=NOW + 1000)
    look(union)
    before = union.payload
    union.pass_time(NOW + MAX_AGE_S - union.now - 1)
    assert union.payload == before
    union.tasks.clear()
    union.pass_time(3)
    assert Task.EXPIRE in union.tasks
    assert union.payload == set(SMALL)
    assert not union.loader.agenda.is_stale(union.now)
    serial = union.serial
    union.pass_time(2000)
    union.step()
    assert (union.payload, union.serial) == (set(SMALL), serial), "the last one is held"
    assert union.loader.agenda.is_stale(union.now)


def test_a_failure_of_all_is_one(union):
    for source in union.sources:
        source.unlink()
    look(union)
    assert union.loader.status.failure_count == 1
    assert [place.status.failure_count for place in union.loader.places] == [1, 1]
    assert all(f"{source}: " in str(union.loader.status.error) for source in union.sources)


def test_the_first_start_goes_with_what_there_is(start):
    program = start(others=2, merge=Merge.UNION)
    program.offer(OTHER, place=2)
    program.step()
    assert (program.payload, used(program)) == (set(OTHER), [False, False, True])
    program.offer(SMALL)
    program.now += 1000
    program.step()
    assert used(program) == [True, False, True]


def test_aspas_of_one_customer_are_one_until_one_of_them_ends(union):
    union.offer((*SMALL, aspa(64511, 64500)), expires=int(NOW) + 500)
    union.offer((*OTHER, aspa(64511, 64501)), place=1, expires=int(NOW) + 900)
    look(union)
    assert union.payload is not None
    assert aspa(64511, 64500, 64501) in union.payload
    union.pass_time(600)
    assert aspa(64511, 64501) in union.payload


@pytest.mark.parametrize("is_restarted", [False, True])
def test_an_aspa_that_grows_too_large_is_left_out_and_told(is_restarted, union):
    half = MAX_PROVIDERS // 2
    union.offer((*SMALL, aspa(64511, *range(1, half + 1))))
    union.offer([aspa(64511, *range(half + 1, MAX_PROVIDERS + 2))], place=1)
    look(union)
    assert union.payload == set(SMALL)
    assert union.log.lines[-1] == ("warning", "ASPAs are too large", {"count": 1})
    if is_restarted:
        union.restart()
    assert union.loader.status.oversized_aspas == 1
    union.offer(OTHER, place=1)
    look(union)
    assert aspa(64511, *range(1, half + 1)) in (union.payload or ())
    assert union.loader.status.oversized_aspas == 0


def test_one_that_is_confirmed_again_takes_part_again(union):
    """The others did not change, and what it gave is as it was; yet it was stale, and is not any more."""
    whole = union.payload
    for number in range(2):
        confirm(union, number)
    union.loader.places[0].feed.confirmed_at = NOW + MAX_AGE_S
    union.pass_time(MAX_AGE_S + 5)
    assert (union.payload, used(union)) == (set(SMALL), [True, False])
    union.loader.places[1].feed.confirmed_at = union.now
    look(union)
    assert (union.payload, used(union)) == (whole, [True, True])


def test_one_that_ends_what_it_said_is_left_out_at_once(union):
    """8210bis §8.6, Cache Shutdown."""
    for number in range(2):
        confirm(union, number)
        union.loader.places[number].feed.confirmed_at = NOW
    union.loader.places[1].feed.expires_at = union.now
    union.loader._confirm()
    union.step()
    assert union.tasks[-1] is Task.EXPIRE
    assert (union.payload, used(union)) == (set(SMALL), [True, False])
    union.tasks.clear()
    union.loader._confirm()
    union.pass_time(100)
    assert Task.EXPIRE not in union.tasks


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_share_that_is_lost_is_had_again_and_takes_nothing_away(union, is_restarted):
    whole = union.payload
    next(union.store.path.glob("share-*-1")).unlink()
    if is_restarted:
        union.restart()
    union.offer((*SMALL, MORE[-1]))
    look(union)
    assert union.payload == whole
    assert "share-" in str(union.loader.status.error)
    look(union)
    assert union.payload == {*(whole or ()), MORE[-1]}
    assert used(union) == [True, True]


def test_without_its_share_and_itself_the_others_go_on(union):
    next(union.store.path.glob("share-*-1")).unlink()
    union.sources[1].unlink()
    union.offer(MORE)
    look(union)
    assert (union.payload, used(union)) == (set(MORE), [True, False])


def test_a_share_that_is_lost_does_not_keep_what_expires(union):
    union.offer(OTHER, place=1, expires=int(NOW) + 60)
    look(union)
    next(union.store.path.glob("share-*-1")).unlink()
    union.pass_time(100)
    assert union.payload == set(SMALL) - {SMALL[-1]}, "a union of ASPAs, of which one ended"
    look(union)
    assert (union.payload, used(union)) == (set(SMALL), [True, True])
    assert list(union.store.path.glob("share-*-1")), "it was had again"
