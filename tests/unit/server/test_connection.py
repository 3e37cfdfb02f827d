"""A connection on a transport of the test's own, which does what the event loop's does at bad moments."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.model_core import error_report, reset_query
from tests.unit.web.world import large_table, published

from pyrtr.server import connection as connection_module
from pyrtr.server.connection import Connection, Transport
from pyrtr.server.peers import Peer
from pyrtr.server.publisher import Publisher
from pyrtr.server.registry import ARRIVALS_PER_WINDOW, Registry
from pyrtr.wire.enums import Version
from pyrtr.wire.image import EMPTY_IMAGE, SharedImage

PEER = Peer(ip_address("192.0.2.1"), "192.0.2.1:50000")


class Wire(asyncio.Transport):
    """Takes everything until it is closed, and then fails, as that of uvloop does."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 50000)})
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:  # noqa: ARG002 - as asyncio has it
        if self.is_closed:
            raise RuntimeError("the handler is closed")

    def writelines(self, parts: Any) -> None:  # noqa: ARG002
        self.write(b"")

    def write_eof(self) -> None:
        pass

    def abort(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@pytest.fixture
async def faults() -> list[dict[str, Any]]:
    """What the event loop is told of exceptions that nobody catches."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    return found


@pytest.mark.parametrize("count", [2, 40])
async def test_a_router_that_is_lost_is_answered_no_more(count: int, faults: list[dict[str, Any]]) -> None:
    """Its next queries wait for a turn of the event loop when it goes: they cost nothing, and hold on to nothing."""
    first = published(large_table(10))
    first.snapshot(Version.V2).get()
    registry = Registry(Publisher(first), Version.V0, Version.V2)
    connection = registry.connect(Transport.TCP, PEER)
    wire = Wire()
    connection.connection_made(wire)
    connection.data_received(reset_query(2) * count)
    wire.is_closed = True
    connection.connection_lost(None)
    for _ in range(10):
        await asyncio.sleep(0)
    assert faults == []
    assert not registry.sending
    registry.publisher.close()


async def test_a_router_that_gives_up_while_its_answer_is_encoded(faults: list[dict[str, Any]]) -> None:
    """There is nobody any more to send it to."""
    publisher = Publisher(published(large_table(10)))
    registry = Registry(publisher, Version.V0, Version.V2)
    connection = registry.connect(Transport.TCP, PEER)
    connection.connection_made(Wire())
    connection.data_received(reset_query(2))
    connection.data_received(error_report(2, 0))
    await publisher.encode(SharedImage(lambda: EMPTY_IMAGE))  # in line behind it
    await asyncio.sleep(0)
    assert connection.close_reason == "the router reported error 0"
    assert faults == []
    assert not registry.sending
    publisher.close()


async def test_codes_that_nobody_assigned_are_counted_as_one() -> None:
    """Any router may send 65536 of them, one in each connection."""
    registry = Registry(Publisher(published(large_table(10))), Version.V0, Version.V2)
    for code in (2, 14, 255, 4711, 65535):
        connection = registry.connect(Transport.TCP, PEER)
        connection.connection_made(Wire())
        connection.data_received(reset_query(2) + error_report(2, code))
        connection.connection_lost(None)
    counts = {code: count for (what, code), count in registry.totals.items() if what == "error_received"}
    assert counts == {"2": 1, "other": 4}
    registry.publisher.close()


def come(registry: Registry, address: str = "192.0.2.1") -> Connection:
    connection = registry.connect(Transport.TCP, Peer(ip_address(address), f"{address}:50000"))
    connection.connection_made(Wire())
    return connection


async def test_what_a_router_is_answered_is_logged() -> None:
    registry = Registry(Publisher(published()), Version.V0, Version.V2)
    connection = come(registry)
    with capture_logs() as lines:
        connection.data_received(reset_query(1))
        first = published(large_table(10))
        first.snapshot(Version.V1).get()
        registry.publisher.publish(first)
        connection.data_received(reset_query(1))
        for _ in range(10):
            await asyncio.sleep(0)
    router = connection.address
    assert {"event": "no data available", "log_level": "debug", "router": router} in lines
    (synced,) = [line for line in lines if line["event"] == "router synced"]
    assert (synced["router"], synced["kind"], synced["serial"]) == (router, "full", first.serial)
    registry.publisher.close()


async def test_who_comes_again_and_again_fills_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it says; all others are logged as ever, and so is it when it stays."""
    registry = Registry(Publisher(published()), Version.V0, Version.V2)
    with capture_logs() as lines:
        for _ in range(500):
            connection = come(registry)
            connection.data_received(b"\xff" * 8)
            connection.connection_lost(None)
        assert len(lines) == 3 * ARRIVALS_PER_WINDOW  # connected, protocol error, disconnected
        come(registry, "192.0.2.2").connection_lost(None)
        assert lines[-2]["unlogged"] == 500 - ARRIVALS_PER_WINDOW
        monkeypatch.setattr(connection_module, "WINDOW_S", 0.0)
        come(registry).connection_lost(None)
        assert [line["event"] for line in lines[-2:]] == ["router disconnected"] * 2
    assert registry.accepted_count == 502
    registry.publisher.close()


async def test_the_addresses_of_one_owner_fill_no_log_either() -> None:
    """A /64 of IPv6 may be had by anybody."""
    registry = Registry(Publisher(published()), Version.V0, Version.V2)
    with capture_logs() as lines:
        for number in range(1000):
            come(registry, f"2001:db8::{number:x}").connection_lost(None)
        assert len(lines) == 2 * ARRIVALS_PER_WINDOW
        come(registry, "2001:db8:0:1::").connection_lost(None)
    assert lines[-2]["unlogged"] == 1000 - ARRIVALS_PER_WINDOW
    registry.publisher.close()
