"""SSH without the program: what a login and the session after it may take, of time and of octets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncssh
import pytest
from asyncssh.packet import Boolean, String
from tests.unit.web.world import published

from pyrtr.server import ssh
from pyrtr.server.connection import Connection, Transport
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
    """Sockets between which there is room for little."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.socket()
        for sock, option in itertools.product((server, theirs), (socket.SO_SNDBUF, socket.SO_RCVBUF)):
            sock.setsockopt(socket.SOL_SOCKET, option, 2**14)
        theirs.connect(server.getsockname())
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


@contextlib.asynccontextmanager
async def logged_in(registry: Registry, folder: Path) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A router that has logged in, and a limit of time for what it does."""
    ours, theirs = pair()
    entering = asyncio.ensure_future(door(registry, folder).enter(ours, PEER))
    async with (
        asyncio.timeout(10),
        asyncssh.connect(sock=theirs, known_hosts=None, config=None, username="x", client_keys=[KEY]) as client,
    ):
        await entering
        yield client


@pytest.mark.parametrize("subsystem", [None, "sftp"])
async def test_a_session_that_does_not_ask_for_the_subsystem_is_let_go(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subsystem: str | None
) -> None:
    monkeypatch.setattr(ssh, "SESSION_TIMEOUT_S", 0.05)
    async with logged_in(registry, tmp_path) as client:
        channel = asyncssh.SSHTCPChannel[bytes](client, asyncio.get_running_loop(), None, "strict", 2**16, 2**15)
        await channel._open(b"session")
        if subsystem is not None:
            assert not await channel._make_request(b"subsystem", String(subsystem))
        await client.wait_closed()


async def test_sessions_that_are_over_are_forgotten(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside one that goes on, a router may open thousands a second."""
    alive: weakref.WeakSet[ssh._Session] = weakref.WeakSet()

    class Session(ssh._Session):
        def __init__(self, connection: Connection, ended: Callable[[ssh._Session], None]) -> None:
            super().__init__(connection, ended)
            alive.add(self)

    monkeypatch.setattr(ssh, "_Session", Session)
    async with logged_in(registry, tmp_path) as client:
        await client.open_session(subsystem=ssh.SUBSYSTEM, encoding=None)
        for _ in range(20):
            with pytest.raises(asyncssh.ChannelOpenError):
                await client.open_session(subsystem="sftp", encoding=None)
        while len(alive) > 1:
            gc.collect()
            await asyncio.sleep(0)


IGNORE = struct.pack(">IBBI6x", 12, 6, 2, 0)  # RFC 4253 section 11.2, as it is before keys are exchanged


async def test_a_stranger_may_send_so_much(registry: Registry, tmp_path: Path) -> None:
    """Who sends more before the login is cut off."""
    ours, theirs = pair()
    loop = asyncio.get_running_loop()
    entering = asyncio.ensure_future(door(registry, tmp_path).enter(ours, PEER))
    with theirs, pytest.raises(ConnectionError):
        await loop.sock_sendall(theirs, b"SSH-2.0-x\r\n" + IGNORE * 2**20)
    await asyncio.wait_for(entering, 5)
    assert registry.refusals.counts == {(Transport.SSH, Reason.HANDSHAKE_FAILED): 1}


async def test_what_is_heard_is_worked_off_in_slices(registry: Registry, tmp_path: Path) -> None:
    """The longest that asyncssh is busy in one turn has nothing to do with how much has come."""
    heard: list[int] = []

    class Carrier(ssh._Carrier):
        def _recv_data(self) -> None:
            heard.append(len(self._inpbuf))
            super()._recv_data()

    ours, theirs = pair()
    loop = asyncio.get_running_loop()
    carrier = Carrier(loop, door(registry, tmp_path)._identity.options, door(registry, tmp_path), PEER)
    with theirs:
        await loop.sock_sendall(theirs, b"SSH-2.0-x\r\n" + IGNORE * 1000)
        await loop.connect_accepted_socket(lambda: carrier, ours)
        while sum(heard) < len(IGNORE) * 1000:  # noqa: ASYNC110 - turns are what is counted
            await asyncio.sleep(0)
    assert max(heard) <= ssh.SLICE_BYTES + len(IGNORE)
    carrier.abort()
    await carrier.wait_closed()


async def test_who_reads_no_answers_is_not_read_from(registry: Registry, tmp_path: Path) -> None:
    """Answers would pile up. Requests of the connection itself, not of a session, are answered by asyncssh."""
    async with logged_in(registry, tmp_path) as client:
        transport = client._transport
        assert transport is not None
        transport.pause_reading()
        requests = 0
        while transport.get_write_buffer_size() < 2**18:
            client.send_packet(asyncssh.constants.MSG_GLOBAL_REQUEST, String("x"), Boolean(True))
            requests += 1
            if requests % 100 == 0:
                await asyncio.sleep(0)
        client.abort()


async def test_a_key_exchange_that_does_not_end_keeps_no_answers(registry: Registry, tmp_path: Path) -> None:
    async with logged_in(registry, tmp_path) as client:
        transport = client._transport
        assert transport is not None
        transport.pause_reading()
        client._send_kexinit()
        client._kex_complete = True  # so that it goes on sending
        for _ in range(10 * ssh.MAX_DEFERRED):
            client.send_packet(asyncssh.constants.MSG_GLOBAL_REQUEST, String("x"), Boolean(True))
        transport.resume_reading()
        await client.wait_closed()
