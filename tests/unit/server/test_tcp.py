"""What becomes of a connection between its acceptance and its door."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from tests.unit.web.world import published

from pyrtr.server.connection import Transport
from pyrtr.server.limits import Limits
from pyrtr.server.peers import Peer
from pyrtr.server.publisher import Publisher
from pyrtr.server.registry import Registry
from pyrtr.server.tcp import Listener, bind
from pyrtr.session.cache import STALL_RETRIES
from pyrtr.wire.enums import Version
from pyrtr.wire.pdu import Timing


class Door:
    """Keeps who comes in, or turns them away as one that went away meanwhile."""

    transport = Transport.TCP

    def __init__(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self.entered: asyncio.Queue[socket.socket] = asyncio.Queue()

    async def enter(self, router: socket.socket, peer: Peer) -> None:  # noqa: ARG002 - as doors have it
        await self.entered.put(router)
        if not self.is_open:
            raise ConnectionResetError


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    (sock,) = bind(["127.0.0.1"], 0)
    with sock:
        yield sock


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry(Publisher(published()), Version.V0, Version.V2, Limits(max_routers=1))
    yield registry
    registry.publisher.close()


async def test_a_silent_router_is_found_out_by_the_kernel(listening: socket.socket, registry: Registry) -> None:
    """B97, B99: keep-alives are on, and three Retry Intervals without an answer are the end."""
    door = Door(is_open=True)
    listener = Listener({listening: door}, registry)
    listener.start()
    with socket.create_connection(listening.getsockname()), await asyncio.wait_for(door.entered.get(), 5) as router:
        assert router.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle_s = router.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        limit_s = router.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000
        assert idle_s < limit_s == STALL_RETRIES * Timing().retry
    listener.close()


async def test_who_goes_away_at_the_door_leaves_the_place_to_others(
    listening: socket.socket, registry: Registry
) -> None:
    door = Door(is_open=False)
    listener = Listener({listening: door}, registry)
    listener.start()
    for _ in range(3):
        with socket.create_connection(listening.getsockname()):
            router = await asyncio.wait_for(door.entered.get(), 5)
            while router.fileno() >= 0:  # noqa: ASYNC110 - closed in a turn after it was let in
                await asyncio.sleep(0)
    assert not registry.refusals.counts
    assert listener.accept_errors == 3
    listener.close()
