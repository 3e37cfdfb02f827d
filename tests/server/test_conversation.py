"""Conversations with the real program over real sockets: pieces, closes and crowds (8210bis §7 to §9, §12)."""

import struct
from contextlib import ExitStack

import pytest
from tests.carriers import Carrier
from tests.inputs import SMALL, visible
from tests.model_core import Sync, error_report, reset_query, serial_query
from tests.program import Program

CORRUPT_DATA, INVALID_REQUEST, UNSUPPORTED_VERSION, UNSUPPORTED_TYPE = 0, 3, 4, 5


def test_full_and_empty_answers(program: Program, version: int) -> None:
    """B14, B21, B37: each version gets what it knows, and then nothing, since nothing has changed."""
    with program.router(version) as router:
        assert router.sync().is_full
        assert router.payload == visible(version, SMALL)
        assert router.sync().pdus == ()
        assert (router.full_syncs, router.incremental_syncs) == (1, 1)
        router.reconnect()
        assert router.sync().pdus == ()  # B40


def test_versions_are_per_connection(program: Program) -> None:
    """B26, B28: one process serves all versions at the same time, each in a session of its own."""
    with ExitStack() as stack:
        routers = [stack.enter_context(program.router(version)) for version in (2, 0, 1, 2, 1, 0)]
        for router in routers:
            router.send(reset_query(router.version))
        for router in routers:
            router.expect_sync()
            assert router.payload == visible(router.version, SMALL)
        assert len({router.session_id for router in routers}) == 3


def test_octet_by_octet(program: Program, version: int) -> None:
    """B1: a PDU may arrive in any number of pieces."""
    with program.router(version) as router:
        router.send(reset_query(version), pieces=[1] * 8)
        router.expect_sync()
        router.send(router.core.query(), pieces=[1] * 12)
        assert router.expect_sync().pdus == ()


def test_many_queries_in_one_segment(program: Program, version: int) -> None:
    """B1, B2, R5: several PDUs may share a segment; each gets its answer, in order."""
    with program.router(version) as router:
        router.send(reset_query(version) * 100)
        for _ in range(100):
            assert router.expect_sync().is_full


def test_after_a_half_close_the_answer_is_still_owed(program: Program, version: int) -> None:
    """B12: a router that has said all it wanted to say gets its answers, and then the connection ends."""
    with program.router(version) as router:
        router.send(reset_query(version) * 3)
        router.half_close()
        if program.carrier.has_half_close:
            for _ in range(3):
                router.expect_sync()
            router.expect_closed()
        else:  # TLS ends both directions at once
            program.wait_for(lambda: not program.clients(), what="the connection has ended")


FAULTS = {
    "short length": (struct.pack("!BBHI", 2, 2, 0, 4), CORRUPT_DATA),
    "excessive length": (struct.pack("!BBHI", 2, 2, 0, 2**31), CORRUPT_DATA),
    "long query": (struct.pack("!BBHII", 2, 2, 0, 12, 0), CORRUPT_DATA),
    "not for routers": (struct.pack("!BBHI", 2, 8, 0, 8), INVALID_REQUEST),
    "unknown type": (struct.pack("!BBHI", 2, 99, 0, 8), UNSUPPORTED_TYPE),
}


@pytest.mark.parametrize(("fault", "code"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("unread", [0, 40, 2**20])
def test_a_report_arrives_before_the_close(program: Program, fault: bytes, code: int, unread: int) -> None:
    """B83: the connection is closed so that the report arrives, however much input was never read."""
    with program.router() as router:
        router.sync()
        router.send(fault + b"\xff" * unread)
        router.expect_error(code)
        router.expect_closed()


def test_a_report_arrives_before_the_close_every_time(program: Program) -> None:
    """B83: not by luck."""
    for _ in range(program.carrier.crowd // 6):
        with program.router() as router:
            router.send(struct.pack("!BBHI", 2, 99, 0, 8))
            router.send(reset_query(2) * 100)
            router.expect_error(UNSUPPORTED_TYPE)
            router.expect_closed()


def test_a_report_of_a_router_ends_in_silence(program: Program, version: int) -> None:
    """B85, B86, R10, R11: nothing answers an Error Report, and a fatal one ends the session."""
    for data in (error_report(version, 0, b"\xff" * 60000, b"no\0"), error_report(version, 6)[:-1] + b"\1"):
        with program.router(version) as router:
            router.sync()
            router.send(data)
            router.expect_closed()


@pytest.mark.parametrize("version", [3, 77, 255])
def test_a_refused_router_asks_again_on_the_same_connection(program: Program, version: int) -> None:
    """B15, B16, B17, R1: code 4 in our highest version, and the next query is served."""
    with program.router(version) as router:
        router.send(serial_query(version, 0x0202, 0x02020000), pieces=[3, 6])
        assert router.expect_error(UNSUPPORTED_VERSION).version == 2
        router.sync()
        assert (router.version, router.payload) == (2, visible(2, SMALL))


NOISE = {
    "http": b"GET / HTTP/1.1\r\nHost: cache.example\r\n\r\n",
    "tls": bytes.fromhex("16030100f8010000f40303") + bytes(240),
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n",
    "zeros": bytes(4096),
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_what_is_no_rtr_is_closed_soon(program: Program, noise: bytes) -> None:
    """B11, R16: at most one Error Report, and the connection is closed."""
    with program.router() as router:
        router.send(noise)
        router.expect_error()
        router.expect_closed()


def test_strange_visitors_disturb_nobody(program: Program) -> None:
    """B12, R11, R13, R16: connections that close, reset, stop in mid-PDU or leave in mid-response leave no trace."""
    with program.router() as witness, ExitStack() as stack:
        witness.sync()
        for number in range(program.carrier.crowd // 3):
            visitor = stack.enter_context(program.router())
            visitor.send([b"", b"\2", reset_query(2)[:5], reset_query(2) * 50][number % 4])
            if number % 3 == 0:
                visitor.abort()
            elif number % 3 == 1:
                visitor.close()
        assert witness.reset().payload == visible(2, SMALL)
        stack.close()
        program.wait_for(lambda: len(program.clients()) == 1, what="only the witness is connected")
        assert witness.sync().pdus == ()


def test_a_crowd_returns_at_once(program: Program) -> None:
    """R14: hundreds of routers reconnect in the same second, all with Serial Queries of an old session."""
    with ExitStack() as stack:
        routers = [stack.enter_context(program.router(number % 3)) for number in range(program.carrier.crowd)]
        for router in routers:
            router.send(serial_query(router.version, 1, 1))
        for router in routers:
            router.expect_cache_reset()
            router.send(reset_query(router.version))
        for router in routers:
            assert router.expect_sync().payload == visible(router.version, SMALL)


def test_a_client_is_listed_while_it_is_connected(program: Program, version: int) -> None:
    """R13: the list of clients names address, port and version of who is connected, and nobody else."""
    with program.router(version) as router:
        router.sync()
        host, port = router.local_address
        listed = program.wait_for(
            lambda: [client for client in program.clients() if client["client"] == f"{host}:{port}"]
        )
        assert [(c["version"], c["transport"]) for c in listed] == [(f"V{version}", program.carrier.transport)]
    program.wait_for(lambda: not any(client["client"] == f"{host}:{port}" for client in program.clients()))


def test_a_cache_of_one_version(tmp_path_factory: pytest.TempPathFactory, carrier: Carrier) -> None:
    """B15, B16, B18: above the version code 4 and another chance, below it code 4 and the end; both in our version."""
    folder = tmp_path_factory.mktemp("v1")
    with Program(folder, carrier=carrier, MIN_VERSION=1, MAX_VERSION=1) as cache:
        with cache.router(2, cache_versions=[1]) as router:
            assert isinstance(router.sync(), Sync)
            assert (router.version, router.payload) == (1, visible(1, SMALL))
        with cache.router(0, cache_versions=[1]) as router:
            router.send(reset_query(0))
            assert router.expect_error(UNSUPPORTED_VERSION).version == 1
            router.expect_closed()
