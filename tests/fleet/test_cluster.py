"""Three replicas on a cluster of three NATS servers, routers behind HAProxy, and what goes wrong there."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator

import pytest
from tests.fleet.cluster import RETRY_S, Cluster, until
from tests.fleet.servers import haproxy
from tests.fleet.watched import WatchedRouter, accepted, disagreements
from tests.inputs import SMALL, Payload, visible, vrp
from tests.model_router import Router
from tests.program import Program

KILLS = 4


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """One for all tests: each leaves it whole, but for the last."""
    with contextlib.ExitStack() as stack:
        cluster = Cluster(tmp_path_factory.mktemp("cluster"), stack)
        cluster.start()
        yield cluster


def all_hold(routers: list[WatchedRouter], payload: list[Payload]) -> bool:
    return all(router.payload == visible(router.router.version, payload) for router in routers)


def test_routers_move_between_replicas_that_are_killed(cluster, tmp_path):
    chance = random.Random(20261125)
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(haproxy(tmp_path, cluster.programs))
        routers = [stack.enter_context(WatchedRouter(address, version)) for version in (0, 1, 2, 2)]
        until(lambda: all_hold(routers, cluster.payload), "all routers hold the first set")
        for number in range(KILLS):
            duty = cluster.on_duty()
            others = [each for each in range(3) if each != duty]
            victim = chance.choice(others) if number or duty is None else duty  # the latter costs 10 seconds
            cluster.churn()
            time.sleep(chance.uniform(0, 1.5))  # at whatever moment of it
            cluster.programs[victim].kill()
            cluster.churn()
            until(lambda: all_hold(routers, cluster.payload), f"all routers hold the set after kill {number}")
            cluster.programs[victim].start()
        records = accepted(cluster.nats.urls, "test")
    assert disagreements(routers, records) == []
    assert [router.resets for router in routers] == [0, 0, 0, 0]
    assert len({record.sessions for record in records}) == 1
    gaps = sorted(gap for router in routers for gap in router.gaps_s)
    print(f"{KILLS} kills, {len(records)} serials; seconds without a session: {[round(gap, 2) for gap in gaps]}")


def test_no_router_notices_that_a_server_of_the_cluster_dies(cluster, tmp_path):
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(haproxy(tmp_path, cluster.programs))
        routers = [stack.enter_context(WatchedRouter(address, version)) for version in (1, 2)]
        until(lambda: all_hold(routers, cluster.payload), "all routers hold the first set")
        leader = cluster.nats.stream_leader("pyrtr-test")
        for victim in ((leader + 1) % 3, leader):
            cluster.nats.kill(victim)
            cluster.churn()
            until(lambda: all_hold(routers, cluster.payload), f"all routers hold the set without NATS {victim}")
            cluster.nats.start(victim)
            cluster.nats.wait(victim)
        records = accepted(cluster.nats.urls, "test")
    assert disagreements(routers, records) == []
    assert [(router.resets, router.gaps_s) for router in routers] == [(0, []), (0, [])]
    assert len({record.sessions for record in records}) == 1


@pytest.fixture
def routers(cluster) -> Iterator[list[Router]]:
    """One of each replica."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(program.router(2)) for program in cluster.programs]


def test_without_any_server_all_serve_on_and_nothing_new_is_published(cluster, routers):
    states: set[tuple[int | None, int]] = set()

    def are_at_one() -> bool:
        for router in routers:
            router.sync()
        states.clear()
        states.update((router.session_id, router.serial) for router in routers)
        return len(states) == 1

    until(are_at_one, "all have what was published last")
    cluster.nats.kill_all()
    before = cluster.payload
    cluster.churn()
    until(lambda: all(p.healthz()["fleet"]["error"] for p in cluster.programs), "all say that the fleet is not heard")
    for router, program in zip(routers, cluster.programs, strict=True):
        router.sync()
        assert (router.session_id, router.serial) in states
        assert router.payload == set(before)
        status, _ = program.get("/healthz")
        assert status == 200
    for number in range(3):
        cluster.nats.start(number)
    for number in range(3):
        cluster.nats.wait(number)

    def all_have_news() -> bool:
        for router in routers:
            router.sync()
        return all(router.payload == set(cluster.payload) for router in routers)

    until(all_have_news, "what came meanwhile is published")
    assert {router.session_id for router in routers} == {session_id for session_id, _ in states}
    assert [router.full_syncs for router in routers] == [1, 1, 1]


def test_a_replica_that_sees_another_source_makes_no_second_history(cluster, tmp_path):
    other = tmp_path / "other.json"
    odd = cluster.programs[2]
    odd.kill()
    (tmp_path / "split").mkdir()
    # The same setting, as on another machine: a path that leads elsewhere.
    split = Program(
        tmp_path / "split", None,
        FLEET=",".join(cluster.nats.urls), FLEET_NAME="test", LOCATION=cluster.source, RELOAD=1, RETRY=RETRY_S,
    )  # fmt: skip
    split.prefix = ("unshare", "--mount", "sh", "-c", f'mount --bind {other} {cluster.source}; exec "$@"', "sh")
    writer = Program(tmp_path / "split", None)
    writer.file = other
    writer.load([*SMALL, vrp("203.0.113.128/25")])
    with contextlib.ExitStack() as stack:
        split.file = cluster.source
        split.start()
        stack.callback(split.kill)
        programs = [*cluster.programs[:2], split]
        routers = [stack.enter_context(WatchedRouter(program.rtr, 2)) for program in programs]
        for number in range(4):
            cluster.churn()
            writer.load([*SMALL, vrp(f"203.0.113.{128 + number}/32")])
            time.sleep(1.0)
            if number == 1 and (duty := cluster.on_duty()) is not None:
                cluster.programs[duty].kill()
        until(lambda: len({router.payload for router in routers if router.router._socket}) == 1, "all agree")
        records = accepted(cluster.nats.urls, "test")
    assert disagreements(routers, records) == []
    assert len({record.sessions for record in records}) == 1
