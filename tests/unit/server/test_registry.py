"""How much each router is handed at once, and who comes in while nobody may."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_network

import pytest
from structlog.testing import capture_logs
from tests.unit.server.test_connection import Wire
from tests.unit.web.world import published

from pyrtr.server.connection import Connection, Transport
from pyrtr.server.limits import Limits
from pyrtr.server.peers import Peer
from pyrtr.server.publisher import Publisher
from pyrtr.server.registry import MAX_SLICE_BYTES, MIN_SLICE_BYTES, TURN_BYTES, Registry
from pyrtr.wire.enums import Version


def connected(registry: Registry) -> Connection:
    connection = registry.connect(Transport.TCP, Peer(ip_address("192.0.2.1"), "192.0.2.1:50000"))
    connection.connection_made(Wire())
    return connection


async def test_whose_version_is_capped_is_logged() -> None:
    caps = [(ip_network("192.0.2.0/24"), Version.V1), (ip_network("192.0.2.128/25"), Version.V2)]
    registry = Registry(Publisher(published()), Version.V0, Version.V2, Limits(version_caps=caps))
    with capture_logs() as lines:
        for host in ("192.0.2.1", "192.0.2.129"):
            registry.connect(Transport.TCP, Peer(ip_address(host), f"{host}:50000"))
    assert lines == [{"event": "version capped", "log_level": "debug", "router": "192.0.2.1:50000", "highest": "V1"}]


@pytest.fixture
def registry() -> Registry:
    return Registry(Publisher(published()), Version.V0, Version.V2)


async def test_a_turn_is_shared_by_all_who_are_sent_to(registry: Registry) -> None:
    """All together get no more than a turn may copy, and each enough to be worth the while."""
    for count in range(1, 200):
        connection = connected(registry)
        registry.sending.add(connection)
        size = registry.slice_bytes(connection)
        assert MIN_SLICE_BYTES <= size <= MAX_SLICE_BYTES
        assert size == MIN_SLICE_BYTES or size * count <= TURN_BYTES
    assert registry.slice_bytes(connected(registry)) == MIN_SLICE_BYTES


async def test_who_asks_for_everything_again_stands_back(registry: Registry) -> None:
    """But only behind others."""
    again, other = connected(registry), connected(registry)
    again.session.full_responses = 2
    registry.sending.add(again)
    assert registry.slice_bytes(again) == MAX_SLICE_BYTES
    registry.sending.add(other)
    assert registry.slice_bytes(again) == MIN_SLICE_BYTES
    assert registry.slice_bytes(other) == MAX_SLICE_BYTES


async def test_who_shakes_hands_while_the_gate_shuts_is_let_go(registry: Registry) -> None:
    before = connected(registry)
    registry.gate(is_open=False)
    assert before.close_reason == "no router is served for now"
    late = connected(registry)
    await asyncio.sleep(0)
    assert late.close_reason == "no router is served for now"
    registry.gate(is_open=True)
    assert connected(registry).close_reason == ""
