"""The real program when it ends, and when it comes back."""

import signal
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from tests.inputs import SMALL, Payload, visible, vrp
from tests.model_core import reset_query
from tests.model_router import Router
from tests.program import Program

CACHE_RESTART, CACHE_SHUTDOWN = 12, 13


@pytest.mark.parametrize(
    ("farewell", "code"), [("restart", CACHE_RESTART), ("shutdown", CACHE_SHUTDOWN), ("none", None)]
)
def test_farewell(tmp_path: Path, farewell: str, code: int | None) -> None:
    """B93, B94, B95: code 12 or 13 to routers of version 2, a mere close to the others, to strangers, and to idlers."""
    with Program(tmp_path, FAREWELL=farewell) as program, ExitStack() as stack:
        routers = [stack.enter_context(program.router(version)) for version in (0, 1, 2, 2)]
        stranger = stack.enter_context(program.router())
        for router in routers:
            router.sync()
        stranger.send(reset_query(2)[:3])
        program.signal(signal.SIGTERM)
        for router in routers:
            if router.version == 2 and code is not None:
                router.expect_error(code)
            router.expect_closed()
        stranger.expect_closed(may_reset=True)
        assert program.wait_for_end() == 0


@pytest.mark.parametrize("is_killed", [False, True])
def test_after_a_restart_no_state_means_something_else(tmp_path: Path, is_killed: bool) -> None:
    """B27, B40, R4, R14: a router that comes back with its old state gets a true delta or Cache Reset."""
    with Program(tmp_path) as program, ExitStack() as stack:
        routers = [stack.enter_context(program.router(version)) for version in (0, 1, 2)]
        for router in routers:
            router.sync()
        for count in (1, 2):
            payload = (*SMALL, *(vrp(f"203.0.113.{number}/32") for number in range(count)))
            if is_killed:
                program.kill()
            else:
                for router in routers:
                    router.close()
                program.stop()
            program.load(payload)
            program.start()
            for router in routers:
                router.reconnect()
                program.wait_for(partial(holds, router, payload), what="the router has caught up")


def holds(router: Router, payload: Iterable[Payload]) -> bool:
    return bool(router.sync().payload == visible(router.version, payload))
