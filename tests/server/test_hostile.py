"""Peers that mean harm, of every kind that needs no key: meanwhile a well-behaved router is served as ever.

What a single router does wrong is in `test_floods` and `test_slow_routers`; these come in numbers.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.inputs import Payload, many, visible
from tests.model_core import reset_query, serial_query
from tests.model_router import Address
from tests.program import Program

TABLE = many(5000)
CROWD = 300
ATTACKER = "127.0.0.66"  # an address of its own, so that limits for one address are not the router's
WITHIN_S = 10.0  # some hundred times what a sync takes on an idle machine; a machine for tests is never idle
LIMIT_BYTES = 64 * 2**20
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(193)
HTTP_GET = b"GET / HTTP/1.1\r\nHost: cache.example\r\n\r\n"

Attack = Callable[[Address, threading.Event], None]


def connect(address: Address) -> socket.socket:
    sock = socket.socket()
    sock.settimeout(2.0)
    sock.bind((ATTACKER, 0))
    sock.connect(address)
    return sock


def crowd(stack: ExitStack, address: Address, count: int = CROWD) -> list[socket.socket]:
    return [stack.enter_context(connect(address)) for _ in range(count)]


def silent(address: Address, stop: threading.Event) -> None:
    """Many connect and say nothing."""
    with ExitStack() as stack:
        crowd(stack, address)
        stop.wait()


def half_said(address: Address, stop: threading.Event) -> None:
    """Many send a first octet, or all but the last, and wait."""
    with ExitStack() as stack:
        for number, sock in enumerate(crowd(stack, address)):
            sock.sendall(reset_query(2)[: 1 if number % 2 else 7])
        stop.wait()


def octet_by_octet(address: Address, stop: threading.Event) -> None:
    """Many send queries an octet at a time."""
    with ExitStack() as stack:
        socks = crowd(stack, address, 100)
        for octet in itertools.cycle(serial_query(2, 1, 1)):
            for sock in socks:
                sock.sendall(bytes([octet]))
            if stop.wait(0.01):
                return


def slow_readers(address: Address, stop: threading.Event) -> None:
    """Many ask for everything and read an octet at a time."""
    with ExitStack() as stack:
        socks = crowd(stack, address, 100)
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(reset_query(2) * 20)
        while not stop.wait(0.01):
            for sock in socks:
                sock.recv(1)


def resets(address: Address, stop: threading.Event) -> None:
    """Some ask for everything again and again, and read it as fast as they can."""
    with ExitStack() as stack:
        socks = crowd(stack, address, 4)
        while not stop.is_set():
            for sock in socks:
                sock.sendall(reset_query(2))
            for sock in socks:
                sock.recv(2**20)


def storm(address: Address, stop: threading.Event) -> None:
    """Connections come and are reset at once."""
    for _ in range(2000):  # without an end, whoever comes waits until those before him in the queue were looked at
        sock = connect(address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    stop.wait()


def saying(octets: Callable[[], bytes]) -> Attack:
    """Connections come, say something that is no RTR, and wait for the answer."""

    def attack(address: Address, stop: threading.Event) -> None:
        while not stop.is_set():
            with connect(address) as sock, contextlib.suppress(OSError):
                sock.sendall(octets())
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass

    return attack


RANDOM = random.Random(6810)
ATTACKS: dict[str, Attack] = {
    "silent": silent,
    "half said": half_said,
    "octet by octet": octet_by_octet,
    "slow readers": slow_readers,
    "resets": resets,
    "storm": storm,
    "TLS": saying(lambda: TLS_HELLO),
    "HTTP": saying(lambda: HTTP_GET),
    "garbage": saying(lambda: RANDOM.randbytes(RANDOM.randrange(1, 5000))),
}


@contextlib.contextmanager
def under(attack: Attack, program: Program) -> Iterator[None]:
    """While the attack is on; what goes wrong with the attackers is their affair."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                attack(program.rtr, stop)

    before = connections(program)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        program.wait_for(lambda: connections(program) >= before + 4, what="the attack has begun")
        yield
    finally:
        stop.set()
        thread.join()


def connections(program: Program) -> float:
    return program.metrics()["pyrtr_connections_total"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("hostile"), TABLE, LOGLEVEL="INFO") as running:
        yield running


def keep_up(program: Program, table: list[Payload]) -> float:
    """A router that stays and one that comes anew get an update; how long the slowest sync took."""
    with program.router() as faithful:
        slowest = timed(faithful.sync)
        program.load(table)
        deadline = time.monotonic() + WITHIN_S
        while faithful.payload != visible(2, table):
            slowest = max(slowest, timed(faithful.sync))
            assert time.monotonic() < deadline, "the update does not arrive"
            time.sleep(0.02)
        with program.router() as newcomer:
            slowest = max(slowest, timed(newcomer.sync))
            assert newcomer.payload == visible(2, table)
    return slowest


def timed(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


@pytest.mark.parametrize("name", ATTACKS)
def test_a_router_is_served_on_time(program: Program, name: str) -> None:
    idle = keep_up(program, TABLE)
    before = program.metrics()["process_resident_memory_bytes"]
    start = program.log.stat().st_size
    with under(ATTACKS[name], program):
        attacked = keep_up(program, TABLE[1:])
        assert program.health()[0] == 200
    print(f"{name}: slowest sync {idle * 1000:.0f} ms idle, {attacked * 1000:.0f} ms attacked")
    assert attacked < WITHIN_S
    assert program.metrics()["process_resident_memory_bytes"] < before + LIMIT_BYTES
    program.wait_for(lambda: not program.clients(), what="the attackers are gone")
    assert [line for line in program.events(start) if line["level"] in ("error", "critical")] == []


@pytest.mark.parametrize("server", ["rtr", "web"])
def test_the_kernel_holds_little_of_what_is_sent(program: Program, server: str) -> None:
    """It is worked off in one turn, while others wait: of some octets, such as TLS's key updates, that takes long."""
    program.signal(signal.SIGSTOP)
    try:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            sock.connect(getattr(program, server))
            sock.settimeout(0.2)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 2**20:
                    sent += sock.send(bytes(1024))
    finally:
        program.signal(signal.SIGCONT)
    assert sent < 2**15


def test_out_of_descriptors_who_is_connected_is_served(tmp_path: Path) -> None:
    """The others wait, and come in as soon as there is room; the source is loaded all the while."""
    with Program.idle(tmp_path, TABLE, LOGLEVEL="INFO") as program:
        program.prefix = ("prlimit", "--nofile=256:256")
        program.start()
        with program.router() as faithful, ExitStack() as stack:
            faithful.sync()
            crowd(stack, program.rtr)
            program.wait_for(lambda: program.has_logged("no router can be accepted for now"), what="it is full")
            program.load(TABLE[1:])
            deadline = time.monotonic() + WITHIN_S
            while faithful.payload != visible(2, TABLE[1:]):
                faithful.sync()
                assert time.monotonic() < deadline, "the update does not arrive"
                time.sleep(0.02)
            assert program.health() == (200, "ok")  # HTTP has some descriptors of its own
            with program.router() as waiting:
                waiting.send(reset_query(2))
                stack.close()
                assert waiting.expect_sync().payload == visible(2, TABLE[1:])
            for event in ("no router can be accepted for now", "routers are accepted again"):
                assert program.has_logged(event)
