"""One location in the loader's eyes: what was accepted from it, how it has done, and what goes into a compilation."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyrtr.compiler.agenda import Policy
from pyrtr.compiler.failover import Standing
from pyrtr.compiler.job import Input, InputReport
from pyrtr.sources.base import Feed, Found, SourceReport, Validators
from pyrtr.sources.location import Location
from pyrtr.store.database import ShareRecord


@dataclass(slots=True)
class PlaceStatus:
    """What an operator is told about one location. Times are Unix seconds.

    Attributes:
        location: as it may be shown.
        last_attempt, last_success: when it was last looked at, and when that last came to something.
        success_count, failure_count, unchanged_count: of all looks; the last are among the first.
        error: why the last look came to nothing; None if it did not.
        is_used: whether its payload is in the table.
    """

    location: str
    last_attempt: float | None = None
    last_success: float | None = None
    success_count: int = 0
    failure_count: int = 0
    unchanged_count: int = 0
    error: str | None = None
    is_used: bool = False

    def succeeded(self, now: float, *, is_news: bool) -> None:
        """A look came to something, be it that nothing is new."""
        self.error = None
        self.last_success = now
        self.success_count += 1
        self.unchanged_count += not is_news

    def failed(self, reason: str) -> None:
        """A look came to nothing."""
        self.error = reason
        self.failure_count += 1


class Place:
    """One location.

    Args:
        kind: name of the datasource.
        location: where it is.
        name: how it may be shown.
        feed: what looks there.

    Attributes:
        key: names the datasource and the location, over restarts.
        feed: what looks there.
        share: what was accepted from it last; None before anything was.
        standing: how it has done lately.
        status: what an operator is told.
    """

    def __init__(self, kind: str, location: Location, name: str, feed: Feed) -> None:
        self.key = key_of(kind, location)
        self.feed = feed
        self.share: ShareRecord | None = None
        self.standing = Standing()
        self.status = PlaceStatus(name)
        self._kind = kind
        self._known: Validators | None = None

    def accepted(self, share: ShareRecord | None) -> None:
        """This is what was accepted from it last."""
        self.share = share
        self._known = None if share is None else share.validators

    def forget(self) -> bool:
        """What was accepted can't be read any more: look at the whole of it next time. False if that was so before."""
        was_known, self._known = self._known is not None, None
        return was_known

    @property
    def is_known(self) -> bool:
        """Whether what was accepted can still be read, as far as we know."""
        return self._known is not None

    async def look(self, now: float) -> Found | None:
        """Look at it; None if it is as it was accepted.

        Raises:
            SourceError: nothing can be had.
        """
        self.status.last_attempt = now
        return await self.feed.look(self._known)

    def succeeded(self, now: float, found: Found | None) -> None:
        """What was found is good, or nothing new was."""
        self.status.succeeded(now, is_news=found is not None)
        self.standing.succeeded()

    def failed(self, reason: str) -> None:
        """What was found is not, or nothing was."""
        self.status.failed(reason)
        self.standing.failed()

    def used(self, *, is_used: bool) -> None:
        """Whether its payload is in the table from now on."""
        if self.status.is_used and not is_used:
            self.standing.left()
        self.status.is_used = is_used

    def stale_at(self, policy: Policy) -> float:
        """When what was accepted from it turns stale (Unix seconds); long ago while nothing was."""
        return -math.inf if self.built_at is None else self.built_at + policy.limit_s(self.max_age_s)

    @property
    def built_at(self) -> float | None:
        """Unix time from which the age of what was accepted counts."""
        if self.share is None:
            return None
        return max(self.share.source.built_at, self.feed.confirmed_at or 0.0)

    @property
    def max_age_s(self) -> float | None:
        """Seconds after which the source itself holds what was accepted to be stale; None if it does not say."""
        if self.feed.expires_at is None or self.built_at is None:
            return None if self.share is None else self.share.max_age_s
        return max(0.0, self.feed.expires_at - self.built_at)

    def details(self) -> Mapping[str, int | float | str | None]:
        """What the feed has to tell besides."""
        return self.feed.details()

    def input(self, found: Found | None, folder: Path, new_share: Path) -> Input:
        """Its part in a compilation: what was found just now, or what was accepted from it before.

        Args:
            found: what a look brought; None if there is nothing new.
            folder: where what was accepted is.
            new_share: where the compilation is to write what was found.
        """
        share = self.share
        return Input(
            location=self.status.location,
            kind=self._kind,
            body=None if found is None else str(found.path),
            is_table=found is not None and found.is_table,
            modified=0.0 if found is None else found.modified,
            share=None if share is None else str(folder / share.file),
            share_digest=None if share is None else share.digest,
            built_at=self.built_at or 0.0,
            max_age_s=self.max_age_s if found is None else found.max_age_s,
            new_share=str(new_share),
        )

    def next_share(self, found: Found | None, report: InputReport, new_share: Path) -> ShareRecord | None:
        """What is accepted from it when the compilation is: what was found, or what was accepted before."""
        if found is None or report.digest is None or report.source is None:
            return self.share
        return ShareRecord(
            key=self.key,
            file=new_share.name,
            digest=report.digest,
            validators=dict(found.validators),
            source=report.source,
            max_age_s=found.max_age_s,
        )


def key_of(kind: str, location: Location) -> str:
    """Names a datasource and a location. The latter may hold a password, which has no business in the state folder."""
    name = location.text.encode("utf-8", "surrogateescape")
    return f"{kind} {hashlib.blake2b(name, digest_size=16).hexdigest()}"


def combined(sources: list[SourceReport]) -> SourceReport:
    """What was found at several locations: sums, and the rest of the newest."""
    newest = max(sources, key=lambda source: source.built_at)
    records: dict[str, int] = {}
    dropped: dict[str, int] = {}
    for source in sources:
        for sums, counts in ((records, source.records), (dropped, source.dropped)):
            for name, count in counts.items():
                sums[name] = sums.get(name, 0) + count
    return SourceReport(newest.metadata, records, dropped, newest.built_at)
