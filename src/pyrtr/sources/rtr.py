"""DATASOURCE=RTR: another RTR cache is followed as a router would, and what it has is served.

A location is `rtr://HOST[:PORT]`, `rtr+tls://HOST[:PORT]` or `rtr+ssh://USER[:PASSWORD]@HOST[:PORT]`. The conversation
takes place in a follower process (see `upstream.follower`), which a feed starts, watches and starts again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from pyrtr.errors import SourceError
from pyrtr.logs import get_logger
from pyrtr.processes import ending, spawn, write
from pyrtr.sources.base import Found, Validators
from pyrtr.sources.fetch.request import SourceTls
from pyrtr.sources.location import Location
from pyrtr.sources.upstream.messages import AGAIN, Confirmation, Loss, Message, Order, Peer, Remark, Written

# 8210bis §14: rpki-rtr, rpki-rtr-tls; SSH has no port of its own for it (§9.1).
PORTS: Mapping[str, int] = MappingProxyType({"rtr": 323, "rtr+tls": 324, "rtr+ssh": 22})
SCHEMES = tuple(PORTS)

# A look waits so long for the first answer: a cache that is near and has data gives one within it.
FIRST_ANSWER_S = 10.0
# Writing a million VRPs again takes a fraction of a second; far beyond that something is wrong.
WRITE_S = 60.0
# The cache is asked no more often than this, however short RELOAD or its Refresh Interval is.
FLOOR_S = 10.0
# Pause before a follower that has ended is started again; doubles up to the second while it does not last as long.
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0
_STDERR_BYTES = 4096


class Access(Protocol):
    """The settings that say how a cache is reached."""

    @property
    def source_ca(self) -> Path | None:
        """CAs that may sign the cache's certificate; None for the system's."""

    @property
    def source_cert(self) -> Path | None:
        """A client certificate."""

    @property
    def source_key(self) -> Path | None:
        """Its key, unless that is in the same file."""

    @property
    def source_ssh_key(self) -> Path | None:
        """A private key to log in with over SSH."""

    @property
    def source_known_hosts(self) -> Path | None:
        """The host keys that are trusted over SSH."""


class Options(Access, Protocol):
    """The settings that count here."""

    @property
    def reload(self) -> float:
        """The longest pause between queries, seconds."""


class RtrFeed:
    """One upstream cache.

    Attributes:
        location: where it is, as it may be shown.
        confirmation: what it said last, and when; None before that.
        loss: why it does not answer; None while it does.
        loss_count: how often it stopped to.
        confirmed_at: when it last said that it has the set that the last look knew (Unix seconds), None if never.
    """

    def __init__(self, location: str, order: Order) -> None:
        self.location = location
        self.confirmation: Confirmation | None = None
        self.loss: Loss | None = None
        self.loss_count = 0
        self.confirmed_at: float | None = None
        self._order = order
        self._path: Path | None = None  # a table file that nobody has taken yet
        self._known_digest: str | None = None
        self._is_written_again = True
        self._expires_at = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._news = asyncio.Event()
        self._log = get_logger()

    @property
    def expires_at(self) -> float | None:
        """Until when what the cache said may be used (Unix seconds): last confirmation + Expire. None before the first.

        A Cache Shutdown (8210bis §8.6) ends it at once.
        """
        return None if self.confirmation is None else self._expires_at

    def details(self) -> Mapping[str, int | float | str | None]:
        """What an operator is told of the cache."""
        confirmation = self.confirmation
        return {
            "version": None if confirmation is None else confirmation.version,
            "session_id": None if confirmation is None else confirmation.session_id,
            "serial": None if confirmation is None else confirmation.serial,
            "confirmed_at": None if confirmation is None else confirmation.confirmed_at,
            "expires_at": self.expires_at,
            "losses": self.loss_count,
        }

    async def look(self, known: Validators | None) -> Found | None:
        """What the cache has (see `sources.base.Feed`): the table, or None if it is the one that `known` names.

        Raises:
            SourceError: the cache does not answer, or what it said has expired.
        """
        if self.confirmation is None and self.loss is None:
            await self._wait_for(lambda: self.confirmation is not None or self.loss is not None, FIRST_ANSWER_S)
        self._know(known)
        confirmation = self.confirmation
        if confirmation is None or time.time() >= self._expires_at:
            raise SourceError(self._trouble())
        if confirmation.digest == self._known_digest:
            if self.loss is not None:
                raise SourceError(self._trouble())
            return None
        if self._path is None:
            await self._have_written_again()
        confirmation, path, self._path = self.confirmation, self._path, None
        if path is None or confirmation is None:
            raise SourceError(self._trouble())
        return Found(
            path,
            is_table=True,
            is_temporary=True,
            modified=confirmation.confirmed_at,
            validators=_validators(confirmation),
            max_age_s=confirmation.expire,
        )

    async def watch(self, trigger: Callable[[], None]) -> None:
        """Run the follower, for ever, and call `trigger` when the set changes, and when the cache is lost or back."""
        pause_s = FIRST_PAUSE_S
        while True:
            started = time.monotonic()
            try:
                reason = await self._follow(trigger)
            except OSError as error:  # out of descriptors, processes or memory
                reason = f"can't be started: {error.strerror}"
            if time.monotonic() - started > MAX_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            self._log.error("follower ended", source=self.location, reason=reason, pause_s=pause_s)
            await self._heard(Loss(f"the follower process {reason}", time.time() + pause_s), trigger)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _follow(self, trigger: Callable[[], None]) -> str:
        """Run one follower; why it ended."""
        process = await spawn("pyrtr.sources.upstream.follower")
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(_tail(process.stderr))
        try:
            write(process.stdin, msgspec.json.encode(self._order) + b"\n")
            self._process = process
            while line := await process.stdout.readline():
                await self._heard(msgspec.json.decode(line, type=Message), trigger)
            return ending(await process.wait(), await errors)
        except (ValueError, msgspec.MsgspecError) as error:  # a line without end, or no message
            return f"said what makes no sense: {error}"
        finally:
            self._process = None
            self._is_written_again = True  # or never
            errors.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _heard(self, message: Message, trigger: Callable[[], None]) -> None:
        match message:
            case Remark(event, fields, is_warning):
                (self._log.warning if is_warning else self._log.info)(event, source=self.location, **fields)
            case Written(path):
                self._is_written_again = True
                if path is not None:
                    await self._keep(path)
            case Loss():
                self._lost(message, trigger)
            case Confirmation():
                await self._confirmed(message, trigger)
        self._news.set()

    def _lost(self, loss: Loss, trigger: Callable[[], None]) -> None:
        former, self.loss = self.loss, loss
        self.loss_count += former is None
        if loss.is_final:
            self._expires_at = min(self._expires_at, time.time())
        if former is None or former.reason != loss.reason:
            next_attempt_s = round(loss.next_attempt_at - time.time())
            self._log.warning("upstream lost", source=self.location, reason=loss.reason, next_attempt_s=next_attempt_s)
        if former is None and self.confirmation is not None:
            trigger()

    async def _confirmed(self, confirmation: Confirmation, trigger: Callable[[], None]) -> None:
        former, was_lost = self.confirmation, self.loss is not None
        self.confirmation, self.loss = confirmation, None
        self._expires_at = confirmation.confirmed_at + confirmation.expire
        if confirmation.digest == self._known_digest:
            self.confirmed_at = confirmation.confirmed_at
        if confirmation.path is not None:
            await self._keep(confirmation.path)
        if former is None or was_lost:
            version, session_id, serial = confirmation.version, confirmation.session_id, confirmation.serial
            self._log.info(
                "upstream answers", source=self.location, version=f"V{version}", session_id=session_id, serial=serial
            )
        if former is None or was_lost or confirmation.digest != former.digest:
            trigger()

    async def _wait_for(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Wait until it holds, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._news.clear()
                    await self._news.wait()

    def _know(self, known: Validators | None) -> None:
        """The caller has accepted this, and asks whether it still holds."""
        digest = None if known is None else known.get("digest")
        if digest != self._known_digest:
            self._known_digest, self.confirmed_at = digest, None
        if digest is not None and self.confirmation is not None and self.confirmation.digest == digest:
            self.confirmed_at = self.confirmation.confirmed_at

    async def _have_written_again(self) -> None:
        """What was handed out was not accepted, or not for long: the follower writes it once more, if it has it."""
        if self._process is None or self._process.stdin is None:
            return
        self._is_written_again = False
        write(self._process.stdin, AGAIN)
        await self._wait_for(lambda: self._is_written_again, WRITE_S)

    def _trouble(self) -> str:
        if self.loss is not None:
            in_s = max(0, round(self.loss.next_attempt_at - time.time()))
            return f"{self.location}: {self.loss.reason}, next attempt in {in_s} s"
        if self.confirmation is not None and time.time() >= self._expires_at:
            return f"{self.location}: what it said has expired"
        return f"{self.location}: no answer yet"

    async def _keep(self, path: str) -> None:
        """A table to hand out, in place of one that nobody has taken."""
        former, self._path = self._path, Path(path)
        if former is not None:
            await asyncio.to_thread(former.unlink, missing_ok=True)


def feed(location: Location, folder: Path, options: Options) -> RtrFeed:
    """The feed of one cache, whose table files go into `folder`.

    Raises:
        SourceError: as `peer_at`.
    """
    name = hashlib.blake2b(location.text.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    order = Order(
        peer=peer_at(location, options),
        folder=str(folder),
        prefix=f"rtr-{name}-",
        floor_s=min(FLOOR_S, options.reload),
        ceiling_s=options.reload,
    )
    return RtrFeed(str(location), order)


def peer_at(location: Location, options: Access) -> Peer:
    """The cache at a location of one of `SCHEMES`.

    Raises:
        SourceError: the location names more than a cache, or lacks what its scheme needs.
    """
    parts = urlsplit(location.text)
    assert parts.hostname is not None
    is_ssh = location.scheme == "rtr+ssh"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SourceError(f"{location}: expected {location.scheme}://HOST:PORT and nothing after it")
    if parts.username is not None and not is_ssh:
        raise SourceError(f"{location}: only rtr+ssh:// has a user")
    if is_ssh and not parts.username:
        raise SourceError(f"{location}: no user: expected rtr+ssh://USER@HOST:PORT")
    if is_ssh and not parts.password and options.source_ssh_key is None:
        raise SourceError(f"{location}: nothing to log in with: set SOURCE_SSH_KEY, or a password in the location")
    if is_ssh and options.source_known_hosts is None:
        # Whoever stands in between could serve any set, and would be handed the password.
        raise SourceError(f"{location}: no way to know its host key: set SOURCE_KNOWN_HOSTS to a file with it")
    return Peer(
        scheme=location.scheme,
        host=parts.hostname,
        port=parts.port or PORTS[location.scheme],
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=SourceTls.of(options.source_ca, options.source_cert, options.source_key),
        ssh_key=_text(options.source_ssh_key),
        known_hosts=_text(options.source_known_hosts),
    )


def _validators(confirmation: Confirmation) -> Validators:
    return {
        "digest": confirmation.digest,
        "version": str(confirmation.version),
        "session": str(confirmation.session_id),
        "serial": str(confirmation.serial),
        "confirmed": str(confirmation.confirmed_at),
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """The last octets of a stream, at its end."""
    tail = b""
    while data := await stream.read(_STDERR_BYTES):
        tail = (tail + data)[-_STDERR_BYTES:]
    return tail
