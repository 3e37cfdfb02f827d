"""Listening sockets of a service manager: they outlive the program, so that nobody is refused while it is away."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.inputs import SMALL, visible
from tests.model_core import Sync, reset_query
from tests.program import Program, ago

NO_DATA = 2
# What systemd does: the sockets are descriptors 3 and 4, and LISTEN_PID names the process that they are meant for.
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.environ |= {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "rtr:http", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[3], sys.argv[3:])
"""


def hand_over(program: Program, rtr: socket.socket, http: socket.socket) -> None:
    program.pass_fds = (rtr.fileno(), http.fileno())
    program.prefix = (sys.executable, "-c", HAND_OVER, *map(str, program.pass_fds))


def listening(stack: ExitStack) -> socket.socket:
    with socket.create_server(("127.0.0.1", 0)) as probe:  # a port that is named is kept when listening ends
        address = probe.getsockname()
    return stack.enter_context(socket.create_server(address, backlog=128))


def high(sock: socket.socket) -> socket.socket:
    """The same socket as a descriptor that a hand-over does not write on."""
    assert sock.fileno() > 4
    return sock


def test_nobody_is_refused(tmp_path: Path) -> None:
    """Routers that connect while the program is dead are served when it comes back."""
    with ExitStack() as stack:
        rtr, http = high(listening(stack)), high(listening(stack))
        program = stack.enter_context(Program.idle(tmp_path))
        hand_over(program, rtr, http)
        program.start()
        assert (program.rtr, program.web) == (rtr.getsockname(), http.getsockname())
        assert program.get("/healthz")[0] == 200
        for kill in (program.kill, program.stop):
            kill()
            routers = [stack.enter_context(program.router(version)) for version in (0, 1, 2, 2)]
            for router in routers:
                router.send(reset_query(router.version))
            program.launch()
            assert program.get("/readyz")[0] in (200, 503)
            for router in routers:
                assert router.expect_sync().payload == visible(router.version, SMALL)


def test_a_socket_that_was_closed_listens_again(tmp_path: Path) -> None:
    """ON_STALE=close ends listening, also for the next program; that begins it again."""
    with ExitStack() as stack:
        rtr, http = high(listening(stack)), high(listening(stack))
        program = stack.enter_context(Program.idle(tmp_path, MAX_AGE=60, ON_STALE="close"))
        hand_over(program, rtr, http)
        program.start()
        with program.router() as router:
            router.sync()
            program.load(SMALL, build_time=ago(3600))
            router.expect_closed()
            program.kill()
            program.load(SMALL)
            program.start()
            program.wait_for(lambda: program.get("/healthz")[0] == 200, what="the data is fresh")
            router.reconnect()
            assert isinstance(router.serial_query(), Sync)
