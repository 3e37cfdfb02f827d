"""A document that is followed: a local file, or one behind a URL."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from pyrtr import processes
from pyrtr.errors import SourceError
from pyrtr.sources.base import Found, Validators
from pyrtr.sources.fetch.file import Signature, examine, signature
from pyrtr.sources.fetch.request import Limits, Reply, Request, SourceTls
from pyrtr.sources.location import Location

WATCH_INTERVAL_S = 0.5

Sight = TypeVar("Sight")


@dataclass(slots=True)
class FetchStats:
    """What an operator is told about requests.

    Attributes:
        http_status: HTTP status of the last look; None while there was none, or if it came to none.
        not_modified: looks that were answered with 304.
        body_bytes: octets of the last body, as they came.
        seconds: how long the last look took.
    """

    http_status: int | None = None
    not_modified: int = 0
    body_bytes: int | None = None
    seconds: float | None = None


async def settled(look: Callable[[], Sight]) -> AsyncIterator[Sight]:
    """What a look shows, whenever it shows the same as the one before: what is still written to is not done.

    Args:
        look: called in a thread, again and again for ever.
    """
    last: Sight | None = None
    while True:
        await asyncio.sleep(WATCH_INTERVAL_S)
        now = await asyncio.to_thread(look)
        if now == last:
            yield now
        last = now


class DocumentFeed:
    """Looks at a document, and fetches it if it is not here (see `sources.base.Feed`).

    Args:
        location: a local path, or an http or https URL.
        folder: where bodies are written, as `body-…`.
        tls: how TLS is spoken with the server.
        limits: what a request may take.
    """

    confirmed_at = expires_at = None

    def __init__(self, location: Location, folder: Path, tls: SourceTls, limits: Limits | None = None) -> None:
        self.stats = FetchStats()
        self._location = location
        self._folder = folder
        self._tls = tls
        self._limits = limits or Limits()
        self._seen: Signature | None = None

    async def look(self, known: Validators | None) -> Found | None:
        """Look once; see `sources.base.Feed.look`."""
        return await (self._examine(known) if self._location.is_local else self._ask(known))

    def details(self) -> Mapping[str, int | float | str | None]:
        """What an operator is told of requests; nothing of a local file."""
        return {} if self._location.is_local else dataclasses.asdict(self.stats)

    async def watch(self, trigger: Callable[[], None]) -> None:
        """Trigger a look whenever another file stands at the path, or it has been written to and is done.

        The path is looked at, not watched: that works on every file system, and through symbolic links of any depth.
        Once for each: a look need not come to this location, where another is good or SLURM files are not. A URL is
        only looked at on schedule.
        """
        if not self._location.is_local:
            await asyncio.Event().wait()
        told: Signature | None = None
        async for now in settled(partial(signature, self._location.path)):
            if now is None:
                told = None
            elif now not in (self._seen, told):
                told = now
                trigger()

    async def _examine(self, known: Validators | None) -> Found | None:
        path = self._location.path
        self._seen = None
        self._seen = seen = await asyncio.to_thread(examine, path)
        validators = {name: str(value) for name, value in dataclasses.asdict(seen).items()}
        if validators == known:
            return None
        modified = seen.modified_ns / 1e9
        return Found(path, is_table=False, is_temporary=False, modified=modified, validators=validators)

    async def _ask(self, known: Validators | None) -> Found | None:
        body = self._folder / f"body-{secrets.token_hex(8)}"
        request = Request(self._location.text, dict(known or {}), str(body), self._tls, self._limits)
        self.stats.http_status = None
        started = time.perf_counter()
        found = None
        try:
            answer = processes.Answer[Reply]
            worker = "pyrtr.sources.fetch.worker"
            reply = await processes.run(worker, "fetch", request, answer, timeout_s=self._limits.whole_s)
            found = self._judged(reply, body)
        except SourceError as error:
            raise SourceError(f"{self._location}: {error}") from error
        finally:
            self.stats.seconds = time.perf_counter() - started
            if found is None:
                await asyncio.to_thread(body.unlink, missing_ok=True)
        return found

    def _judged(self, reply: Reply, body: Path) -> Found | None:
        self.stats.http_status = reply.status
        match reply.status:
            case HTTPStatus.OK:
                self.stats.body_bytes = reply.body_bytes
                return Found(
                    body, is_table=False, is_temporary=True, modified=reply.modified, validators=reply.validators
                )
            case HTTPStatus.NOT_MODIFIED:
                self.stats.not_modified += 1
                return None
            case other:
                raise SourceError(f"HTTP status {_named(other)}")


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
