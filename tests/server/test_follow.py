"""Real programs that follow another one (DATASOURCE=PYRTR): the same sessions, serials and sets, whatever happens."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.inputs import SMALL, Payload, aspa, router_key, visible, vrp
from tests.model_core import serial_query
from tests.model_router import TIMEOUT_S, Router
from tests.program import Program
from tests.proxy import Proxy

GENERATIONS = 25
CHANGED = (*SMALL[1:], vrp("192.0.2.0/25", 64499))


def follower(folder: Path, other: Program, **environment: Any) -> Program:
    folder.mkdir(exist_ok=True)
    return Program(folder, None, DATASOURCE="PYRTR", LOCATION=f"http://127.0.0.1:{other.web[1]}", **environment)


def ready(program: Program) -> Program:
    """Wait until it has something to serve."""
    program.wait_for(lambda: program.get("/readyz")[0] == 200, what="it is ready")
    return program


def followed(program: Program) -> dict[str, Any]:
    """What it says of the program that it follows."""
    [location] = program.healthz()["locations"]
    return dict(location)


def catch_up(router: Router, wanted: set[Payload]) -> None:
    """Poll until the router holds a set."""
    deadline = time.monotonic() + TIMEOUT_S
    while router.sync().payload != wanted:
        assert time.monotonic() < deadline, "the set never came"
        time.sleep(0.005)


def churn(seed: int) -> Callable[[], set[Payload]]:
    """Sets of all kinds that differ in a few entries from one to the next."""
    chance = random.Random(seed)
    pool = [
        *(vrp(f"198.51.100.{number}/32", 64496 + number % 3) for number in range(100)),
        *(vrp(f"2001:db8:{number:x}::/48") for number in range(1, 51)),
        *(router_key(number) for number in range(1, 9)),
    ]
    held = set(pool[::2])
    providers = {64496 + number: 64500 + number for number in range(8)}

    def step() -> set[Payload]:
        held.symmetric_difference_update(chance.sample(pool, 6))
        providers[chance.choice(list(providers))] = chance.randrange(65536, 2**32)
        return {*held, *(aspa(customer, provider) for customer, provider in providers.items())}

    return step


def test_a_chain_of_three_and_a_router_that_moves(tmp_path: Path) -> None:
    """The last one's routers hold the first one's set after each update; one that moves never starts anew.

    The moved router has each serial from the one cache before it asks the other for more, which may not have it yet.
    """
    (tmp_path / "first").mkdir()
    next_set = churn(20261125)
    with ExitStack() as stack:
        first = stack.enter_context(Program(tmp_path / "first", next_set()))
        second = ready(stack.enter_context(follower(tmp_path / "second", first)))
        third = ready(stack.enter_context(follower(tmp_path / "third", second)))
        programs = (first, second, third)
        proxy = stack.enter_context(Proxy(first.rtr))
        moving = stack.enter_context(Router.connect(proxy.address))
        routers = [stack.enter_context(program.router(version)) for program in (second, third) for version in (0, 1, 2)]
        for router in (*routers, moving):
            router.sync()
        for number in range(GENERATIONS):
            payload = next_set()
            first.load(payload)
            catch_up(moving, payload)
            target = programs[(number + 1) % 2]
            proxy.move(target.rtr)
            moving.reconnect()
            assert moving.sync().pdus == ()
            for router in routers:
                catch_up(router, visible(router.version, payload))
                assert router.serial == moving.serial
        assert (moving.full_syncs, moving.core.cache_resets) == (1, 0)
        assert {(router.full_syncs, router.core.cache_resets) for router in routers} == {(1, 0)}

        # It asks for more than there is yet, and says that it is going to ask nothing else.
        proxy.move(second.rtr)
        moving.reconnect()
        moving.send(serial_query(2, moving.session_id or 0, moving.serial + 1))
        moving.half_close()
        first.load(next_set())
        assert moving.expect_sync().pdus == ()
        moving.expect_closed()

        assert second.healthz()["sessions"] == third.healthz()["sessions"] == first.healthz()["sessions"]
        for program in (second, third):
            place = followed(program)
            assert (place["whole_copies"], place["healthy"]) == (1, True)
            assert place["updates"] >= GENERATIONS
            assert program.health() == (200, "ok")
            assert [line for line in program.events() if line["level"] in ("warning", "error")] == []


def test_either_may_be_killed_or_lose_its_state(tmp_path: Path) -> None:
    """Sessions, serials and history go on; only steps travel; the one goes on serving while the other is away.

    When the other has lost its state, routers are parted from, and find the new session.
    """
    (tmp_path / "first").mkdir()
    with ExitStack() as stack:
        first = stack.enter_context(Program(tmp_path / "first", INITIAL_SERIAL=1))
        second = ready(stack.enter_context(follower(tmp_path / "second", first)))
        routers = [stack.enter_context(second.router(version)) for version in (0, 1, 2)]
        for router in routers:
            router.sync()
        second.kill()
        first.load(CHANGED)
        first.wait_for(lambda: first.has_logged("published", 2), what="it is published")
        second.start()
        for router in routers:
            router.reconnect()
            catch_up(router, visible(router.version, CHANGED))
        second.wait_for(lambda: followed(second)["updates"] == 1, what="the steps were enough")
        assert followed(second)["whole_copies"] == 0

        first.kill()
        second.wait_for(lambda: followed(second)["error"], what="it notices")
        assert second.get("/healthz")[0] == 200
        for router in routers:
            router.reconnect()
            assert router.sync().pdus == ()
        first.load(SMALL)
        first.start()
        for router in routers:
            catch_up(router, visible(router.version, SMALL))
            assert (router.full_syncs, router.core.cache_resets) == (1, 0)
        assert followed(second)["whole_copies"] == 0
        assert second.healthz()["sessions"] == first.healthz()["sessions"]  # that of version 0 is another one now

        first.stop()
        shutil.rmtree(tmp_path / "first" / "state")
        first.load(CHANGED)
        first.start()
        for router in routers:
            session_id = router.session_id
            router.expect_closed()
            router.reconnect()
            catch_up(router, visible(router.version, CHANGED))
            assert router.session_id != session_id
            assert (router.serial, router.full_syncs) == (1, 2)
        assert (followed(second)["whole_copies"], second.health()) == (1, (200, "ok"))
        assert second.healthz()["sessions"] == first.healthz()["sessions"]


def test_a_state_of_our_own_and_back_again(tmp_path: Path) -> None:
    """What a source of our own left is not mixed in; and when it comes back, it begins sessions of its own."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with ExitStack() as stack:
        first = stack.enter_context(Program(tmp_path / "first", CHANGED))
        own = stack.enter_context(Program(tmp_path / "second", INITIAL_SERIAL=7))
        before = own.healthz()["sessions"]
        own.stop()
        second = ready(stack.enter_context(follower(tmp_path / "second", first)))
        assert second.healthz()["sessions"] == first.healthz()["sessions"]
        with second.router() as router:
            assert router.sync().payload == visible(2, CHANGED)
        second.stop()
        own.load(CHANGED)
        own.start()
        own.wait_for(lambda: own.healthz()["serials"]["V2"] == 7, what="it serves its own")
        after = own.healthz()["sessions"]
        assert not set(after.values()) & {*before.values(), *first.healthz()["sessions"].values()}
        with own.router() as router:
            assert router.sync().payload == visible(2, CHANGED)
