"""A feed that follows an upstream for a test, with its real follower process; and small caches to follow."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from tests.conformance.harness import Source

from pyrtr.errors import SourceError
from pyrtr.payload.table import PayloadTable
from pyrtr.session.actions import Close, Note, Respond, Send
from pyrtr.session.cache import CacheSession
from pyrtr.sources.base import Found, Validators
from pyrtr.sources.location import Location
from pyrtr.sources.rtr import RtrFeed, feed
from pyrtr.store.table_file import StoredTable, read_table
from pyrtr.wire.enums import Version

WAIT_S = 20.0
LOOPBACK = "127.0.0.1"


@dataclass
class Options:
    """The settings that count for the feed."""

    reload: float = 0.1
    source_ca: Path | None = None
    source_cert: Path | None = None
    source_key: Path | None = None
    source_ssh_key: Path | None = None
    source_known_hosts: Path | None = None


@dataclass
class Following:
    """A feed, and what a loader would do with it.

    Attributes:
        feed: the feed.
        known: the validators of what was taken last.
        triggers: how often a look was asked for.
    """

    feed: RtrFeed
    taken: Path
    known: Validators | None = None
    triggers: int = 0
    errors: list[str] = field(default_factory=list)

    async def take(self) -> StoredTable:
        """The next table that is not the known one."""
        found = await self.until(self.look)
        assert isinstance(found, Found)
        assert found.is_table
        assert found.is_temporary
        found.path.rename(self.taken)
        self.known = found.validators
        return read_table(self.taken)

    async def look(self) -> Found | None:
        try:
            return await self.feed.look(self.known)
        except SourceError as error:
            self.errors.append(str(error))
            return None

    async def refusal(self) -> str:
        """Why nothing can be had."""

        async def refused() -> str | None:
            try:
                await self.feed.look(self.known)
            except SourceError as error:
                return str(error)
            return None

        reason = await self.until(refused)
        assert isinstance(reason, str)
        return reason

    async def until(self, condition: Callable[[], object]) -> object:
        """Look until it holds; what it then was."""
        deadline = time.monotonic() + WAIT_S
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return result
            assert time.monotonic() < deadline, f"it never came true: {self.errors[-3:]}"
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def following(url: str, folder: Path, options: Options | None = None) -> AsyncIterator[Following]:
    """Follow a cache; the follower has ended in the end."""
    place = folder / "feed"
    place.mkdir(exist_ok=True)
    follows = Following(feed(Location.parse(url), place, options or Options()), folder / "taken.table")

    def trigger() -> None:
        follows.triggers += 1

    watching = asyncio.create_task(follows.feed.watch(trigger))
    try:
        yield follows
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


@dataclass
class Cache:
    """A cache that serves a set over whatever a test opens: a `CacheSession`, or a script of octets.

    Attributes:
        source: what it serves.
        script: what it says instead, whatever it is asked.
        heard: what it was sent.
    """

    source: Source = field(default_factory=Source)
    script: bytes | None = None
    heard: bytes = b""

    @classmethod
    def of(cls, *values: object) -> Cache:
        return cls(Source(PayloadTable.of(values)))  # type: ignore[arg-type]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        session = CacheSession(Version.V0, Version.V2)
        with contextlib.suppress(OSError, asyncssh.Error):
            if self.script is not None:
                writer.write(self.script)
            while data := await reader.read(4096):
                self.heard += data
                if self.script is None and not self._answer(session, data, writer):
                    break
        writer.close()

    def _answer(self, session: CacheSession, data: bytes, writer: asyncio.StreamWriter) -> bool:
        for action in session.receive(data, self.source, time.monotonic()):
            match action:
                case Send(octets):
                    writer.write(octets)
                case Respond(head, image, tail):
                    writer.write(head + bytes(image.get().body) + tail)
                    session.responded(self.source, time.monotonic())
                case Close():
                    return False
                case Note():
                    pass
        return True


@contextlib.asynccontextmanager
async def tcp(cache: Cache, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve over TCP or TLS; the port."""
    server = await asyncio.start_server(cache.serve, LOOPBACK, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def ssh(
    cache: Cache, host_key: asyncssh.SSHKey, *, password: str | None = None, authorized: Path | None = None
) -> AsyncIterator[int]:
    """Serve over SSH, to the user `router`; the port."""

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return password is not None

        def validate_password(self, username: str, given: str) -> bool:
            return (username, given) == ("router", password)

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        assert process.subsystem == "rpki-rtr"
        await cache.serve(process.stdin, process.stdout)  # type: ignore[arg-type]
        process.exit(0)

    server = await asyncssh.listen(
        LOOPBACK,
        0,
        server_factory=Server,
        server_host_keys=[host_key],
        process_factory=handle,
        encoding=None,
        authorized_client_keys=None if authorized is None else str(authorized),
    )
    try:
        yield server.get_port()
    finally:
        server.close()
