"""SSH without the program: the limits of time for a login, and for the session after it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import asyncssh
import pytest
from tests.unit.web.world import published

from pyrtr.server import ssh
from pyrtr.server.connection import Transport
from pyrtr.server.peers import Peer
from pyrtr.server.publisher import Publisher
from pyrtr.server.refusals import Reason
from pyrtr.server.registry import Registry
from pyrtr.server.ssh import SshDoor, SshFiles
from pyrtr.wire.enums import Version

PEER = Peer.of(("192.0.2.1", 1))
KEY = asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def registry() -> Registry:
    return Registry(Publisher(published()), Version.V0, Version.V2)


def door(registry: Registry, folder: Path) -> SshDoor:
    (folder / "authorized_keys").write_bytes(KEY.export_public_key())
    files = SshFiles(folder / "host_key", folder / "authorized_keys", None)
    return SshDoor(files, registry, with_old_algorithms=False)


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


async def test_a_login_has_a_limit_of_time(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "LOGIN_TIMEOUT_S", 0.05)
    ours, theirs = pair()
    with theirs:
        await door(registry, tmp_path).enter(ours, PEER)
        assert registry.refusals.counts == {(Transport.SSH, Reason.HANDSHAKE_TIMEOUT): 1}
        loop = asyncio.get_running_loop()
        while await asyncio.wait_for(loop.sock_recv(theirs, 4096), 5):
            pass


async def test_who_logs_in_and_asks_for_nothing_is_let_go(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "SESSION_TIMEOUT_S", 0.05)
    ours, theirs = pair()
    entering = asyncio.ensure_future(door(registry, tmp_path).enter(ours, PEER))
    async with asyncssh.connect(sock=theirs, known_hosts=None, config=None, username="x", client_keys=[KEY]) as client:
        await entering
        await asyncio.wait_for(client.wait_closed(), 5)
    assert not registry.refusals.counts
