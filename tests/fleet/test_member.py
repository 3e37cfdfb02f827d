"""Replicas of one fleet, over a stream in memory with faults: what each publishes is what the stream accepted."""

from __future__ import annotations

import os
import random

import pytest
from tests.fleet.conftest import Fleet
from tests.fleet.replica import Replica
from tests.inputs import SMALL, Payload, aspa, many, router_key, vrp
from tests.unit.compiler.program import HALF, MANY, MORE

from pyrtr.errors import SettingsError
from pyrtr.fleet import record as records
from pyrtr.fleet.stream import DUTY_S
from pyrtr.payload.delta import apply, compose
from pyrtr.payload.table import PayloadTable


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
    replicas = begin(fleet, payload=MANY)
    maker = on_duty(replicas)
    (other, _) = (replica for replica in replicas if replica is not maker)
    maker.offer_all(HALF)
    settle(replicas, 2)
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


SEEDS = range(int(os.environ.get("SEEDS", "25")))
POOL: tuple[Payload, ...] = (*many(8), *SMALL[:-1], router_key(2), aspa(64500, 1, 2), aspa(64501, 3))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_a_serial_names_one_set_and_all_agree_in_the_end(fleet, seed):
    chance = random.Random(seed)
    replicas = fleet(3, max_steps=chance.choice((0, 3, 1000)), max_shrink=100.0)
    sea = replicas[0].sea
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
        act = chance.choice(("beat",) * 6 + ("offer",) * 4 + ("crash", "cut", "lose ack", "race", "damage", "lose"))
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
        elif act == "offer":
            replica.offer_all([SMALL[-1], *(value for value in POOL if chance.random() < 0.6)])
        if number in up:
            replica.beat()
            check(replica)
    for number, replica in enumerate(replicas):
        if number not in up:
            replica.start()
        replica.boat.is_cut = False
        replica.offer(SMALL)
    settle(replicas, 4 * DUTY_S)
    sea.now += 1000
    for replica in replicas:
        replica.offer([*SMALL, vrp("10.9.0.0/16")])
        replica.loader.trigger()
    settle(replicas, 60)
    for replica in replicas:
        check(replica)
    assert len({replica.state for replica in replicas}) == 1
    assert {replica.holds for replica in replicas} == {frozenset([*SMALL, vrp("10.9.0.0/16")])}
    assert {len(ids) for replica in replicas for ids in replica.publisher.current.session_ids.values()} == {1}
