"""RTR caches as a command is told of them, and what one of them has."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyrtr.errors import SourceError
from pyrtr.logs import printable
from pyrtr.session.actions import Note
from pyrtr.session.router import Held, Phase, RouterAction, RouterSession
from pyrtr.sources.fetch.request import SourceTls
from pyrtr.sources.location import Location
from pyrtr.sources.rtr import SCHEMES, peer_at
from pyrtr.sources.upstream.conversation import converse
from pyrtr.sources.upstream.messages import Peer
from pyrtr.wire.enums import Version

LONGEST_S = 86_400.0  # RFC 8210 §6: no Refresh Interval is longer


@dataclass(frozen=True, slots=True)
class Access:
    """How caches and servers are reached: what the options say, or else the environment, as for sources."""

    source_ca: Path | None
    source_cert: Path | None
    source_key: Path | None
    source_ssh_key: Path | None
    source_known_hosts: Path | None

    @classmethod
    def of(cls, options: Namespace, environ: Mapping[str, str]) -> Access:
        """Of a command that has these options."""

        def path(name: str) -> Path | None:
            text = getattr(options, name) or environ.get(f"SOURCE_{name.upper()}", "").strip()
            return Path(text) if text else None

        return cls(path("ca"), path("cert"), path("key"), path("ssh_key"), path("known_hosts"))

    @property
    def tls(self) -> SourceTls:
        """How TLS is spoken."""
        return SourceTls.of(self.source_ca, self.source_cert, self.source_key)


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache: how it is shown to people, how it is reached, and the highest version that is spoken."""

    name: str
    peer: Peer
    highest: Version

    @classmethod
    def of(cls, text: str, options: Namespace, access: Access) -> Cache:
        """The cache at a location, or at HOST:PORT, reached as `--tls` or `--ssh USER` say, if there are such options.

        Raises:
            SourceError: there can be no such cache, or something is missing to reach it.
        """
        is_tls, user = getattr(options, "tls", False), getattr(options, "ssh", None)
        if "://" not in text:
            if not re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]+):[0-9]+", text):
                raise SourceError(f"{text!r}: expected HOST:PORT, [IPV6]:PORT, or one of {_schemes()}")
            text = f"rtr+tls://{text}" if is_tls else f"rtr+ssh://{user}@{text}" if user else f"rtr://{text}"
        try:
            location = Location.parse(text)
        except ValueError as error:
            raise SourceError(str(error)) from None
        if location.scheme not in SCHEMES:
            raise SourceError(f"{location}: expected one of {_schemes()}")
        return cls(str(location), peer_at(location, access), Version(options.version))

    def session(self, *, shortest_s: float = 0.0, longest_s: float = LONGEST_S) -> RouterSession:
        """A session for it, with bounds for its pauses."""
        return RouterSession(floor_s=shortest_s, ceiling_s=longest_s, highest=self.highest)


async def ask(cache: Cache, session: RouterSession, *, timeout_s: float, tell: Callable[[str], None]) -> Held:
    """Ask a cache once for all that it has.

    Args:
        cache: who is asked.
        session: a new one for it.
        timeout_s: how long that may take, with all attempts to agree on a version.
        tell: is given what is wrong with the cache besides, in words.

    Raises:
        SourceError: there is no whole answer, with the reason in words.
    """

    def do(actions: Iterable[RouterAction]) -> None:
        for action in actions:
            if isinstance(action, Note) and action.is_warning:
                tell(said(action))
        if session.held is not None or session.trouble is not None:
            raise _EnoughError

    # What came in time counts, if only the end of the connection was late.
    with contextlib.suppress(TimeoutError, _EnoughError):
        async with asyncio.timeout(timeout_s):
            while session.held is None and session.trouble is None:
                await converse(session, cache.peer, do)
    if session.held is not None:
        return session.held
    if session.trouble is not None:
        raise SourceError(printable(session.trouble))
    came = f"{session.response_bytes} octets of payload came" if session.phase is Phase.RECEIVING else "none was begun"
    raise SourceError(f"no whole answer within {timeout_s:g} s: {came}")


class _EnoughError(Exception):
    """The connection has brought what was wanted from it."""


def said(note: Note) -> str:
    """What a session notes, in one line."""
    return printable(" ".join([note.event, *(f"{name}={value}" for name, value in note.fields.items())]))


def ended_at(held: Held) -> float:
    """Unix time of the End of Data."""
    return time.time() + held.confirmed_at - time.monotonic()


def _schemes() -> str:
    return ", ".join(f"{scheme}://" for scheme in SCHEMES)
