"""From the sources to the routers: one compilation at a time, each judged, committed and published, or not at all."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from pyrtr.compiler.agenda import Agenda, Policy
from pyrtr.compiler.guard import Losses, is_worse, objections
from pyrtr.compiler.job import Report, Task
from pyrtr.compiler.ledger import Ledger
from pyrtr.compiler.look import Attempt, Looks
from pyrtr.compiler.place import Place, combined
from pyrtr.compiler.provenance import why
from pyrtr.compiler.slurm import SlurmPlaces
from pyrtr.compiler.status import Held
from pyrtr.compiler.updater import Updater
from pyrtr.errors import PyrtrError, SourceError, StoreError
from pyrtr.payload.delta import count_changes
from pyrtr.payload.history import History, Step
from pyrtr.payload.table import count_by_anchor
from pyrtr.settings import Merge
from pyrtr.sources.fetch.feed import settled
from pyrtr.store.archive import Story
from pyrtr.store.database import ShareRecord, SlurmRecord
from pyrtr.store.state import Generation
from pyrtr.store.table_file import read_delta, read_table

# A build time this far ahead is more than two clocks that differ a little.
MAX_CLOCK_SKEW_S = 60.0


class Loader(Updater):
    """Brings the published payload up to date, on schedule and on demand.

    Args:
        places: the locations, in the order of the setting.
        merge: what several of them are to each other.
        slurm: the locations of SLURM files.
        ledger: where generations are committed and published.
        policy: what is done when.
        gate: called with whether routers may be served at all.
        clock: Unix time.
    """

    def __init__(
        self,
        places: Sequence[Place],
        merge: Merge,
        slurm: SlurmPlaces,
        ledger: Ledger,
        policy: Policy,
        *,
        gate: Callable[[bool], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(places, slurm, ledger, Agenda(policy, load_at=clock()), gate, clock)
        self.places: Sequence[Place] = places
        self._looks = Looks(places, merge, slurm, ledger, policy, clock)
        self._looking: asyncio.Task[None] | None = None
        self._rescheduled = asyncio.Event()  # somebody else has changed the agenda
        self._accepted: Losses | None = None

    # What others ask

    def accept(self) -> str:
        """An operator accepts the load that is held back; returns what that means, in words."""
        held = self.status.held
        if held is None:
            return super().accept()
        self._accepted = held.losses
        self.trigger()
        return f"accepted: the load that {'; '.join(held.reasons)}"

    # What it does by itself

    async def recover(self) -> None:
        """Go on from where the last run ended, unless its data is stale: then the source is looked at first.

        It is looked at first, too, where SLURM files are wanted now and none were applied then.
        """
        generation = await self._recovered()
        if generation is None:
            return
        await self._resume(generation)
        now = self._clock()
        is_unfiltered = self._is_unfiltered(generation)
        self._ledger.is_silent = is_unfiltered or self.agenda.is_stale(now)
        if self.agenda.next_expiry <= now and not is_unfiltered:
            await self._do(Task.EXPIRE)
            self._ledger.is_silent |= self.agenda.next_expiry <= now
        self.agenda.awaits_first_look = self._ledger.is_silent
        if not self._ledger.is_published:
            self._publish()
        self._note_recovered(self._ledger.current or generation)

    async def _resume(self, generation: Generation) -> None:
        """Take up what the last run left."""
        shares = {share.key: share for share in generation.shares}
        for place in self.places:
            place.accepted(shares.get(place.key))
            place.used(is_used=place.key in shares)
        await self._show(generation)
        self._adopt(generation)

    def _is_unfiltered(self, generation: Generation) -> bool:
        """Whether SLURM files are wanted that were not applied to it; all replicas of a fleet want the same."""
        is_of_fleet = bool(self._ledger.upstream) and generation.upstream == self._ledger.upstream
        return bool(self.slurm) and generation.slurm is None and not is_of_fleet

    async def _show(self, generation: Generation) -> None:
        """What an operator is told of what was accepted in the last run."""
        stored, sources = generation.stored, [place.share.source for place in self.places if place.share is not None]
        if sources:
            self.status.found = combined(sources)
        self.status.counts, self.status.oversized_aspas = stored.table.counts, generation.oversized_aspas
        self.status.vrps_by_anchor = await asyncio.to_thread(count_by_anchor, stored.facts)
        self.slurm.status.applied(generation.slurm)

    async def run(self) -> None:
        """Do what is due, for ever."""
        try:
            while True:
                await self._turn()
        finally:
            if self._looking is not None:
                self._looking.cancel()

    async def _turn(self) -> None:
        self._confirm()
        now = self._clock()  # one moment for both: data that turned stale in between would be noticed by neither
        self._let_in_or_out(now)
        await self._pause(now)
        now = self._clock()
        self.agenda.clock_read(now)
        task = self.agenda.due(now)
        if task in (None, Task.LOAD) and self._wanted.is_set() and not self._is_looking:
            task = Task.LOAD
            self._wanted.clear()
        if task is Task.LOAD:
            # A server may take minutes to answer; what expires meanwhile does not wait for it.
            self.agenda.load_at = math.inf
            self._looking = asyncio.create_task(self._do(task))
        elif task is not None:
            await self._do(task)

    @property
    def _is_looking(self) -> bool:
        return self._looking is not None and not self._looking.done()

    async def _pause(self, now: float) -> None:
        """Until something is due, wanted, or what is under way has ended; or something else may be due."""
        if not self._is_looking:
            self._looking = None
        ended = asyncio.create_task(self._wanted.wait()) if self._looking is None else self._looking
        rescheduled = asyncio.create_task(self._rescheduled.wait())
        try:
            timeout_s = self.agenda.pause_s(now)
            await asyncio.wait([ended, rescheduled], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._rescheduled.clear()
            rescheduled.cancel()
            if ended is not self._looking:
                ended.cancel()

    async def watch(self) -> None:
        """Trigger a look whenever SLURM files are replaced, come or go (see `sources.fetch.feed` for the sources)."""
        seen = await asyncio.to_thread(self.slurm.signatures)
        async for now in settled(self.slurm.signatures):
            if now != seen:
                seen = now
                self.trigger()

    async def _do(self, task: Task) -> None:
        """One task. Whatever goes wrong, what is published goes on being served."""
        try:
            async with self._looks.turn:
                if task is Task.LOAD:
                    await self._load()
                elif self.agenda.built_at is not None:
                    await self._take_away(task, self.agenda.built_at)
        except Exception as error:  # a bug: loud, but no reason to leave the routers
            self.status.error = f"internal error: {error!r}"
            self.agenda.failed(self._clock())
            self._log.exception("task failed", task=task)

    # Looking

    async def _load(self) -> None:
        self.status.last_attempt = self._clock()
        started = time.perf_counter()
        try:
            attempt = await self._looks.look()
            now = self._clock()  # it may have taken minutes
            if not await self._settle(attempt, now, started):
                self.agenda.failed(now)
                return
        except (SourceError, StoreError) as error:
            await self._missed(error)
            self.agenda.failed(self._clock())
            return
        finally:
            self.agenda.awaits_first_look = False
            self._end_silence(self._clock())
        self._succeeded(now)
        self.agenda.loaded(now)

    # Judging

    async def _settle(self, attempt: Attempt, now: float, started: float) -> bool:
        """Accept what a look brought, hold it back, or withdraw everything; whether that could be done."""
        report = attempt.report
        if report is None:
            self._withdraw_objections()
            self._release()
            self._confirm()
            self._log.debug("source not modified", source=self.status.location)
            return True
        try:
            if self._hold_back(report, now):
                await self._looks.discard(attempt)
            elif self.agenda.policy.is_to_be_withdrawn(report.built_at, report.max_age_s, now):
                if not await self._take_away(Task.WITHDRAW, report.built_at):
                    return False
                self._release()
            else:
                await self._accept(Task.LOAD, report, attempt, now)
                self._release()
                self.status.seconds = {**report.seconds, "total": time.perf_counter() - started}
        finally:
            await attempt.clean_up()
        self._tell(attempt, report, now)
        return True

    def _tell(self, attempt: Attempt, report: Report, now: float) -> None:
        """What an operator should know of what was found."""
        for place, part in attempt.parts.items():
            if part.source is None:
                continue
            if part.source.dropped:
                self._log.warning("records dropped", source=place.status.location, **part.source.dropped)
            if part.source.built_at > now + MAX_CLOCK_SKEW_S:
                ahead_s = round(part.source.built_at - now)
                self._log.warning("source is dated in the future", source=place.status.location, ahead_s=ahead_s)
        if report.oversized_aspas:
            self._log.warning("ASPAs are too large", count=report.oversized_aspas)

    def _hold_back(self, report: Report, now: float) -> bool:
        """Let the load wait for an operator's word if it has to (see `guard`); returns whether it does."""
        policy, held, losses = self.agenda.policy, self.status.held, report.losses
        if self._ledger.current is not None and self._is_unfiltered(self._ledger.current):
            return False  # nothing is served before SLURM files are applied for the first time: nothing can be kept
        if losses is None or not (objected := objections(losses, policy.max_shrink)):
            self._withdraw_objections()
            return False
        reasons = tuple(objected.values())
        if self._accepted is not None and not is_worse(losses, self._accepted, policy.max_shrink):
            self._log.warning("held load accepted by the operator", reasons=reasons)
            return False
        self._accepted = None
        since = self.agenda.held_since
        if held is None or since is None or is_worse(losses, held.losses, policy.max_shrink):
            since = now  # another load than the one that waited, if any did
        elif now - since >= policy.hold_s:
            self._log.warning("held load accepted after HOLD", reasons=reasons, hold_s=policy.hold_s)
            return False
        self.status.held = Held(since, reasons, losses)
        self.agenda.held_since = since
        self._log.error("load held back", reasons=reasons, accepted_in_s=round(since + policy.hold_s - now))
        return True

    def _withdraw_objections(self) -> None:
        """What was held back, if anything, is not there any more."""
        if self.status.held is not None:
            self._log.info("held load is gone", reasons=self.status.held.reasons)

    def _release(self) -> None:
        """Nothing is held back any more; not before it is stored, since neither HOLD nor the word is to begin anew."""
        self.status.held = self.agenda.held_since = self._accepted = None

    def _confirm(self) -> None:
        """A protocol may have said that what it gave before still holds, or that it does not any more."""
        used = {place: place.built_at or 0.0 for place in self.places if place.status.is_used}
        if self.agenda.built_at is not None and any(place.feed.confirmed_at for place in used):
            newest = max(used, key=lambda place: used[place])
            self.agenda.built_at = used[newest]
            self.agenda.max_age_s = self.agenda.policy.limit_s(newest.max_age_s)
            ends = [place.stale_at(self.agenda.policy) for place in used if place.is_known]
            if len(ends) > 1 and max(ends) > self._clock():  # one that ends before the others is left out then
                self.agenda.next_expiry = min(self.agenda.next_expiry, math.ceil(min(ends)))

    # Making, committing, publishing

    async def _take_away(self, task: Task, built_at: float) -> bool:
        """Publish less than before: without what has expired, or nothing. Returns whether that was done."""
        now = self._clock()
        try:
            parts, report = await self._looks.again(task, now)
            await self._accept(task, msgspec.structs.replace(report, built_at=built_at), None, now)
        except (SourceError, StoreError) as error:
            self.agenda.expired(self._clock(), has_failed=True)
            await self._kept(task, error)
            return False
        if any(part.is_used for part in parts.values()):
            for place, part in parts.items():
                self._use(place, is_used=part.is_used)
            self.slurm.status.applied(report.slurm)
        self.status.expiry_error = None
        self.agenda.expired(self._clock(), has_failed=False)
        return True

    async def _kept(self, task: Task, error: PyrtrError) -> None:
        """What should have been taken away could not be."""
        await asyncio.to_thread(self._ledger.store.discard_new)
        self.status.expiry_error = str(error)
        if isinstance(error, StoreError):
            self.status.storage_error = str(error)
        self._log.error("payload can't be taken away", task=task, reason=str(error))

    async def _accept(self, task: Task, report: Report, attempt: Attempt | None, now: float) -> None:
        """Commit what was compiled, and then publish it."""
        ledger, current = self._ledger, self._ledger.current
        paths = ledger.store.new_paths()
        stored = await asyncio.to_thread(read_table, paths.table)
        if stored.digest != report.digest:
            raise StoreError(f"{paths.table} is not what was written")
        is_changed = not ledger.continues or report.change_count > 0 or not report.is_proved
        step = None
        if current is not None and ledger.continues and report.has_delta:
            step = Step(current.serial, await asyncio.to_thread(read_delta, paths.delta), current.content)
        shares = () if current is None else current.shares
        slurm = None if current is None else current.slurm
        metadata = {} if current is None else current.metadata
        oversized_aspas = 0 if current is None else current.oversized_aspas
        if attempt is not None:
            shares = self._next_shares(attempt)
            slurm = self._next_slurm(report)
            used = attempt.used
            metadata = next(share.source.metadata for share in shares if share.key in used)  # of the first of them
            oversized_aspas = report.oversized_aspas
        candidate = Generation(
            session_ids={},
            serial=0,
            published_at=now,
            stored=stored,
            table_path=paths.table,
            history=History(),
            built_at=report.built_at,
            is_withdrawn=task is Task.WITHDRAW,
            metadata=metadata,
            shares=shares,
            slurm=slurm,
            content=report.content,
            next_expiry=report.next_expiry,
            max_age_s=report.max_age_s if attempt is not None or current is None else current.max_age_s,
            oversized_aspas=oversized_aspas,
        )
        generation = ledger.following(candidate, step, is_changed=is_changed)
        steps = () if step is None else (step,)
        story = self._story(task, report, attempt, slurm) if is_changed else None
        if story is not None and step is not None:
            story = dataclasses.replace(story, steps=steps, delta=paths.delta)
        change_counts = None if step is None else await asyncio.to_thread(count_changes, step.delta)
        await ledger.commit(generation, steps, task, story)
        self._stored()
        self._adopt(generation)
        if not report.is_proved:
            self.status.unproved_count += 1
            self._log.error("delta failed its proof: routers get the whole table", task=task, serial=generation.serial)
        if attempt is not None:
            self._took(attempt, report, shares)
        if is_changed or not ledger.is_published:
            self.status.generation_counts[task] += 1
            if change_counts is not None:
                self.status.change_counts += change_counts
            self._publish()
            self._log.info(
                "published", cause=task, serial=generation.serial, changes=report.change_count, **report.counts
            )
        else:
            self._let_in_or_out(self._clock())
            ledger.refresh()
            self._log.info("source unchanged", source=self.status.location, serial=generation.serial, **report.counts)

    def _story(self, task: Task, report: Report, attempt: Attempt | None, slurm: SlurmRecord | None) -> Story:
        """What people are told of it."""
        current, news = self._ledger.current, []
        for place, part in {} if attempt is None else attempt.parts.items():
            if part.source is not None:
                news.append((place.status.location, part.source.built_at))
        is_slurm_new = current is not None and _identity(current.slurm) != _identity(slurm)
        reason = why(task, news, is_slurm_new=is_slurm_new, expired=report.expired_count, is_proved=report.is_proved)
        return Story(reason, tuple(location for location, _ in news))

    def _next_shares(self, attempt: Attempt) -> tuple[ShareRecord, ...]:
        paths = self._ledger.store.new_paths()
        shares = (
            place.next_share(attempt.found[place], part, paths.share(self.places.index(place)))
            for place, part in attempt.parts.items()
        )
        return tuple(share for share in shares if share is not None)

    def _next_slurm(self, report: Report) -> SlurmRecord | None:
        """What is in force once the compilation is accepted: the SLURM files that were found, or those from before."""
        if not self.slurm:
            return None
        current, applied = self._ledger.current, report.slurm
        if applied is not None and applied.digest is not None and applied.identity is not None:
            name = self._ledger.store.new_paths().slurm.name
            return SlurmRecord(name, applied.digest, applied.identity, applied.filtered, applied.added)
        if applied is None or current is None or current.slurm is None:
            return None
        return msgspec.structs.replace(current.slurm, filtered=applied.filtered, added=applied.added)

    def _took(self, attempt: Attempt, report: Report, shares: tuple[ShareRecord, ...]) -> None:
        """This is what is served now."""
        by_key = {share.key: share for share in shares}
        used = attempt.used
        for place in self.places:
            place.accepted(by_key.get(place.key))
            self._use(place, is_used=place.key in used)
        self.status.found = combined([by_key[key].source for key in used])
        self.status.counts, self.status.vrps_by_anchor = report.counts, report.vrps_by_anchor
        self.status.oversized_aspas = report.oversized_aspas
        if attempt.slurm is not None and report.slurm is not None:
            self.slurm.status.error = report.slurm.refusal
            if report.slurm.refusal is None:
                slurm = report.slurm
                self._log.info("SLURM applied", filtered=_sum(slurm.filtered), added=_sum(slurm.added))
        self.slurm.status.applied(report.slurm)

    def _use(self, place: Place, *, is_used: bool) -> None:
        """Whether the payload of one location is in what is served from now on."""
        if len(self.places) > 1 and is_used is not place.status.is_used:
            if is_used:
                self._log.info("location in use", source=place.status.location)
            else:
                self._log.warning("location left", source=place.status.location)
        place.used(is_used=is_used)

    def _end_silence(self, now: float) -> None:
        """What was recovered may be published, now that the source was looked at; but nothing unfiltered."""
        current = self._ledger.current
        if not self._ledger.is_silent or current is None or self._is_unfiltered(current):
            return
        self._ledger.is_silent = False
        # If it is still stale it is all there is. What is to be withdrawn is published when it is empty.
        if current.is_withdrawn or not self.agenda.policy.is_to_be_withdrawn(current.built_at, current.max_age_s, now):
            self._publish()


def _sum(by_file: Mapping[str, Mapping[str, int]]) -> int:
    return sum(sum(counts.values()) for counts in by_file.values())


def _identity(slurm: SlurmRecord | None) -> bytes | None:
    return None if slurm is None else slurm.identity
