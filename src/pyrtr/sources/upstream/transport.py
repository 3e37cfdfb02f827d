"""Connections to an RTR cache: TCP (8210bis §9), TLS (§9.2) and SSH (§9.1), all alike once they are open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from pyrtr.errors import SourceError
from pyrtr.sources.fetch.connection import tls_context, words
from pyrtr.sources.upstream.messages import Peer

if TYPE_CHECKING:
    import ssl

    import asyncssh

READ_BYTES = 1 << 18
# For name, TCP, TLS or SSH and the subsystem together; caches are near.
CONNECT_S = 30.0
# A last Error Report may take so long to arrive; then it was not wanted.
CLOSE_S = 2.0
SSH_SUBSYSTEM = "rpki-rtr"


class Connection:
    """An open connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader | asyncssh.SSHReader[bytes],
        writer: asyncio.StreamWriter | asyncssh.SSHWriter[bytes],
        ssh: asyncssh.SSHClientConnection | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._ssh = ssh

    async def read(self) -> bytes:
        """Whatever has come; nothing at the end of the stream.

        Raises:
            SourceError: the connection has broken, with the reason in words.
        """
        try:
            return await self._reader.read(READ_BYTES)
        except Exception as error:  # each of the three has its own
            raise SourceError(words(error)) from error

    def write(self, data: bytes) -> None:
        """Send octets. They are few, and nothing waits until they are taken; that they can't be, `read` says."""
        with contextlib.suppress(Exception):
            self._writer.write(data)

    async def close(self) -> None:
        """Close so that what was written arrives, if it can within a moment."""
        try:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_S):
                    if self._writer.can_write_eof():
                        # Unread octets would turn the close into a reset, which overtakes an Error Report on its way.
                        self._writer.write_eof()
                        while await self._reader.read(READ_BYTES):
                            pass
                    self._writer.close()
                    await self._writer.wait_closed()
        finally:
            if self._ssh is not None:
                self._ssh.abort()
            elif isinstance(self._writer, asyncio.StreamWriter):
                self._writer.transport.abort()


async def connect(peer: Peer) -> Connection:
    """Open a connection.

    Raises:
        SourceError: it can't be, with the reason in words.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            match peer.scheme:
                case "rtr+ssh":
                    return await _connect_ssh(peer)
                case "rtr+tls":
                    return await _connect_tcp(peer, tls_context(peer.tls))
                case _:
                    return await _connect_tcp(peer, None)
    except TimeoutError:
        raise SourceError(f"no connection within {CONNECT_S:.0f} s") from None
    except SourceError:
        raise
    except Exception as error:  # each of the three has its own
        raise SourceError(words(error)) from error


async def _connect_tcp(peer: Peer, tls: ssl.SSLContext | None) -> Connection:
    reader, writer = await asyncio.open_connection(peer.host, peer.port, ssl=tls, limit=READ_BYTES)
    # 8210bis §9: keep-alives SHOULD be on.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return Connection(reader, writer)


async def _connect_ssh(peer: Peer) -> Connection:
    import asyncssh  # it takes a fifth of a second

    # Nothing comes from the home folder or an agent: what the settings name is all there is.
    connection = await asyncssh.connect(
        peer.host,
        peer.port,
        username=peer.user,
        password=peer.password,
        client_keys=[peer.ssh_key] if peer.ssh_key is not None else None,
        known_hosts=peer.known_hosts,
        agent_path=None,
        gss_host=None,
        config=None,
        keepalive_interval=60,
    )
    try:
        writer, reader, _ = await connection.open_session(subsystem=SSH_SUBSYSTEM, encoding=None)
    except BaseException:
        connection.abort()
        raise
    return Connection(reader, writer, connection)
