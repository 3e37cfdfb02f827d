"""Data that is too old: the real program says so, and does with it what ON_STALE says."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

from tests.inputs import SMALL, Payload, visible, vrp
from tests.model_core import Sync, reset_query
from tests.model_router import Router
from tests.program import WAIT_S, Program, ago

FRESH = (*SMALL, vrp("192.0.2.0/25", 64499))
NO_DATA = 2


def holds(router: Router, payload: tuple[Payload, ...]) -> bool:
    return bool(router.sync().payload == visible(router.version, payload))


def is_refused(program: Program) -> bool:
    try:
        socket.create_connection(program.rtr, WAIT_S).close()
    except ConnectionRefusedError:
        return True
    return False


def test_hold(tmp_path: Path) -> None:
    """Stale data is served on, and `/healthz` says how old it is, until a fresh file comes."""
    with Program(tmp_path, payload=None, MAX_AGE=3600) as program, program.router() as router:
        program.load(SMALL, build_time=ago(7200))
        program.wait_for(lambda: program.get("/readyz")[0] == 200, what="it is ready")
        assert router.sync().payload == visible(2, SMALL)
        status, text = program.health()
        assert status == 503
        assert text.startswith("the data is stale: 72")
        assert text.endswith(" s old, at most 3600 s are trusted")
        program.load(FRESH)
        program.wait_for(lambda: program.get("/healthz")[0] == 200, what="it is well again")
        assert holds(router, FRESH)


def test_withdraw(tmp_path: Path) -> None:
    """Data that grows stale is withdrawn at that time, to the last entry, and comes back with a fresh file."""
    with Program(tmp_path, MAX_AGE=60, ON_STALE="withdraw") as program, program.router() as router:
        router.sync()
        program.load(SMALL, build_time=ago(57))
        program.wait_for(partial(holds, router, ()), what="everything is withdrawn")
        status, text = program.health()
        assert (status, text) == (503, "the data was stale and is withdrawn; its limit is 60 s")
        program.load(FRESH)
        program.wait_for(partial(holds, router, FRESH), what="the fresh data is there")
        program.wait_for(lambda: program.get("/healthz")[0] == 200, what="it is well again")
        assert (router.full_syncs, router.core.cache_resets) == (1, 0)


def test_close(tmp_path: Path) -> None:
    """When data grows stale routers are dropped and refused; with a fresh file they are taken again."""
    with Program(tmp_path, MAX_AGE=60, ON_STALE="close") as program, program.router() as router:
        router.sync()
        program.load(SMALL, build_time=ago(57))
        router.expect_closed()
        program.wait_for(partial(is_refused, program), what="connections are refused")
        assert program.get("/healthz")[0] == 503
        program.load(FRESH)
        program.wait_for(lambda: not is_refused(program), what="connections are taken")
        router.reconnect()
        assert holds(router, FRESH)
        assert (router.full_syncs, router.core.cache_resets) == (1, 0)


def test_a_stale_state_waits_for_the_source(tmp_path: Path) -> None:
    """What became stale while the program was down is never served if the source has better."""
    with Program(tmp_path, payload=None, MAX_AGE=3600) as program:
        program.load(SMALL, build_time=ago(7200))
        program.wait_for(lambda: program.get("/readyz")[0] == 200, what="it is ready")
        program.stop()
        program.load(FRESH)
        program.launch()
        program.wait_for(lambda: not is_refused(program), what="it listens")
        with program.router() as router:
            router.send(reset_query(2))
            while not isinstance(event := router.expect_answer(), Sync):
                assert event.code == NO_DATA
                router.send(reset_query(2))
            assert router.payload == visible(2, FRESH)


def test_a_stale_state_is_better_than_none(tmp_path: Path) -> None:
    """Nothing better can be had: after the look at the source, what is there is served, and is no secret."""
    with Program(tmp_path, payload=None, MAX_AGE=3600) as program:
        program.load(SMALL, build_time=ago(7200))
        program.wait_for(lambda: program.get("/readyz")[0] == 200, what="it is ready")
        program.stop()
        program.file.unlink()
        program.start()
        program.wait_for(lambda: program.get("/readyz")[0] == 200, what="the source was looked at")
        with program.router() as router:
            assert router.sync().payload == visible(2, SMALL)
        assert "the data is stale" in program.health()[1]
