"""From another pyRTR to the routers: its generations, each committed and published as it is, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence

from pyrtr.compiler.agenda import Agenda, Policy
from pyrtr.compiler.job import Task
from pyrtr.compiler.ledger import Ledger
from pyrtr.compiler.place import PlaceStatus, key_of
from pyrtr.compiler.provenance import why
from pyrtr.compiler.slurm import SlurmPlaces
from pyrtr.compiler.updater import Updater
from pyrtr.errors import PyrtrError, SourceError, StoreError
from pyrtr.payload.history import History, Step
from pyrtr.payload.provenance import Origin, OriginKind
from pyrtr.payload.serial import is_newer
from pyrtr.payload.table import NEVER
from pyrtr.settings import OnStale
from pyrtr.sources.base import SourceReport
from pyrtr.sources.follow.exchange import kept_steps
from pyrtr.sources.follow.messages import Followed, Position, Sessions, Standing
from pyrtr.sources.pyrtr import PyrtrSource
from pyrtr.store.archive import Story
from pyrtr.store.sessions import SessionIds
from pyrtr.store.state import Generation, NewPaths
from pyrtr.store.table_file import StoredTable, read_table
from pyrtr.wire.enums import Version

KIND = "PYRTR"

# Pauses after a look that came to nothing, twice as long each time and a part of them at random: a restart of the other
# takes a second, and all who follow it come back at once.
FIRST_PAUSE_S = 0.2
MAX_PAUSE_S = 15.0
# Between looks that are answered at once with nothing new, as the other does where too many wait already.
IDLE_PAUSE_S = 1.0
# The age of data that stays the same is stored when it has moved so far: a restart takes it for older by no more.
STORED_AGE_S = 60.0


class Upstream:
    """The pyRTR that is followed, as an operator sees it (see `updater.Located`).

    Args:
        source: asks it.

    Attributes:
        key: names it, over restarts.
        source: asks it.
        status: what an operator is told.
        built_at: Unix time from which the age of its data counts; None before it was heard.
    """

    share = None

    def __init__(self, source: PyrtrSource) -> None:
        self.key = key_of(KIND, source.location)
        self.source = source
        self.status = PlaceStatus(str(source.location))
        self.built_at: float | None = None

    def details(self) -> Mapping[str, int | float | str | None]:
        """What there is to tell besides."""
        return self.source.details()


class Follower(Updater):
    """Publishes what another pyRTR publishes, under its sessions and serials.

    What it says is served as long as it can be heard and does not contradict itself; when payload expires is its
    business. Stale data is held, or no router is served: an empty set would need a serial that is not the other's.

    Args:
        upstream: the other.
        ledger: where generations are committed and published.
        policy: what is done when.
        gate: called with whether routers may be served at all.
        clock: Unix time.
    """

    def __init__(
        self,
        upstream: Upstream,
        ledger: Ledger,
        policy: Policy,
        *,
        gate: Callable[[bool], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        if policy.on_stale is OnStale.WITHDRAW:
            policy = dataclasses.replace(policy, on_stale=OnStale.CLOSE)
        super().__init__((upstream,), SlurmPlaces((), {}), ledger, Agenda(policy, load_at=math.inf), gate, clock)
        self._upstream = upstream
        self._tag = ""
        self._misses = 0
        self._has_moved = asyncio.Event()

    async def recover(self) -> None:
        """Go on from where the last run ended, if it followed the same pyRTR; where that is stale, after a look."""
        generation = await self._recovered()
        if generation is None:
            return
        self._adopt(generation)
        self._upstream.built_at = generation.built_at
        self._upstream.status.is_used = True
        self._ledger.is_silent = self.agenda.is_stale(self._clock())
        self._publish()
        self._note_recovered(generation)

    async def run(self) -> None:
        """Follow, for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._mind_age())
                tasks.create_task(self._follow())
        finally:
            await self._upstream.source.stop()

    async def watch(self) -> None:
        """Nothing has to be watched: the other says when there is something new."""
        await asyncio.Event().wait()

    async def _mind_age(self) -> None:
        """Control the gate when data turns stale, whatever else is waited for."""
        while True:
            now = self._clock()  # one moment for both, as in `Loader.run`
            self._let_in_or_out(now)
            self._has_moved.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_moved.wait(), self.agenda.pause_s(now))

    async def _follow(self) -> None:
        while True:
            pause_s = await self.look()
            self._has_moved.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), pause_s)
            self._wanted.clear()

    async def look(self) -> float:
        """Wait for something new, and publish it; returns for how many seconds to leave the other alone then."""
        status, place = self.status, self._upstream.status
        started, is_first = time.perf_counter(), not self._tag
        status.last_attempt = place.last_attempt = self._clock()
        try:
            is_news = await self._look()
        except (SourceError, StoreError) as error:
            return await self._missed_one(error)
        except Exception as error:  # a bug: loud, but no reason to leave the routers
            self._log.exception("task failed", task=Task.LOAD)
            return await self._missed_one(SourceError(f"internal error: {error!r}"))
        finally:
            self._end_silence()
        self._misses = 0
        now = self._clock()
        status.divergence = None
        self._succeeded(now)
        place.succeeded(now, is_news=is_news)
        is_hasty = not is_news and not is_first and time.perf_counter() - started < IDLE_PAUSE_S
        return IDLE_PAUSE_S * random.uniform(0.5, 1.5) if is_hasty else 0.0

    async def _look(self) -> bool:
        """Whether there was another generation, which is published now.

        Raises:
            SourceError: nothing can be had, or what there is can't be.
            StoreError: it can't be stored.
        """
        current, paths = self._ledger.current, self._ledger.store.new_paths()
        known = None if current is None else _position(current, self._tag)
        followed = await self._upstream.source.look(known, paths.table, paths.delta)
        if followed.mismatch is not None:
            self._log.warning("steps refused", source=self.status.location, reason=followed.mismatch)
        if followed.standing is None:
            raise self._diverged(followed.divergence or "")
        started = time.perf_counter()
        standing = followed.standing
        if followed.digest is None:
            is_news = await self._take_standing(standing)
        else:
            await self._take(followed, standing, paths)
            is_news = True
        self._tag = standing.tag
        self._upstream.source.stats.healthy = standing.healthy
        if is_news:
            self._count(followed, time.perf_counter() - started)
        return is_news

    async def _take(self, followed: Followed, standing: Standing, paths: NewPaths) -> None:
        """Commit another payload, and publish it."""
        stored, steps = await asyncio.to_thread(_read, paths)
        if stored.digest != followed.digest:
            raise StoreError(f"{paths.table} is not what was written")
        current = self._ledger.current
        before = History()
        if current is not None and not followed.is_whole:
            before = current.history
        elif current is not None and standing.sessions.continues(_sessions(current)):
            self._require_agreement(current, standing, steps)
        built_at = standing.published_at if standing.built_at is None else standing.built_at
        generation = Generation(
            session_ids=_session_ids(standing.sessions),
            serial=standing.serial,
            published_at=standing.published_at,
            stored=stored,
            table_path=paths.table,
            history=await asyncio.to_thread(self._history, before, steps, len(stored.table)),
            built_at=built_at,
            is_withdrawn=False,
            metadata=standing.metadata,
            content=bytes.fromhex(standing.content),
            next_expiry=NEVER,
            upstream=self._ledger.upstream,
        )
        await self._commit(generation, steps, self._story(() if followed.is_whole else steps, built_at))
        if not followed.is_whole:
            for step in steps:
                self.status.changed(step.delta)
        self._publish_news(generation, followed.change_count)

    def _history(self, before: History, steps: Sequence[Step], table_size: int) -> History:
        for step in steps:
            before = before.followed_by(step, max_steps=self._ledger.max_steps, table_size=table_size)
        return before

    async def _take_standing(self, standing: Standing) -> bool:
        """The payload is what it was; whether there is other news for routers, such as a session of version 0."""
        current = self._ledger.current
        assert current is not None
        built_at = current.built_at if standing.built_at is None else standing.built_at
        session_ids = _session_ids(standing.sessions)
        generation = dataclasses.replace(
            current, session_ids=session_ids, built_at=built_at, metadata=standing.metadata
        )
        is_news = session_ids != current.session_ids
        has_aged = abs(built_at - current.built_at) > STORED_AGE_S or standing.metadata != current.metadata
        if is_news or has_aged:
            await self._commit(generation, (), None)
        self.agenda.built_at = built_at
        self._note(generation)
        if is_news:
            self._publish_news(generation, 0)
        elif has_aged and self._ledger.is_published:
            self._ledger.refresh()
        return is_news

    def _story(self, steps: Sequence[Step], built_at: float) -> Story:
        """What people are told of it. What the other retains from before we asked came to be we don't know when."""
        location = self._upstream.status.location
        reason = why(Task.LOAD, [(location, built_at)], is_slurm_new=False, expired=0, is_proved=True)
        return Story(reason, (location,), tuple(steps), by=Origin(OriginKind.SOURCE, location))

    async def _commit(self, generation: Generation, steps: Sequence[Step], story: Story | None) -> None:
        await self._ledger.commit(generation, steps, Task.LOAD, story)
        self._stored()
        self._adopt(generation)
        self._upstream.status.is_used = True
        self._note(generation)

    def _note(self, generation: Generation) -> None:
        """What an operator is told of it."""
        self._upstream.built_at = generation.built_at
        self.status.counts = generation.stored.table.counts
        self.status.found = SourceReport(dict(generation.metadata), {}, {}, generation.built_at)

    def _publish_news(self, generation: Generation, change_count: int) -> None:
        self.status.divergence = None
        self.status.generation_counts[Task.LOAD] += 1
        self._ledger.is_silent = False
        self._publish()
        self._log.info(
            "published", cause=Task.LOAD, serial=generation.serial, changes=change_count, **self.status.counts
        )

    def _require_agreement(self, current: Generation, standing: Standing, steps: Sequence[Step]) -> None:
        """A serial of a session names one set for ever; the other may have been set back to an older state.

        Raises:
            SourceError: it was.
        """
        if is_newer(current.serial, standing.serial):
            raise self._diverged(f"it was at serial {current.serial}, and is at {standing.serial} of the same session")
        ours = {current.serial: current.content} | {step.from_serial: step.content for step in current.history.steps}
        theirs = {standing.serial: bytes.fromhex(standing.content)}
        theirs |= {step.from_serial: step.content for step in steps}
        for serial in ours.keys() & theirs.keys():
            if ours[serial] != theirs[serial]:
                raise self._diverged(f"serial {serial} differs from what it was before")

    def _diverged(self, reason: str) -> SourceError:
        """What the other says can't be: none of its routers is served any more, until it can."""
        self.status.divergence = f"{self.status.location}: {reason}"
        self._let_in_or_out(self._clock())
        return SourceError(self.status.divergence)

    async def _missed_one(self, error: PyrtrError) -> float:
        """A look came to nothing: how long to wait until the next."""
        if str(error) != self.status.error:
            await self._missed(error)
        else:  # said already
            self.status.failure_count += 1
        self._upstream.status.failed(str(error))
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(self._misses, 30), MAX_PAUSE_S)
        self._misses += 1
        return pause_s * random.uniform(0.5, 1.0)

    def _end_silence(self) -> None:
        """What was recovered was stale; if it still is, it is all there is."""
        if self._ledger.is_silent:
            self._ledger.is_silent = False
            self._publish()

    def _count(self, followed: Followed, seconds: float) -> None:
        stats = self._upstream.source.stats
        if followed.is_whole:
            stats.whole_copies += 1
        else:
            stats.updates += 1
        stats.received_bytes = followed.received_bytes
        stats.seconds = followed.seconds + seconds
        self.status.seconds = {"fetch": followed.seconds, "total": stats.seconds}


def _read(paths: NewPaths) -> tuple[StoredTable, list[Step]]:
    return read_table(paths.table), kept_steps(paths.delta)


def _position(current: Generation, tag: str) -> Position:
    return Position(
        tag=tag,
        sessions=_sessions(current),
        serial=current.serial,
        content=current.content,
        table=str(current.table_path),
    )


def _sessions(generation: Generation) -> Sessions:
    ids = generation.session_ids
    return Sessions(ids[Version.V0], ids[Version.V1], ids[Version.V2])


def _session_ids(sessions: Sessions) -> SessionIds:
    return {Version.V0: sessions.V0, Version.V1: sessions.V1, Version.V2: sessions.V2}
