"""A replica of a fleet: it publishes what the stream has, and looks at the sources when that is its turn."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

from pyrtr.compiler.agenda import Policy
from pyrtr.compiler.job import Task
from pyrtr.compiler.loader import Loader
from pyrtr.compiler.look import Attempt
from pyrtr.compiler.place import Place
from pyrtr.compiler.slurm import SlurmPlaces
from pyrtr.compiler.status import Held
from pyrtr.errors import (
    DivergenceError,
    FleetError,
    LostError,
    PyrtrError,
    SettingsError,
    SourceError,
    StoreError,
    SupersededError,
)
from pyrtr.fleet.ledger import FleetLedger, table_name
from pyrtr.fleet.record import Duty, Record
from pyrtr.fleet.status import FleetStatus
from pyrtr.fleet.stream import BEAT_S, DUTY_S
from pyrtr.fleet.taking import Taker
from pyrtr.payload.table import count_by_anchor
from pyrtr.settings import Merge
from pyrtr.sources.base import SourceReport
from pyrtr.store.archive import Story
from pyrtr.store.state import Generation

# So long a member without data leaves duty to those that have some, and one whose look came to nothing to all others;
# so long it asks for no table, and gives none, either, after that came to nothing.
PATIENCE_S = 3 * BEAT_S
RELIEF_S = 2 * DUTY_S

# So long those wait who can't have the last table, before the first of them begins anew.
FORLORN_S = 60.0
# The program has 5 seconds to stop, and the servers may not answer.
LEAVE_S = 2.0
# Servers that went back to a backup, and on from there, show by nothing but the record itself.
SURE_S = 30.0

LOOK = "look"


class Member(Loader):
    """One replica.

    Correct is whatever the stream has: a generation that is made here is published only once it has its place there.
    Who is on duty looks at the sources, takes away what expires, and holds back what is doubted; the others would only
    do the same.

    Args:
        places, merge, slurm, policy, gate, clock: as for `Loader`.
        ledger: of the fleet.
        status: what an operator is told of the fleet.
        settings: those that all members have to agree on, by name.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        places: Sequence[Place],
        merge: Merge,
        slurm: SlurmPlaces,
        ledger: FleetLedger,
        policy: Policy,
        status: FleetStatus,
        settings: Mapping[str, str],
        *,
        gate: Callable[[bool], None],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(places, merge, slurm, ledger, policy, gate=gate, clock=clock)
        self.agenda.is_off_duty = True
        self.fleet = self._fleet = status
        self._ledger: FleetLedger = ledger
        self._stream = ledger.stream
        self._settings = settings
        self._merge = merge
        self._monotonic = monotonic
        self._patient_until = monotonic() + PATIENCE_S
        self._relieved_until = 0.0
        self._duty_until = 0.0
        self._vacant_since: float | None = None
        self._is_behind = False
        self._lost_since: float | None = None
        self._has_joined = False
        self._identity = ""
        self._sure_until = 0.0
        self._words: list[str] = []
        self._exchanging: asyncio.Task[None] | None = None
        self._trouble: PyrtrError | None = None  # with tables
        self._refusal: FleetError | None = None  # of what was made here last
        self._told_of = ""
        self._exchange_from = 0.0
        self._taker = Taker(ledger)

    # What others ask

    def trigger(self) -> None:
        """Have who is on duty look."""
        self._pass_on(LOOK, super().trigger)

    def accept(self) -> str:
        """An operator accepts the load that is held back, whoever holds it; returns what that means, in words."""
        if not self.agenda.is_off_duty or self.status.held is None:
            return super().accept()
        self._pass_on(_accept(self.status.held), lambda: None)
        return f"passed on to {self._fleet.on_duty}: the load that {'; '.join(self.status.held.reasons)}"

    def _pass_on(self, word: str, do: Callable[[], None]) -> None:
        if not self.agenda.is_off_duty:
            do()
        else:
            if word not in self._words:
                self._words.append(word)
            self._stream.changed.set()

    def _hear(self, word: str) -> None:
        if self.agenda.is_off_duty:
            if word == LOOK and not self._is_looking:
                self.agenda.load_at = self._clock()  # for who comes on duty before who is has looked
            return
        if word == LOOK:
            super().trigger()
        elif self.status.held is not None and word == _accept(self.status.held):
            super().accept()

    # What it does by itself

    async def recover(self) -> None:
        """Go on from where the last run ended; where that is stale or has expired, once the fleet was heard."""
        generation = await self._recovered()
        if generation is None:
            return
        await self._resume(generation)
        now = self._clock()
        self._ledger.is_silent = self.agenda.is_stale(now) or self.agenda.next_expiry <= now
        self._publish()
        self._note_recovered(generation)

    async def run(self) -> None:
        """Keep up with the fleet, and do what is due when on duty, for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(super().run())
                tasks.create_task(self._keep_up())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        finally:
            if self._exchanging is not None:
                self._exchanging.cancel()
            with contextlib.suppress(FleetError, TimeoutError):
                await asyncio.wait_for(self._leave(), LEAVE_S)
            await self._taker.stop()

    async def _leave(self) -> None:
        """Let another be on duty, and whoever comes have other settings."""
        await self._stream.leave()
        await self._stream.close()

    async def _keep_up(self) -> None:
        while True:
            self._stream.changed.clear()
            await self.beat()
            if self._exchanging is None or self._exchanging.done():
                self._exchanging = asyncio.create_task(self.exchange())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stream.changed.wait(), BEAT_S)

    async def beat(self) -> None:
        """Hear the fleet once, take over what is new, and see who is on duty.

        Raises:
            SettingsError: our settings are not those of the fleet.
        """
        try:
            await self._stream.open(self._hear)
            await self._join()
            behind = await self._try_to_catch_up()
            await self._mind_duty()
            while self._words:
                await self._stream.tell(self._words[0])
                self._words.pop(0)
            if behind is not None:
                raise behind
        except SettingsError:
            raise
        except Exception as error:
            if not isinstance(error, PyrtrError):  # a bug: loud, but no reason to leave the routers
                error = FleetError(f"internal error: {error!r}")
                if str(error) != self._fleet.error:
                    self._log.exception("task failed", task="fleet")
            self._failed(error)
            self._ledger.sequence = None  # what is heard next may be another stream, or an older state of it
        else:
            if self._fleet.error is not None and self._trouble is None and self._refusal is None:
                self._log.info("fleet heard again", fleet=self._fleet.name)
                self._fleet.error = None
        self._fleet.sequence = self._ledger.sequence
        if self._monotonic() >= self._duty_until:
            self._stand_down()
        if self.agenda.is_off_duty or not self.agenda.awaits_first_look:
            self._end_silence(self._clock())
        self._let_in_or_out(self._clock())
        self._rescheduled.set()

    def _failed(self, error: PyrtrError) -> None:
        if str(error) != self._fleet.error:
            self._log.warning("fleet not heard", fleet=self._fleet.name, reason=str(error))
        self._fleet.error = str(error)

    async def _join(self) -> None:
        """See who is there.

        Raises:
            SettingsError: our settings are not theirs.
        """
        members = await self._stream.attend(self._settings)
        self._fleet.members = sorted(members)
        if self._has_joined:
            return
        for name, theirs in members.items():
            for setting in sorted(self._settings.keys() & theirs.keys()):  # another release may know of others
                ours, other = self._settings[setting], theirs[setting]
                if ours != other:
                    where = f"{name} of the fleet {self._fleet.name}"
                    advice = "make them the same, or set another FLEET_NAME"
                    raise SettingsError([f"{setting} is {ours} here, and {other} at {where}: {advice}"])
        self._has_joined = True
        self._log.info("fleet joined", fleet=self._fleet.name, member=self._fleet.member, members=len(members))

    # What others made

    async def _try_to_catch_up(self) -> PyrtrError | None:
        """Publish the last generation of the stream; why that can't be done, if it can't.

        On duty it does not wait for what is being made, which gets no place if there is a newer one.
        """
        if self._looks.turn.locked() and not self.agenda.is_off_duty:
            return None
        lost_since, self._lost_since = self._lost_since, None
        identity, last = await self._stream.end()
        try:
            await self._catch_up(identity, last, is_lost=self._is_for_good(lost_since))
        except (SourceError, StoreError) as error:
            self._is_behind = True
            if isinstance(error, LostError):
                self._lost_since = self._monotonic() if lost_since is None else lost_since
            return error
        self._is_behind = False
        return None

    async def _catch_up(self, identity: str, last: int, *, is_lost: bool) -> None:
        async with self._looks.turn:
            ledger = self._ledger
            if identity != self._identity or last < (ledger.sequence or 0) or self._monotonic() >= self._sure_until:
                self._identity, ledger.sequence = identity, None
                self._sure_until = self._monotonic() + SURE_S
            is_lost = is_lost and not self.agenda.is_off_duty
            if last == 0 or is_lost or not await ledger.may_be_served(last):
                await self._stream_lost(last)
            elif (ledger.sequence is None and not await ledger.find_place(last)) or (
                ledger.sequence != last and not await self._take_over(last)
            ):
                await self._begin_anew(last)

    async def _stream_lost(self, last: int) -> None:
        """The stream does not have what we publish, and nothing newer: who is on duty begins anew with that."""
        if not self._ledger.continues:
            self._ledger.sequence = last
        elif not self.agenda.is_off_duty:
            await self._begin_anew(last)

    async def _begin_anew(self, last: int) -> None:
        self._log.error("fleet has lost its history: new sessions begin", fleet=self._fleet.name)
        await self._ledger.begin_anew(self._clock(), last)
        self.status.storage_error = self.status.divergence = None
        self._publish()

    async def _take_over(self, last: int) -> bool:
        """Publish the last generation, which is not ours; False if the stream went back (see `find_place`)."""
        records = await self._taker.records(last)
        if not records and not await self._ledger.find_place(last):
            return False
        newest = records[-1] if records else await self._stream.record(last)
        if newest is None:
            raise LostError(f"record {last} of the stream is gone")
        try:
            taken = await self._taker.take(records, newest, last)
        except DivergenceError as error:
            self.status.divergence = str(error)
            raise
        story = Story(f"made by {newest.member} of the fleet", (), () if taken.is_whole else taken.steps)
        await self._ledger.take(taken.generation, taken.steps, newest.cause, story, last)
        await self._took_over(taken.generation, newest, is_whole=taken.is_whole)
        return True

    async def _took_over(self, generation: Generation, newest: Record, *, is_whole: bool) -> None:
        """This is what is served now."""
        self._refusal = None
        self._fleet.taken_count += 1
        self._fleet.whole_count += is_whole
        self.status.storage_error = self.status.expiry_error = self.status.divergence = None
        self._forget_places()
        self._adopt(generation)
        self._ledger.is_silent = False
        self._publish()
        await self._show_taken(generation)
        self._log.info(
            "published", cause=newest.cause, serial=generation.serial, member=newest.member, **self.status.counts
        )

    def _forget_places(self) -> None:
        """What they gave us is not what is served."""
        for place in self.places:
            place.accepted(None)
            place.used(is_used=False)

    async def _show_taken(self, generation: Generation) -> None:
        self.status.found = SourceReport(dict(generation.metadata), {}, {}, generation.built_at)
        self.status.counts = generation.stored.table.counts
        self.status.vrps_by_anchor = await asyncio.to_thread(count_by_anchor, generation.stored.facts)

    # Duty

    async def _mind_duty(self) -> None:
        """Be on duty if nobody else is, and hear of who is."""
        duty = await self._stream.on_duty()
        if duty is not None or self._vacant_since is None:
            self._vacant_since = self._monotonic() if duty is None else None
        if duty is not None and duty.member != self._fleet.member:
            self._fleet.on_duty = duty.member
            self._stand_down()
            await self._follow(duty)
            return
        if self._is_reluctant:
            if duty is not None:
                await self._stream.leave_duty()
            self._duty_until = 0.0
            self._fleet.on_duty = None
            return
        asked = self._monotonic()
        if await self._stream.take_duty(self._duty()):
            self._duty_until = asked + DUTY_S
            self._stand_up()
        else:
            self._duty_until = 0.0

    def _is_for_good(self, lost_since: float | None) -> bool:
        return lost_since is not None and self._monotonic() >= lost_since + FORLORN_S

    @property
    def _is_reluctant(self) -> bool:
        """Whether others had better be on duty: those who have what the stream has, if anybody has."""
        if self._is_behind:
            return not self._is_for_good(self._lost_since)
        until = self._relieved_until
        if self._vacant_since is not None:  # nobody does better
            until = min(until, self._vacant_since + PATIENCE_S)
        if not self._ledger.continues:
            until = max(until, self._patient_until)
        return len(self._fleet.members) > 1 and self._monotonic() < until

    def _stand_up(self) -> None:
        if not self.agenda.is_off_duty:
            return
        self.agenda.on_duty(self._clock())
        self._relieved_until = 0.0
        self._fleet.on_duty = self._fleet.member
        self._log.info("on duty", fleet=self._fleet.name)

    def _stand_down(self) -> None:
        if not self.agenda.is_off_duty:
            self.agenda.is_off_duty = True
            self._refusal = None
            self._log.info("off duty", fleet=self._fleet.name, on_duty=self._fleet.on_duty)

    def _duty(self) -> Duty:
        current = self._ledger.current
        return Duty(
            member=self._fleet.member,
            content=b"" if current is None else current.content,
            table=self._ledger.offered,
            built_at=self.agenda.built_at or 0.0,
            max_age_s=None if current is None else current.max_age_s,
            held=self.status.held,
        )

    async def _follow(self, duty: Duty) -> None:
        """What who is on duty knows of the payload that we have, too."""
        self._told_of = duty.table
        self.status.held = duty.held
        self.agenda.held_since = None if duty.held is None else duty.held.since
        current = self._ledger.current
        if current is None or duty.content != current.content:
            return
        self.agenda.built_at = duty.built_at
        self.agenda.max_age_s = self.agenda.policy.limit_s(duty.max_age_s)

    # Tables

    async def exchange(self) -> None:
        """What takes longer than a beat may: on duty, give the others the table; else take over what theirs says."""
        if self._monotonic() < self._exchange_from:
            return
        try:
            if self.agenda.is_off_duty:
                await self._take_facts(self._told_of)
            elif self._ledger.current is not None and self._ledger.continues:
                await self._ledger.offer(self._ledger.current)
            self._trouble = None
        except PyrtrError as error:
            self._trouble = error
            self._exchange_from = self._monotonic() + RELIEF_S
            self._failed(error)

    async def _take_facts(self, name: str) -> None:
        """Take over when entries expire, and whose they are: the payload is the same."""
        if not self._is_news(name):
            return
        async with self._taker.fetched(name) as packed, self._looks.turn:
            current = self._ledger.current
            if packed is None or current is None or not self._is_news(name):
                return
            generation = await self._taker.facts(current, packed)
            await self._ledger.commit(generation, (), "facts")
            self._ledger.refresh()
            self.agenda.next_expiry = generation.stored.facts.next_expiry
            self._forget_places()
            await self._show_taken(generation)

    def _is_news(self, name: str) -> bool:
        """Whether a table has the payload that we have, and another one on duty knows more of it than we do."""
        current = self._ledger.current
        if current is None or name != self._told_of or not self.agenda.is_off_duty:
            return False
        return name.startswith(table_name(current.content)) and name != table_name(
            current.content, current.stored.digest
        )

    # What is made here

    async def _settle(self, attempt: Attempt, now: float, started: float) -> bool:
        """As for `Loader`; but what is older, or less, than what another replica found is none of the fleet's.

        Raises:
            SourceError: one of several locations whose union counts gives nothing, and may have given something there.
        """
        report, current, known = attempt.report, self._ledger.current, self.agenda.built_at
        if report is None or current is None or known is None or current.shares:
            return await super()._settle(attempt, now, started)
        if (by_s := min(known, now) - report.built_at) > 0:
            await self._looks.discard(attempt)
            self._log.info("source is older than what the fleet has", source=self.status.location, by_s=round(by_s))
            return True
        missing = [place.status.location for place in self.places if not _gives(attempt, place)]
        if missing and self._merge is Merge.UNION and not self.agenda.is_stale(now):
            await self._looks.discard(attempt)
            raise SourceError(f"{', '.join(missing)}: nothing was found there, and what the fleet has of it would go")
        return await super()._settle(attempt, now, started)

    async def _missed(self, error: PyrtrError) -> None:
        if isinstance(error, FleetError):
            await self._not_placed(error)
            return
        await super()._missed(error)
        self._relieved_until = self._monotonic() + RELIEF_S

    async def _kept(self, task: Task, error: PyrtrError) -> None:
        if isinstance(error, FleetError):
            await self._not_placed(error)
        else:
            await super()._kept(task, error)

    async def _not_placed(self, error: FleetError) -> None:
        """What was made here did not get a place on the stream."""
        await asyncio.to_thread(self._ledger.store.discard_new)
        if isinstance(error, SupersededError):
            self._fleet.superseded_count += 1
            self._log.info("another replica was first", fleet=self._fleet.name)
        else:
            self._refusal = error
            self._failed(error)
        self._stream.changed.set()

    def _stored(self) -> None:
        super()._stored()
        self._refusal = None


def _gives(attempt: Attempt, place: Place) -> bool:
    part = attempt.parts.get(place)
    return part is not None and part.refusal is None


def _accept(held: Held) -> str:
    """The word that accepts one load, and no other that may be held back by the time it is heard."""
    return f"accept {held.since!r}"
