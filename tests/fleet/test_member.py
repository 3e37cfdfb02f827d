"""Replicas of one fleet, over a stream in memory with faults: what each publishes is what the stream accepted."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import os
import random
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.fleet.conftest import Fleet
from tests.fleet.replica import Replica
from tests.inputs import SMALL, Payload, aspa, many, router_key, vrp
from tests.quiet import drive
from tests.unit.compiler.program import HALF, HOLD_S, MANY, MAX_AGE_S, MORE, RELOAD_S, payload_of

from pyrtr.compiler.job import Task
from pyrtr.errors import FleetError, SettingsError, SourceError
from pyrtr.fleet import record as records
from pyrtr.fleet.member import FORLORN_S, PATIENCE_S, RELIEF_S, SURE_S
from pyrtr.fleet.stream import DUTY_S
from pyrtr.payload.delta import apply, compose
from pyrtr.payload.table import PayloadTable
from pyrtr.settings import Merge, OnStale

FILTERED = next(value for value in SMALL if value[1] == "192.0.2.0/24")


def settle(replicas: list[Replica], seconds: float = 0.0) -> None:
    """Let time pass, and everybody be heard."""
    steps = max(1, int(seconds))
    for _ in range(steps):
        replicas[0].sea.now += seconds / steps
        for replica in replicas:
            replica.beat()
    for replica in replicas:
        replica.beat()


def begin(fleet: Fleet, count: int = 3, payload=SMALL, **settings) -> list[Replica]:
    replicas = fleet(count, **settings)
    for replica in replicas:
        replica.offer(payload)
        replica.start()
    settle(replicas, 4 * DUTY_S)
    return replicas


def on_duty(replicas: list[Replica]) -> Replica:
    (replica,) = (replica for replica in replicas if not replica.loader.agenda.is_off_duty)
    return replica


def begin_with_a_held_load(fleet: Fleet) -> tuple[list[Replica], Replica, Replica]:
    """All of them, who is on duty and holds back a load, and another one."""
    replicas = begin(fleet, payload=MANY)
    maker = on_duty(replicas)
    (other, _) = (replica for replica in replicas if replica is not maker)
    maker.offer_all(HALF)
    settle(replicas, 2)
    return replicas, maker, other


def test_all_publish_one_set_under_one_serial(fleet):
    replicas = begin(fleet)
    assert {replica.holds for replica in replicas} == {frozenset(SMALL)}
    assert len({replica.state for replica in replicas}) == 1


def test_a_change_makes_one_serial_which_all_take_by_its_step(fleet):
    replicas = begin(fleet)
    before = replicas[0].at
    wholes = [replica.fleet.whole_count for replica in replicas]
    on_duty(replicas).offer_all(MORE)
    settle(replicas)
    assert {replica.holds for replica in replicas} == {frozenset(MORE)}
    assert {replica.serial for replica in replicas} == {(before + 1) % 2**32}
    assert [replica.fleet.whole_count for replica in replicas] == wholes
    assert all(before in replica.publisher.current.history.serials for replica in replicas)


def test_who_joins_late_takes_the_table_and_the_steps(fleet):
    replicas = fleet(2)
    first, second = replicas
    first.offer(SMALL)
    first.start()
    settle([first], 5)
    serials = [first.at]
    for payload in (MORE, SMALL, MORE):
        first.sea.now += 1
        first.offer_all(payload)
        settle([first])
        serials.append(first.at)
    second.start()
    settle(replicas)
    assert (second.payload, second.state) == (set(MORE), first.state)
    assert list(second.publisher.current.history.serials) == serials[:-1]


def test_a_restart_goes_on_from_its_own_state(fleet):
    replicas = begin(fleet)
    away = next(replica for replica in replicas if replica.loader.agenda.is_off_duty)
    others = [replica for replica in replicas if replica is not away]
    away.crash()
    on_duty(others).offer_all(MORE)
    settle(others)
    away.start()
    assert away.payload == set(SMALL)
    settle(replicas)
    assert (away.payload, away.state) == (set(MORE), others[0].state)
    assert away.fleet.whole_count == 0


def test_when_who_is_on_duty_goes_another_is(fleet):
    replicas = begin(fleet)
    first = on_duty(replicas)
    others = [replica for replica in replicas if replica is not first]
    first.crash()
    for other in others:
        other.offer(MORE)
    settle(others, 2 * DUTY_S)
    assert {replica.holds for replica in others} == {frozenset(MORE)}
    assert on_duty(others) is not first


def test_who_comes_on_duty_after_a_failure_sees_what_is_due_at_once(fleet):
    replicas = begin(fleet, 2)
    first = on_duty(replicas)
    (other,) = (replica for replica in replicas if replica is not first)
    first.crash()
    other.sea.now += DUTY_S + 1
    drive(other.loader._missed(SourceError("it is away")))
    other.loader.agenda.failed(other.now)

    async def come_on_duty() -> None:
        pausing = asyncio.create_task(other.loader._pause(other.now))  # as for a minute: off duty nothing is due
        await asyncio.sleep(0)
        await other.loader.beat()
        assert not other.loader.agenda.is_off_duty
        async with asyncio.timeout(5):
            await pausing

    asyncio.run(come_on_duty())


def test_who_is_cut_off_serves_on_and_makes_no_serial(fleet):
    replicas = begin(fleet)
    alone = on_duty(replicas)
    alone.boat.is_cut = True
    before = alone.state
    alone.offer_all(MORE)
    settle([alone])
    assert (alone.state, alone.payload) == (before, set(SMALL))
    assert alone.fleet.error == "cut off"
    settle(replicas, 2 * DUTY_S)
    assert alone.loader.agenda.is_off_duty
    alone.boat.is_cut = False
    settle(replicas)
    assert len({replica.state for replica in replicas}) == 1
    assert alone.fleet.error is None


def test_two_that_race_make_one_serial(fleet):
    replicas = begin(fleet, 2)
    for replica in replicas:  # as if both were on duty, of which correctness must not depend
        replica.loader.agenda.is_off_duty = False
    for number, replica in enumerate(replicas):
        replica.sea.now += 1
        replica.load([*SMALL, vrp(f"10.{number}.0.0/16")])
    assert replicas[1].fleet.superseded_count == 1
    settle(replicas)
    assert {replica.holds for replica in replicas} == {frozenset([*SMALL, vrp("10.0.0.0/16")])}
    assert len({replica.state for replica in replicas}) == 1


def test_a_place_that_was_got_but_not_heard_of_is_taken(fleet):
    replicas = begin(fleet)
    maker = on_duty(replicas)
    maker.boat.acks_to_lose = 1
    maker.offer_all(MORE)
    maker.step()
    assert maker.payload == set(SMALL)
    settle(replicas)
    assert {replica.holds for replica in replicas} == {frozenset(MORE)}
    assert len({replica.state for replica in replicas}) == 1


def test_a_damaged_table_is_taken_anew(fleet):
    replicas = begin(fleet)
    victim = next(replica for replica in replicas if replica.loader.agenda.is_off_duty)
    path = victim.table_path
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    on_duty(replicas).offer_all(MORE)
    settle(replicas, 2)
    assert (victim.payload, victim.state) == (set(MORE), on_duty(replicas).state)
    assert victim.fleet.whole_count >= 1


def test_no_router_is_served_a_table_that_is_not_what_the_stream_says(fleet):
    replicas = begin(fleet, 2)
    maker = on_duty(replicas)
    (victim,) = (replica for replica in replicas if replica is not maker)
    sea = maker.sea
    maker.offer_all(MORE)
    maker.beat()
    record = records.decode(sea.records[sea.last])
    lie = type(record)(**{**{name: getattr(record, name) for name in record.__struct_fields__}, "content": bytes(32)})
    sea.records[sea.last] = records.encode(lie)
    (kept,) = sea.tables.values()
    sea.tables = {f"table-{bytes(32).hex()}-0": kept}
    victim.beat()
    assert victim.gates[-1] is False
    assert "is not what the stream says" in str(victim.loader.status.divergence)


def test_a_lost_stream_begins_new_sessions_once(fleet):
    replicas = begin(fleet)
    before = replicas[0].state
    replicas[0].sea.lose()
    settle(replicas, 3 * DUTY_S)
    after = {replica.state for replica in replicas}
    assert len(after) == 1
    ((sessions, _),) = after
    assert not set(sessions) & set(before[0])
    assert {replica.holds for replica in replicas} == {frozenset(SMALL)}
    assert len(replicas[0].sea.records) == 1


def test_an_older_source_does_not_undo_what_another_found(fleet):
    replicas = begin(fleet, 2)
    maker = on_duty(replicas)
    (other,) = (replica for replica in replicas if replica is not maker)
    maker.sea.now += 60
    maker.offer_all(MORE)
    settle(replicas)
    maker.crash()
    settle([other], 2 * DUTY_S)
    assert not other.loader.agenda.is_off_duty
    assert other.payload == set(MORE)
    other.sea.now += 60
    other.offer_all(SMALL)
    settle([other])
    assert other.payload == set(SMALL)


def test_other_settings_do_not_join(fleet):
    (first,) = begin(fleet, 1)
    stranger = Replica(first.folder.parent.parent / "9", first.sea, "stranger", {"HOLD": "2"}).start()
    with pytest.raises(SettingsError, match="HOLD is 2 here, and 1 at replica0-1 of the fleet sea"):
        stranger.beat()


def test_a_load_is_held_back_once_for_all_and_accepted_anywhere(fleet):
    replicas, maker, other = begin_with_a_held_load(fleet)
    assert other.held_back == maker.held_back != ()
    assert f"passed on to {maker.fleet.member}" in other.loader.accept()
    settle(replicas, 2)
    settle(replicas)
    assert {replica.holds for replica in replicas} == {frozenset(HALF)}
    assert other.held_back == ()


def test_what_expires_goes_everywhere_once(fleet):
    replicas = begin(fleet, max_shrink=100.0)
    maker = on_duty(replicas)
    maker.offer(MORE, expires=int(maker.now) + 100)
    maker.loader.trigger()
    settle(replicas)
    serial = maker.at
    settle(replicas, 150)
    assert {replica.serial for replica in replicas} == {(serial + 1) % 2**32}
    assert {replica.holds for replica in replicas} == {frozenset()}


def test_who_can_store_nothing_never_begins_anew(fleet):
    maker, other = begin(fleet, 2)
    if maker.loader.agenda.is_off_duty:
        maker, other = other, maker
    other.is_full = True
    maker.offer_all(MORE)
    settle([maker, other], 2 * FORLORN_S)
    accepted = maker.state
    maker.crash()
    settle([other], 2 * FORLORN_S)
    assert other.payload == set(SMALL)
    maker.start()
    other.is_full = False
    settle([maker, other], 2 * DUTY_S)
    assert {replica.holds for replica in (maker, other)} == {frozenset(MORE)}
    assert maker.state == other.state == accepted


def test_a_stream_that_went_back_gives_no_serial_a_second_set(fleet):
    replicas = begin(fleet)
    sea = replicas[0].sea
    away = next(replica for replica in replicas if replica.loader.agenda.is_off_duty)
    others = [replica for replica in replicas if replica is not away]
    away.crash()
    kept = sea.keep()
    on_duty(others).offer_all(MORE)
    settle(others, 2)
    names = {replica.state: replica.holds for replica in others}
    for replica in others:
        replica.boat.is_cut = True
    settle(others, 2 * DUTY_S)
    sea.restore(kept)
    away.start()
    away.offer([*SMALL, vrp("10.1.0.0/16")])
    settle([away], 2)  # makes the same serial, and can't know
    assert names.get(away.state, away.holds) != away.holds
    for replica in others:
        replica.boat.is_cut = False
    settle(replicas, SURE_S)
    assert len({(replica.state, replica.holds) for replica in replicas}) == 1
    assert not set(away.state[0]) & set(next(iter(names))[0])


def test_who_is_ahead_of_a_stream_that_went_back_begins_anew(fleet):
    replicas = begin(fleet)
    sea = replicas[0].sea
    kept = sea.keep()
    before = replicas[0].state
    on_duty(replicas).offer_all(MORE)
    settle(replicas, 2)
    sea.restore(kept)
    settle(replicas, SURE_S)
    assert len({(replica.state, replica.holds) for replica in replicas}) == 1
    assert (replicas[0].payload, len(sea.records)) == (set(MORE), 2)
    assert not set(replicas[0].state[0]) & set(before[0])


def test_a_bug_or_an_entry_of_another_release_ends_no_member(fleet):
    replicas = begin(fleet)
    victim = replicas[0]
    before = victim.payload

    async def broken() -> None:
        raise TypeError("not understood")

    victim.boat.on_duty = broken  # type: ignore[method-assign]
    settle(replicas, 2)
    assert victim.payload == before
    assert "internal error" in str(victim.fleet.error)
    del victim.boat.on_duty
    settle(replicas, 2)
    assert victim.fleet.error is None


def test_what_one_release_alone_knows_of_settings_keeps_nobody_away(fleet):
    (first,) = begin(fleet, 1)
    newer = Replica(first.folder.parent.parent / "9", first.sea, "newer", {"HOLD": "1", "NEW": "2"}).start()
    newer.beat()
    assert len(newer.fleet.members) == 2


def test_an_operators_word_outlives_a_cut_and_means_one_load(fleet):
    replicas, maker, other = begin_with_a_held_load(fleet)
    other.boat.is_cut = True
    other.loader.accept()
    settle(replicas, 2)
    maker.offer_all(many(5))  # takes away far more than what was accepted
    settle(replicas, 2)
    other.boat.is_cut = False
    settle(replicas, 2)
    settle(replicas, 2)
    assert {replica.holds for replica in replicas} == {frozenset(MANY)}
    other.loader.accept()
    settle(replicas, 2)
    settle(replicas, 2)
    assert {replica.holds for replica in replicas} == {frozenset(many(5))}


def test_stale_data_of_before_is_withdrawn_only_after_a_look(fleet):
    (only,) = begin(fleet, 1, on_stale=OnStale.WITHDRAW)
    only.crash()
    only.sea.now += 2 * MAX_AGE_S
    only.start()
    only.offer(MORE)
    drive(only.loader.beat())
    assert only.loader.agenda.due(only.now) is Task.LOAD
    only.loader.agenda.load_at = math.inf  # it is being looked at
    assert only.loader.agenda.due(only.now) is None
    assert only.published == []
    only.loader.agenda.load_at = only.now
    only.beat()
    assert only.payload == set(MORE)


def test_a_location_that_gives_nothing_takes_no_payload_away_when_duty_moves(fleet):
    replicas = fleet(2, merge=Merge.UNION, others=1, max_shrink=100.0)
    for replica in replicas:
        replica.offer(SMALL)
        replica.offer(many(5), place=1)
        replica.start()
    settle(replicas, 4 * DUTY_S)
    both = frozenset([*SMALL, *many(5)])
    assert {replica.holds for replica in replicas} == {both}
    first = on_duty(replicas)
    (other,) = (replica for replica in replicas if replica is not first)
    first.crash()
    other.sources[1].unlink()
    settle([other], 4 * DUTY_S)
    assert not other.loader.agenda.is_off_duty
    assert other.holds == both
    other.sea.now += MAX_AGE_S  # what was there is stale: better what there is
    other.offer_all(SMALL)
    settle([other], 2)
    assert other.holds == frozenset(SMALL)


def test_duty_is_kept_while_a_table_is_made(fleet):
    replicas = begin(fleet)
    maker = on_duty(replicas)
    drive(maker.loader._looks.turn.acquire())
    for _ in range(10):
        maker.sea.now += 2
        drive(maker.loader.beat())
    assert not maker.loader.agenda.is_off_duty
    maker.loader._looks.turn.release()


class Wait:
    """For whoever drives the coroutine."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@pytest.mark.parametrize("is_changed", [False, True])
def test_what_is_new_is_taken_while_a_table_is_slow_to_come(fleet, is_changed):
    replicas = begin(fleet, 2)
    maker = on_duty(replicas)
    (other,) = (replica for replica in replicas if replica is not maker)
    get_table = other.boat.get_table

    async def slow(name: str, path: Path) -> bool:
        is_kept = await get_table(name, path)
        await Wait()
        return is_kept

    other.boat.get_table = slow  # type: ignore[method-assign]
    maker.sea.now += 5
    maker.load(SMALL, expires=int(maker.now) + 1000)
    maker.beat()  # gives the table
    maker.beat()  # says so
    drive(other.loader.beat())
    exchange = other.loader.exchange()
    exchange.send(None)
    if is_changed:
        maker.load(MORE)
        maker.beat()
        drive(other.loader.beat())
        assert other.payload == set(MORE)
    commits: list[str] = []
    other.store.commit = lambda *arguments: commits.append(arguments[2])  # type: ignore[method-assign]
    drive(exchange)
    assert commits == ([] if is_changed else ["facts"])
    assert (other.fleet.error, other.loader.agenda.built_at) == (None, maker.loader.agenda.built_at)


@pytest.mark.parametrize(("refused", "payload"), [("put_table", MORE), ("append", SMALL)])
def test_what_servers_have_no_room_for_is_told_of_once_until_they_have(fleet, refused, payload):
    replicas = begin(fleet, 2)
    maker = on_duty(replicas)

    refusals = 0

    async def full(*_: object) -> None:
        nonlocal refusals
        refusals += 1
        raise FleetError("no room")

    setattr(maker.boat, refused, full)
    maker.log.lines.clear()
    maker.load(MORE)
    for _ in range(5):
        maker.sea.now += 2
        maker.beat()
    assert (maker.payload, maker.fleet.error) == (set(payload), "no room")
    assert (maker.log.events("warning"), refusals) == (["fleet not heard"], 1 if refused == "put_table" else 2)
    delattr(maker.boat, refused)
    settle([maker], RELIEF_S)
    assert (maker.payload, maker.fleet.error) == (set(MORE), None)
    assert "fleet heard again" in maker.log.events("info")


def test_what_could_not_be_taken_away_is_forgotten_once_another_has(fleet):
    replicas = begin(fleet)
    maker = on_duty(replicas)
    maker.loader.status.expiry_error = "no memory"
    maker.crash()
    others = [replica for replica in replicas if replica is not maker]
    settle(others, 2 * DUTY_S)
    follower = next(replica for replica in others if replica.loader.agenda.is_off_duty)
    follower.loader.status.expiry_error = "no memory"
    on_duty(others).offer_all(MORE)
    settle(others, 2)
    assert follower.loader.status.expiry_error is None


def test_while_every_look_fails_somebody_is_on_duty_and_looks_grow_rare(fleet):
    replicas = begin(fleet)
    for replica in replicas:
        replica.source.unlink()
        replica.loader.trigger()
    failures = sum(replica.loader.status.failure_count for replica in replicas)
    vacant = worst = 0
    for _ in range(1000):
        settle(replicas, 1)
        vacant = vacant + 1 if all(replica.loader.agenda.is_off_duty for replica in replicas) else 0
        worst = max(worst, vacant)
    assert worst <= 3 * PATIENCE_S
    assert sum(replica.loader.status.failure_count for replica in replicas) - failures <= 3 * 10


@pytest.fixture
def slurm(tmp_path) -> Path:
    """A file that filters a VRP of SMALL out."""
    path: Path = tmp_path / "slurm"
    path.write_text(
        json.dumps(
            {
                "slurmVersion": 1,
                "validationOutputFilters": {"prefixFilters": [{"prefix": "192.0.2.0/24"}], "bgpsecFilters": []},
                "locallyAddedAssertions": {"prefixAssertions": [], "bgpsecAssertions": []},
            }
        )
    )
    return path


@pytest.mark.parametrize("is_away", [False, True])
def test_servers_that_come_and_go_have_nobody_look_more_often(fleet, is_away):
    replicas = begin(fleet)
    for replica in replicas:
        if is_away:
            replica.source.unlink()
        replica.tasks.clear()
    for _ in range(112):
        for seconds, is_cut in ((DUTY_S + 2, True), (4, False)):
            for replica in replicas:
                replica.boat.is_cut = is_cut
            settle(replicas, seconds)
    assert max(replica.tasks.count(Task.LOAD) for replica in replicas) <= (10 if is_away else 1800 / RELOAD_S)


def test_a_word_to_look_that_nobody_heard_who_lives_is_minded_by_who_is_next(fleet):
    replicas = begin(fleet, 2)
    first = on_duty(replicas)
    (other,) = (replica for replica in replicas if replica is not first)
    other.loader.agenda.load_at = other.now + RELOAD_S  # it has looked not long ago
    other.offer_all(MORE)
    first.crash()
    settle([other], 2 * DUTY_S)
    assert other.payload == set(MORE)


def test_who_comes_on_duty_without_slurm_files_publishes_nothing_unfiltered(fleet, slurm):
    replicas = begin(fleet, 2, slurm=[slurm], max_shrink=100.0)
    first = on_duty(replicas)
    (other,) = (replica for replica in replicas if replica is not first)
    filtered = first.holds
    assert filtered < set(SMALL)
    first.crash()
    slurm.unlink()
    other.offer(MORE, expires=int(other.now) + 100)
    settle([other], 60)
    assert not other.loader.agenda.is_off_duty
    assert other.holds == filtered


@pytest.mark.parametrize("upstream", ["", "fleet lake", "fleet sea"])
def test_what_was_published_before_slurm_files_were_wanted_is_served_by_nobody_who_wants_them(fleet, slurm, upstream):
    replicas = begin(fleet, 2, max_shrink=100.0)
    for replica in replicas:
        current = replica.loader._ledger.current
        assert current is not None
        replica.store.commit(dataclasses.replace(current, upstream=upstream), (), "load")
        replica.crash()
    sea = replicas[0].sea
    if upstream != "fleet sea":
        sea.lose()
    sea.now += 2 * DUTY_S
    for replica in replicas:
        replica.settings["slurm"] = [slurm]
        replica.source.rename(replica.folder / "later")
        replica.start()
    settle(replicas, 3 * DUTY_S)  # nobody can look
    assert [replica.published for replica in replicas] == [[], []]
    for replica in replicas:
        (replica.folder / "later").rename(replica.source)
        replica.loader.trigger()
    settle(replicas, 3 * DUTY_S)
    assert {replica.holds for replica in replicas} == {frozenset(SMALL) - {FILTERED}}
    assert not any(FILTERED in payload_of(published.table) for replica in replicas for published in replica.published)
    assert len({replica.state for replica in replicas}) == 1


def test_slurm_files_that_are_wanted_again_begin_new_sessions_and_what_was_filtered_is_served_meanwhile(fleet, slurm):
    replicas = begin(fleet, 2, slurm=[slurm], max_shrink=100.0)
    states = {replica.state for replica in replicas}
    first, other = replicas
    for replica in replicas:
        replica.crash()
    first.sea.now += 2 * DUTY_S
    first.settings["slurm"] = []
    first.start()
    settle([first], 2 * DUTY_S)
    assert first.holds == frozenset(SMALL)
    assert first.state[0] == replicas[1].state[0]  # the same sessions: nothing else was there before
    states.add(first.state)
    first.crash()
    first.sea.now += 2 * DUTY_S
    first.settings["slurm"] = [slurm]
    for replica in (other, first):
        replica.start()
    settle(replicas, 3 * DUTY_S)
    for replica in replicas:
        assert not any(FILTERED in payload_of(published.table) for published in replica.published)
    assert {replica.holds for replica in replicas} == {frozenset(SMALL) - {FILTERED}}
    (after,) = {replica.state for replica in replicas}
    assert after[0] not in {sessions for sessions, _ in states}


def test_a_beat_that_fails_while_a_place_is_asked_for_changes_no_place(fleet):
    replicas = begin(fleet)
    maker = on_duty(replicas)
    record = maker.boat.record

    async def meanwhile(sequence: int) -> records.Record | None:
        maker.loader._ledger.sequence = None
        return await record(sequence)

    maker.boat.record = meanwhile  # type: ignore[method-assign]
    maker.load(MORE)
    assert (maker.payload, maker.fleet.superseded_count) == (set(MORE), 0)


SEEDS = range(int(os.environ.get("SEEDS", "25")))
FAULTS = (
    "crash", "cut", "lose ack", "race", "damage", "lose", "namesake", "fill", "trim", "purge", "lose tables",
    "grow old", "end", "keep", "restore",
)  # fmt: skip
POOL: tuple[Payload, ...] = (*many(8), *SMALL[:-1], router_key(2), aspa(64500, 1, 2), aspa(64501, 3))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_a_serial_names_one_set_and_all_agree_in_the_end(fleet, seed):
    chance = random.Random(seed)
    replicas = fleet(
        3, max_steps=chance.choice((0, 3, 1000)), max_shrink=100.0, on_stale=chance.choice([*OnStale])
    )  # fmt: skip
    sea = replicas[0].sea
    kept = sea.keep()
    names: dict[object, frozenset[Payload]] = {}
    up: set[int] = set()

    def check(replica: Replica) -> None:
        published = replica.publisher.current
        if published.table is None or replica.loader.status.divergence is not None:
            return
        assert names.setdefault(replica.state, replica.holds) == replica.holds
        table = published.table
        for step in reversed(published.history.steps):
            deltas = published.history.since(step.from_serial)
            assert deltas is not None
            known = tables.get((replica.state[0], step.from_serial))
            if known is not None:
                assert apply(known, compose(deltas)) == table
        tables[replica.state] = table

    tables: dict[object, PayloadTable] = {}
    for _ in range(60):
        number = chance.randrange(3)
        replica = replicas[number]
        sea.now += chance.choice((0.5, 2.0, 2.0, 15.0))
        act = chance.choice(("beat",) * 8 + ("offer",) * 5 + FAULTS)
        if number not in up:
            replica.start()
            up.add(number)
        elif act == "crash":
            replica.crash()
            up.discard(number)
            continue
        elif act == "cut":
            replica.boat.is_cut = not replica.boat.is_cut
        elif act == "lose ack":
            replica.boat.acks_to_lose = 1
        elif act == "race":
            replica.loader.agenda.is_off_duty = False
        elif act == "damage" and replica.loader._ledger.current is not None:
            replica.table_path.write_bytes(b"damaged")
        elif act == "lose" and chance.random() < 0.3:
            sea.lose()
        elif act == "namesake":
            replica.boat.is_cut = False
            replica.rename(replicas[chance.choice([*up])].fleet.member)
        elif act == "fill":
            replica.is_full = not replica.is_full
        elif act == "trim":
            sea.records = {place: data for place, data in sea.records.items() if place == sea.last}
        elif act == "purge" and chance.random() < 0.3:
            sea.records.clear()
        elif act == "lose tables":
            sea.tables.clear()
        elif act == "grow old" and chance.random() < 0.3:
            sea.now += MAX_AGE_S
        elif act == "end":
            replica.offer([SMALL[-1], *POOL[:5]], expires=int(replica.now) + 20)
            replica.loader.trigger()
        elif act == "keep":
            kept = sea.keep()
        elif act == "restore" and len(up) == 3 and kept[1]:
            for each in replicas:  # all hear of it before any goes on: else what some made since is made again
                each.boat.is_cut = each.is_full = False
            settle(replicas, 2)
            if len({each.state for each in replicas}) == 1:
                sea.restore(kept)
                for each in chance.sample(replicas, 3):
                    drive(each.loader.beat())
        elif act == "offer":
            replica.offer_all([SMALL[-1], *(value for value in POOL if chance.random() < 0.6)])
        if number in up:
            replica.beat()
            check(replica)
    for number, replica in enumerate(replicas):
        if number not in up:
            replica.start()
        replica.boat.is_cut = replica.is_full = False
        replica.offer_all(SMALL)
    settle(replicas, 4 * DUTY_S)
    sea.now += HOLD_S  # that all ASPAs are others is doubted
    for replica in replicas:
        replica.offer([*SMALL, vrp("10.9.0.0/16")])
        replica.loader.trigger()
    settle(replicas, 60)
    for replica in replicas:
        check(replica)
    assert len({replica.state for replica in replicas}) == 1
    assert {replica.holds for replica in replicas} == {frozenset([*SMALL, vrp("10.9.0.0/16")])}
    assert {len(ids) for replica in replicas for ids in replica.publisher.current.session_ids.values()} == {1}
