"""TLS without the program: the limit of time for a handshake."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.unit.web.world import published

from pyrtr.server import tls
from pyrtr.server.connection import Transport
from pyrtr.server.peers import Peer
from pyrtr.server.publisher import Publisher
from pyrtr.server.refusals import Reason
from pyrtr.server.registry import Registry
from pyrtr.server.tls import TlsDoor, TlsFiles
from pyrtr.wire.enums import Version


async def test_a_handshake_has_a_limit_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT_S", 0.05)
    registry = Registry(Publisher(published()), Version.V0, Version.V2)
    file = Authority(tmp_path).issue("cache", dns_names=["cache.example"])
    door = TlsDoor(TlsFiles(file, file, None), registry, check_address=True)
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        theirs.settimeout(5)
        await door.enter(ours, Peer.of(("192.0.2.1", 1)))
        assert registry.refusals.counts == {(Transport.TLS, Reason.HANDSHAKE_TIMEOUT): 1}
        assert await asyncio.to_thread(theirs.recv, 1) == b""
    assert not registry.connections
