"""How long the real program takes to stop: what is under way ends well, and nobody can hold it up."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from pathlib import Path

from tests.carriers import Carrier
from tests.inputs import bulky
from tests.model_core import reset_query
from tests.program import Program

STOP_S = 5.0
CACHE_RESTART = 12


def test_a_response_that_is_under_way_ends_well(tmp_path: Path, carrier: Carrier) -> None:
    """B93, B94: version 2 gets its whole table and then the farewell, the others their table and the close."""
    large = bulky(carrier.bulk)
    with Program(tmp_path, large, carrier=carrier) as program, ExitStack() as stack:
        routers = [stack.enter_context(program.router(version, receive_bytes=65536)) for version in (1, 2)]
        for router in routers:
            router.send(reset_query(router.version))
        program.wait_for(lambda: all(client["bytes"]["sent"] for client in program.clients()), what="it sends")
        started = time.monotonic()
        program.signal(signal.SIGTERM)
        for router in routers:
            assert router.expect_sync().payload == set(large)
            if router.version == 2:
                router.expect_error(CACHE_RESTART)
            router.expect_closed()
        assert program.wait_for_end() == 0
        assert time.monotonic() - started < STOP_S


def test_nobody_holds_up_the_stop(tmp_path: Path, carrier: Carrier) -> None:
    """B95: with routers that read nothing, and one that keeps its side open, it ends within five seconds."""
    with Program(tmp_path, bulky(carrier.bulk), carrier=carrier) as program, ExitStack() as stack:
        routers = [stack.enter_context(program.router(receive_bytes=4096)) for _ in range(3)]
        for router in routers[:2]:
            router.send(reset_query(2))
        program.wait_for(lambda: len(program.clients()) == 3, what="all are connected")
        started = time.monotonic()
        assert program.stop() == 0
        assert time.monotonic() - started < STOP_S
