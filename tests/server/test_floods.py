"""Routers that send without end, and read nothing: they cost little, and delay nobody."""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import struct
import subprocess
import sys
import time
from typing import cast

import pytest
from tests.inputs import bulky
from tests.program import Program

WITHIN_S = 5.0  # a second or two for a busy machine


def query(version: int, session_id: int, serial: int) -> bytes:
    return struct.pack("!BBHII", version, 1, session_id, 12, serial)


def reset(version: int) -> bytes:
    return struct.pack("!BBHI", version, 2, 0, 8)


def report(code: int) -> bytes:
    return struct.pack("!BBHIII", 2, 10, code, 16, 0, 0)


def small_reader(program: Program) -> socket.socket:
    """A connection that takes next to nothing before the sender has to wait."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(1.0)
    sock.connect(program.rtr)
    return sock


def send_for(sock: socket.socket, octets: bytes, seconds: float) -> int:
    """Send again and again, as long as the other side takes it, until the time is over."""
    sent, end = 0, time.monotonic() + seconds
    with contextlib.suppress(OSError):  # a time-out: it takes nothing any more; or it has closed
        while time.monotonic() < end:
            sent += sock.send(octets)
    return sent


def resident_bytes(program: Program) -> int:
    return int(program.metrics()["process_resident_memory_bytes"])


@pytest.fixture
def program(tmp_path):
    with Program(tmp_path) as running:
        yield running


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (part := sock.recv(size - len(data))):
        data += part
    return bytes(data)


def test_many_queries_in_one_segment_are_all_answered_in_order(program):
    with program.router(1) as router:
        router.sync()
        session_id, serial = router.session_id, router.serial
    with socket.create_connection(program.rtr, 10) as sock:
        count = 1000
        sock.sendall(query(1, session_id, serial) * count)
        answer = struct.pack("!BBHI", 1, 3, session_id, 8) + struct.pack("!BBHII", 1, 7, session_id, 24, serial)
        answer += struct.pack("!III", 3600, 600, 7200)
        assert read_exactly(sock, len(answer) * count) == answer * count


@pytest.mark.parametrize("octets", [query(1, 4711, 1) * 500, reset(1) * 500], ids=["cache resets", "whole tables"])
def test_answers_that_nobody_takes_do_not_pile_up(program, octets):
    before = resident_bytes(program)
    with small_reader(program) as flooder:
        sent = send_for(flooder, octets, 2.0)
        started = time.monotonic()
        with program.router(2) as router:
            router.sync()
        assert time.monotonic() - started < WITHIN_S
        assert sent < 32 * 2**20, "it is read from although it takes no answer"
        assert resident_bytes(program) - before < 16 * 2**20


def test_error_reports_without_end_end_the_connection(program):
    with socket.create_connection(program.rtr, 10) as flooder:
        flooder.sendall(reset(2))
        flooder.recv(65536)
        send_for(flooder, report(2) * 1000, 2.0)
        started = time.monotonic()
        with program.router(2) as router:
            router.sync()
        assert time.monotonic() - started < WITHIN_S
    assert program.log.read_text().count("error report received") < 20


FLOODER = """
import socket, sys, threading
def flood():
    sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    threading.Thread(target=lambda: [sock.sendall(bytes.fromhex("0202000000000008") * 8) for _ in iter(int, 1)]).start()
    while sock.recv_into(buffer):
        pass
buffer = bytearray(1 << 20)
for _ in range(int(sys.argv[3])):
    threading.Thread(target=flood).start()
print("floods", flush=True)
"""


def test_who_asks_for_everything_without_end_starves_nobody(tmp_path):
    """Twenty connections that ask for the whole table, read it, and ask again: a router gets its own all the same."""
    with Program(tmp_path, bulky(150)) as program:  # 9 MB
        command = [sys.executable, "-c", FLOODER, program.rtr[0], str(program.rtr[1]), "20"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as flooder:
            try:
                assert flooder.stdout is not None
                flooder.stdout.readline()
                program.wait_for(lambda: sum(c["responses"]["full"] for c in program.clients()) > 40, 30, "it floods")
                for _ in range(3):
                    started = time.monotonic()
                    with program.router(2) as router:
                        router.sync()
                    assert time.monotonic() - started < WITHIN_S
            finally:
                flooder.kill()


STORM = 5000


def test_a_storm_of_connections_is_served_in_turn(tmp_path):
    """5,000 at once, each of which asks at once: every one of them gets the whole set, and nothing goes wrong."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard > STORM + 100, "the machine allows too few descriptors"
    with Program(tmp_path) as program, contextlib.ExitStack() as stack:
        with program.router(1) as router:
            router.sync()
            wanted = program.clients()[0]["bytes"]["sent"]
        sockets = [stack.enter_context(socket.socket()) for _ in range(STORM)]
        selector = stack.enter_context(selectors.DefaultSelector())
        for sock in sockets:
            sock.setblocking(False)
            sock.connect_ex(program.rtr)
            selector.register(sock, selectors.EVENT_WRITE)
        missing = dict.fromkeys(sockets, wanted)
        deadline = time.monotonic() + 60
        while missing:
            assert time.monotonic() < deadline, f"{len(missing)} are not served"
            for key, _ in selector.select(1):
                sock = cast("socket.socket", key.fileobj)
                if key.events == selectors.EVENT_WRITE:
                    sock.sendall(reset(1))
                    selector.modify(sock, selectors.EVENT_READ)
                else:
                    data = sock.recv(65536)
                    assert data, "closed"
                    missing[sock] -= len(data)
                    if not missing[sock]:
                        del missing[sock]
                        selector.unregister(sock)
        assert len(program.clients()) == STORM
        metrics = program.metrics()
        assert metrics["pyrtr_accept_errors_total"] == 0
        assert not [name for name in metrics if name.startswith("pyrtr_refused_routers_total{")]
        assert not [line for line in program.events() if line["level"] in ("warning", "error", "critical")]
