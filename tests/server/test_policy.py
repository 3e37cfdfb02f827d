"""Who may connect to the real program, how many, and what is spoken with whom."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.carriers import Carrier
from tests.inputs import SMALL, visible
from tests.model_core import error_report, reset_query
from tests.program import Program

REFUSED = (OSError, AssertionError, asyncssh.Error)  # as each transport tells


def lines(program: Program, event: str) -> list[dict[str, Any]]:
    return [line for line in program.events() if line["event"] == event]


def test_only_who_is_allowed_comes_in(tmp_path: Path, carrier: Carrier) -> None:
    with Program(tmp_path, carrier=carrier, ALLOW="127.0.0.2,127.0.1.0/24,2001:db8::/32") as program:
        for source in ("127.0.0.1", "127.0.2.1"):
            with pytest.raises(REFUSED), program.router(source=source) as router:
                router.sync()
        if carrier.transport != "tls":  # whose certificate is for 127.0.0.1
            for source in ("127.0.0.2", "127.0.1.99"):
                with program.router(source=source) as router:
                    assert router.sync().is_full
        sample = f'pyrtr_refused_routers_total{{reason="not_allowed",transport="{carrier.transport}"}}'
        assert program.metrics()[sample] == 2
        assert {line["reason"] for line in lines(program, "router refused")} >= {"not allowed"}


def test_a_cap_is_the_highest_version_there(tmp_path: Path) -> None:
    """The router is offered it, as by a cache that knows no more."""
    with (
        Program(tmp_path, VERSION_CAPS="127.0.0.0/24=1,127.0.0.9/32=2,127.0.1.0/24=0") as program,
        ExitStack() as stack,
    ):
        for source, version in (("127.0.0.1", 1), ("127.0.0.9", 2), ("127.0.1.1", 0), ("127.1.0.1", 2)):
            router = stack.enter_context(program.router(source=source, cache_versions=range(version + 1)))
            assert router.sync().payload == visible(version, SMALL)
            assert router.version == version


def test_connections_are_bounded_and_shared(tmp_path: Path) -> None:
    """MAX_ROUTERS: one address has three quarters, the next three quarters of the rest; who leaves makes room."""
    with Program(tmp_path, MAX_ROUTERS=20) as program, ExitStack() as stack:
        first = [stack.enter_context(program.router(source="127.0.0.1")) for _ in range(15)]
        second = [stack.enter_context(program.router(source="127.0.0.2")) for _ in range(3)]
        for router in first + second:
            router.sync()
        for source in ("127.0.0.1", "127.0.0.2"):
            with program.router(source=source) as refused:
                refused.expect_closed()
        with program.router(source="127.0.0.3") as third:
            third.sync()
            for router in first[:4]:
                router.close()
            program.wait_for(lambda: len(program.clients()) == 15, what="four have left")
            with program.router(source="127.0.0.1") as again:
                assert again.sync().is_full
        assert [line["reason"] for line in lines(program, "router refused")] == [
            "too many routers from one address"
        ] * 2


def test_a_flood_of_refusals_is_logged_at_a_bounded_rate(tmp_path: Path) -> None:
    with Program(tmp_path, ALLOW="127.0.0.2") as program:
        for _ in range(200):
            with socket.create_connection(program.rtr, 5) as sock:
                assert sock.recv(1) == b""
        sample = 'pyrtr_refused_routers_total{reason="not_allowed",transport="tcp"}'
        program.wait_for(lambda: program.metrics()[sample] == 200, what="all are counted")
        assert len(lines(program, "router refused")) == 10


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("how", ["error 9", "error 0", "reset"])
def test_a_router_that_does_not_know_our_aspas_has_a_cure(tmp_path: Path, how: str) -> None:
    """R3: it takes the whole set in version 2, ends the session, and comes back, for ever: the log says what helps."""
    event = "router may not know the ASPAs of this version"
    with Program(tmp_path) as program:
        for version, count in ((1, 4), (2, 2), (2, 3)):
            for _ in range(count):
                with program.router(version) as router:
                    router.send(reset_query(version))
                    router.expect_sync()
                    if how == "reset":
                        router.abort()
                    else:
                        router.send(error_report(version, int(how[-1])))
                        router.expect_closed()
                program.wait_for(lambda: not program.clients(), what="it is gone")
            assert len(lines(program, event)) == (count == 3)
        (line,) = lines(program, event)
        assert line["cure"] == "VERSION_CAPS=127.0.0.1=1"


def test_routers_that_end_well_get_no_advice(tmp_path: Path) -> None:
    """Such as a monitor that looks once a minute; and one that reported something else."""
    with Program(tmp_path) as program:
        for number in range(8):
            with program.router() as router:
                router.sync()
                if number % 2:
                    router.send(error_report(2, 1))
                    router.expect_closed()
        program.wait_for(lambda: not program.clients(), what="all are gone")
        assert not program.has_logged("router may not know the ASPAs of this version")
