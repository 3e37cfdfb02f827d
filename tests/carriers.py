"""What carries RTR between the real program and a router of the tests: plain TCP, TLS with certificates
on both sides, SSH with a key.

Each is used as a plain blocking socket is.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
from tests.certificates import Authority

T = TypeVar("T")
Carry = Callable[[socket.socket], socket.socket]


@dataclass(frozen=True)
class Carrier:
    """One of them.

    Attributes:
        name: as the program calls the addresses for it.
        transport: as `/clients` calls it.
        environment: settings that the program needs for it.
        carry: makes it of a connected socket.
        has_half_close: whether a router that has said all it wanted to say can still read.
        crowd: how many routers make a crowd, as handshakes cost time.
        bulk: for `inputs.bulky`: a table of more than it takes off the cache's hands for a router that does not read.
    """

    name: str
    transport: str
    environment: Mapping[str, object]
    carry: Carry | None = None
    has_half_close: bool = True
    crowd: int = 300
    bulk: int = 150  # 9 MB


TCP = Carrier("rtr", "tcp", {})


@functools.cache
def tls() -> Carrier:
    """With a certificate of the router that names its address."""
    folder = Path(tempfile.mkdtemp(prefix="pyrtr-tls-"))
    authority = Authority(folder)
    server = authority.issue("cache", dns_names=["cache.example"])
    environment = {"TLS_PORT": 0, "TLS_CERT": server, "TLS_KEY": server, "TLS_CLIENT_CA": authority.file}
    carry = tls_client(authority.file, authority.issue("router", ["127.0.0.1"]))
    return Carrier("tls", "tls", environment, carry, has_half_close=False, crowd=100)


def tls_client(ca: Path, certificate: Path | None, version: ssl.TLSVersion | None = None) -> Carry:
    """A client that shows this certificate, if any, and speaks this version, if one is named."""
    context = ssl.create_default_context(cafile=ca)
    if certificate is not None:
        context.load_cert_chain(certificate)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    # A stream that ends without close_notify is an error.
    return lambda sock: context.wrap_socket(sock, server_hostname="cache.example", suppress_ragged_eofs=False)


@functools.cache
def ssh() -> Carrier:
    """With a key of the router."""
    folder = Path(tempfile.mkdtemp(prefix="pyrtr-ssh-"))
    key = asyncssh.generate_private_key("ssh-ed25519")
    (folder / "authorized_keys").write_bytes(key.export_public_key())
    environment = {"SSH_PORT": 0, "SSH_AUTHORIZED_KEYS": folder / "authorized_keys"}
    return Carrier("ssh", "ssh", environment, ssh_client(client_keys=[key]), crowd=12, bulk=20)


def ssh_client(**options: Any) -> Carry:
    """A client that opens the subsystem; the options are those of `asyncssh.connect`."""

    def carry(sock: socket.socket) -> socket.socket:
        return run(_open_subsystem(sock, {"known_hosts": None, "username": "router", "client_keys": None} | options))

    return carry


def run(work: Coroutine[Any, Any, T], timeout_s: float = 30) -> T:
    """Do something in the event loop of the SSH clients, which has a thread of its own."""
    return asyncio.run_coroutine_threadsafe(work, _event_loop()).result(timeout_s)


@functools.cache
def _event_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="ssh clients", daemon=True).start()
    return loop


async def _open_subsystem(sock: socket.socket, options: dict[str, Any]) -> socket.socket:
    """A socket that is the subsystem's channel: what is written to one comes out of the other, and so do ends."""
    sock.setblocking(False)
    # A router that reads slowly has a small receive buffer, and so a small window.
    window = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    connection = await asyncssh.connect(sock=sock, config=None, **options)
    writer, reader, _ = await connection.open_session(subsystem="rpki-rtr", encoding=None, window=window)
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, window)
    bridge_reader, bridge_writer = await asyncio.open_connection(sock=ours)
    bridge = asyncio.ensure_future(_bridge(connection, reader, writer, bridge_reader, bridge_writer))
    _bridges.add(bridge)
    bridge.add_done_callback(_bridges.discard)
    return _Subsystem(theirs, connection.get_extra_info("sockname"))


_bridges: set[asyncio.Future[None]] = set()


async def _bridge(
    connection: asyncssh.SSHClientConnection,
    reader: asyncssh.SSHReader[bytes],
    writer: asyncssh.SSHWriter[bytes],
    bridge_reader: asyncio.StreamReader,
    bridge_writer: asyncio.StreamWriter,
) -> None:
    async def up() -> None:
        with contextlib.suppress(ConnectionResetError):
            while data := await bridge_reader.read(65536):
                if not writer.is_closing():  # what is sent to a closed connection goes nowhere
                    writer.write(data)
                    with contextlib.suppress(OSError, asyncssh.Error):
                        await writer.drain()
        writer.write_eof()

    async def down() -> None:
        while data := await reader.read(65536):
            bridge_writer.write(data)
            await bridge_writer.drain()

    rising = asyncio.ensure_future(up())
    with contextlib.suppress(OSError, asyncssh.Error):
        await down()
        bridge_writer.write_eof()
    await asyncio.wait([rising])
    bridge_writer.close()
    connection.close()


class _Subsystem(socket.socket):
    """One end of a socket pair, which gives the address of the SSH connection for its own."""

    def __init__(self, pair: socket.socket, name: tuple[str, int]) -> None:
        super().__init__(pair.family, pair.type, pair.proto, pair.detach())
        self._name = name

    def getsockname(self) -> tuple[str, int]:
        return self._name


CARRIERS: dict[str, Callable[[], Carrier]] = {"tcp": lambda: TCP, "tls": tls, "ssh": ssh}
