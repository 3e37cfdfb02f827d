"""Routers that read slowly, or not at all: they get what they asked for, or are given up, and delay nobody."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.carriers import Carrier
from tests.inputs import bulky
from tests.model_core import error_report, reset_query, serial_query
from tests.program import Program


def test_a_slow_router_gets_one_snapshot_and_delays_nobody(tmp_path: Path, carrier: Carrier) -> None:
    """B12, B36, B63, B64, B68, R12: a response that takes long is not mixed with an update, nor in anyone's way."""
    large = bulky(carrier.bulk)
    with (
        Program(tmp_path, large, carrier=carrier) as program,
        program.router(receive_bytes=4096) as slow,
        program.router() as quick,
    ):
        slow.send(reset_query(2))
        quick.send(serial_query(2, 1, 1))
        quick.expect_cache_reset()
        program.load(large[1:])
        program.wait_for(partial(program.has_logged, "published", 2), what="the update was published")
        quick.send(serial_query(2, 1, 1))
        quick.expect_cache_reset()
        assert slow.expect_sync().payload == set(large)
        slow.expect_notify()
        sync = slow.sync()
        assert (sync.announced, sync.withdrawn) == ([], [large[0]])


def test_a_router_that_takes_nothing_is_given_up(tmp_path: Path, carrier: Carrier) -> None:
    """B12, B84, B99, R11, R12: after three Retry Intervals without an octet taken, whatever else the router said."""
    unknown_type = b"\2\x63\0\0\0\0\0\x08"
    with Program(tmp_path, bulky(carrier.bulk), RETRY=1, carrier=carrier) as program, ExitStack() as stack:
        for last_words in (b"", error_report(2, 0), unknown_type):
            router = stack.enter_context(program.router(receive_bytes=4096))
            router.send(reset_query(2) + last_words)
        program.wait_for(partial(program.has_logged, "router connected", 3), what="all are connected")
        program.wait_for(lambda: not program.clients(), what="all are given up")


def test_what_the_kernel_holds_is_timed_too(tmp_path: Path) -> None:
    """B99: a response that the kernel took off our hands, and that the router does not read."""
    with Program(tmp_path, bulky(10), RETRY=1) as program, program.router(receive_bytes=4096) as router:
        router.send(reset_query(2))
        program.wait_for(lambda: program.clients()[0]["last_sync_s"]["full"] is not None, what="all was handed over")
        program.wait_for(lambda: not program.clients(), what="it is given up")
