"""A replica of a fleet: it publishes what the stream has, and looks at the sources when that is its turn."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from pyrtr import processes
from pyrtr.compiler.agenda import Policy
from pyrtr.compiler.job import Task
from pyrtr.compiler.loader import Loader
from pyrtr.compiler.look import Attempt
from pyrtr.compiler.place import Place
from pyrtr.compiler.slurm import SlurmPlaces
from pyrtr.errors import FleetError, PyrtrError, SettingsError, SourceError, StoreError, SupersededError
from pyrtr.fleet.ledger import FleetLedger, sessions_of, table_name
from pyrtr.fleet.record import Duty, Record, unpack
from pyrtr.fleet.status import FleetStatus
from pyrtr.fleet.stream import BEAT_S, DUTY_S
from pyrtr.fleet.worker import Base, Made, Order
from pyrtr.payload.history import History
from pyrtr.payload.serial import SERIAL_MODULUS
from pyrtr.payload.table import count_by_anchor
from pyrtr.settings import Merge
from pyrtr.sources.base import SourceReport
from pyrtr.sources.follow.exchange import RawStep, steps_of
from pyrtr.store.archive import Story
from pyrtr.store.state import Generation
from pyrtr.store.table_file import read_table
from pyrtr.wire.enums import Version

# A million VRPs take a second or two.
MAKE_S = 300.0
# So long a member without data leaves duty to those that have some, and one whose look came to nothing to all others.
PATIENCE_S = 3 * BEAT_S
RELIEF_S = 2 * DUTY_S

# So long those wait who can't have the last table, before the first of them begins anew.
FORLORN_S = 60.0

LOOK, ACCEPT = "look", "accept"


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
        self._monotonic = monotonic
        self._patient_until = monotonic() + PATIENCE_S
        self._relieved_until = 0.0
        self._duty_until = 0.0
        self._behind_since: float | None = None
        self._has_joined = False
        self._identity = ""
        self._words: list[str] = []
        self._offering: asyncio.Task[None] | None = None
        self._companion = processes.Companion("pyrtr.fleet.worker", "fleet", processes.Answer[Made])

    # What others ask

    def trigger(self) -> None:
        """Have who is on duty look."""
        self._pass_on(LOOK, super().trigger)

    def accept(self) -> str:
        """An operator accepts the load that is held back, whoever holds it; returns what that means, in words."""
        if not self.agenda.is_off_duty or self.status.held is None:
            return super().accept()
        self._pass_on(ACCEPT, lambda: None)
        return f"passed on to {self._fleet.on_duty}: the load that {'; '.join(self.status.held.reasons)}"

    def _pass_on(self, word: str, do: Callable[[], None]) -> None:
        if not self.agenda.is_off_duty:
            do()
        else:
            self._words.append(word)
            self._stream.changed.set()

    def _hear(self, word: str) -> None:
        if self.agenda.is_off_duty:
            return
        if word == LOOK:
            super().trigger()
        elif word == ACCEPT:
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
            if self._offering is not None:
                self._offering.cancel()
            await self._companion.stop()
            with contextlib.suppress(FleetError):
                await self._stream.leave_duty()
                await self._stream.close()

    async def _keep_up(self) -> None:
        while True:
            self._stream.changed.clear()
            await self.beat()
            if self._offering is None or self._offering.done():  # it takes longer than a beat may
                self._offering = asyncio.create_task(self.offer())
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
                await self._stream.tell(self._words.pop())
            if behind is not None:
                raise behind
        except (FleetError, SourceError, StoreError) as error:
            self._failed(error)
        else:
            if self._fleet.error is not None:
                self._log.info("fleet heard again", fleet=self._fleet.name)
            self._fleet.error = None
        self._fleet.sequence = self._ledger.sequence
        if self._monotonic() >= self._duty_until:
            self._stand_down()
        self._end_silence(self._clock())

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
            for setting in sorted(self._settings.keys() | theirs.keys()):
                ours, other = self._settings.get(setting, "unknown"), theirs.get(setting, "unknown")
                if ours != other:
                    where = f"{name} of the fleet {self._fleet.name}"
                    advice = "make them the same, or set another FLEET_NAME"
                    raise SettingsError([f"{setting} is {ours} here, and {other} at {where}: {advice}"])
        self._has_joined = True
        self._log.info("fleet joined", fleet=self._fleet.name, member=self._fleet.member, members=len(members))

    # What others made

    async def _try_to_catch_up(self) -> PyrtrError | None:
        """Publish the last generation of the stream; why that can't be done, if it can't."""
        identity, last = await self._stream.end()
        try:
            await self._catch_up(identity, last)
        except (FleetError, SourceError, StoreError) as error:
            if self._behind_since is None:
                self._behind_since = self._monotonic()
            return error
        self._behind_since = None
        return None

    async def _catch_up(self, identity: str, last: int) -> None:
        async with self._looks.turn:
            ledger = self._ledger
            if not self.agenda.is_off_duty and self._is_behind_for_good:
                await self._stream_lost(last)
                return
            if identity != self._identity:
                self._identity, ledger.sequence, ledger.offered = identity, None, ""
            if ledger.sequence is None:
                ledger.sequence = await self._place_of_current(last)
            if last == 0 or (ledger.sequence is not None and last < ledger.sequence):
                await self._stream_lost(last)
            elif ledger.sequence != last:
                await self._take_over(last)

    async def _place_of_current(self, last: int) -> int | None:
        """Where on the stream what we recovered stands; None if it is not there. Serials follow one another."""
        current = self._ledger.current
        newest = await self._stream.record(last) if last and self._ledger.continues else None
        if current is None or newest is None or newest.sessions != sessions_of(current.session_ids):
            return None
        place = last - (newest.serial - current.serial) % SERIAL_MODULUS
        if place == last:
            return last if newest.content == current.content else None
        following = await self._stream.record(place + 1) if place >= 0 else None
        return place if following is not None and following.before == (current.serial, current.content) else None

    async def _stream_lost(self, last: int) -> None:
        """The stream does not have what we publish, and nothing newer: who is on duty begins anew with that."""
        if not self._ledger.continues:
            self._ledger.sequence = last
            return
        if self.agenda.is_off_duty:
            return
        self._log.error("fleet has lost its history: new sessions begin", fleet=self._fleet.name)
        await self._ledger.begin_anew(self._clock(), last)
        self._publish()

    async def _take_over(self, last: int) -> None:
        """Publish the last generation, which is another one than ours."""
        ledger, current = self._ledger, self._ledger.current
        records: list[Record] = []
        if ledger.sequence is not None and ledger.continues:
            records = await self._records(ledger.sequence + 1, last)
        made, steps, is_whole = None, [], False
        if current is not None and _is_chain(current, records):
            steps = await asyncio.to_thread(lambda: [unpack(record.step or b"") for record in records])
            base = Base(str(current.table_path), current.serial, current.content)
            made = await self._make(base, steps, None, records[-1])
            if made.digest is None:
                self._log.warning("steps refused", source=f"fleet {self._fleet.name}", reason=made.mismatch)
        newest = records[-1] if records else await self._stream.record(last)
        if newest is None:
            raise FleetError(f"record {last} of the stream is gone")
        if made is None or made.digest is None:
            made, steps, is_whole = *await self._whole(newest, last), True
        if made.digest is None:
            self.status.divergence = f"fleet {self._fleet.name}: {made.mismatch}"
            raise SourceError(self.status.divergence)
        before = current.history if current is not None and not is_whole else History()
        generation = await self._generation(newest, made.digest, before, steps)
        retained = generation.history.steps
        kept = retained[max(0, len(retained) - len(steps)) :]
        story = Story(f"made by {newest.member} of the fleet", (), () if is_whole else kept)
        await ledger.take(generation, kept, newest.cause, story, last)
        self._took_over(generation, newest, is_whole=is_whole)

    async def _records(self, first: int, last: int) -> list[Record]:
        """The records of a range; nothing if one of them is gone."""
        records = []
        for sequence in range(first, last + 1):
            if (record := await self._stream.record(sequence)) is None:
                return []
            records.append(record)
        return records

    async def _whole(self, newest: Record, last: int) -> tuple[Made, list[RawStep]]:
        """Take the whole table, and the steps before it that the stream still has."""
        packed = self._ledger.store.path / "fleet-taken"
        names = [name for name in await self._stream.tables() if name.startswith(table_name(newest.content))]
        try:
            if not names or not await self._stream.get_table(names[0], packed):
                raise FleetError(f"the table of serial {newest.serial} is not there yet")
            steps: list[RawStep] = []
            record: Record | None = newest
            while record is not None and record.step is not None and len(steps) < self._ledger.max_steps:
                steps.append(await asyncio.to_thread(unpack, record.step))
                last -= 1
                record = await self._stream.record(last) if last > 0 else None
            steps.reverse()
            made = await self._make(None, steps, str(packed), newest)
            return made, steps[len(steps) - made.proved_count :]
        finally:
            await asyncio.to_thread(_remove, packed)

    async def _make(self, base: Base | None, steps: list[RawStep], whole: str | None, newest: Record) -> Made:
        table = str(self._ledger.store.new_paths().table)
        order = Order(base, steps, whole, newest.serial, newest.content, table)
        return await self._companion.ask(order, timeout_s=MAKE_S)

    async def _generation(self, newest: Record, digest: bytes, before: History, raw_steps: list[RawStep]) -> Generation:
        path = self._ledger.store.new_paths().table
        stored = await asyncio.to_thread(read_table, path)
        if stored.digest != digest:
            raise StoreError(f"{path} is not what was written")
        history = before
        for step in await asyncio.to_thread(steps_of, raw_steps):
            history = history.followed_by(step, max_steps=self._ledger.max_steps, table_size=len(stored.table))
        sessions = newest.sessions
        return Generation(
            session_ids={Version.V0: sessions.V0, Version.V1: sessions.V1, Version.V2: sessions.V2},
            serial=newest.serial,
            published_at=newest.published_at,
            stored=stored,
            table_path=path,
            history=history,
            built_at=newest.built_at,
            is_withdrawn=newest.is_withdrawn,
            metadata=msgspec.json.decode(newest.metadata),
            content=newest.content,
            max_age_s=newest.max_age_s,
            upstream=self._ledger.upstream,
        )

    def _took_over(self, generation: Generation, newest: Record, *, is_whole: bool) -> None:
        """This is what is served now."""
        self._fleet.taken_count += 1
        self._fleet.whole_count += is_whole
        self.status.storage_error = self.status.divergence = None
        for place in self.places:  # what it gave us is not what is served
            place.accepted(None)
            place.used(is_used=False)
        self._adopt(generation)
        self._show_taken(generation)
        self._ledger.is_silent = False
        self._publish()
        self._log.info(
            "published", cause=newest.cause, serial=generation.serial, member=newest.member, **self.status.counts
        )

    def _show_taken(self, generation: Generation) -> None:
        self.status.found = SourceReport(dict(generation.metadata), {}, {}, generation.built_at)
        self.status.counts = generation.stored.table.counts
        self.status.vrps_by_anchor = count_by_anchor(generation.stored.facts)

    # Duty

    async def _mind_duty(self) -> None:
        """Be on duty if nobody else is, and hear of who is."""
        duty = await self._stream.on_duty()
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

    @property
    def _is_behind_for_good(self) -> bool:
        """Whether nobody seems to have the table of the last generation any more."""
        return self._behind_since is not None and self._monotonic() >= self._behind_since + FORLORN_S

    @property
    def _is_reluctant(self) -> bool:
        """Whether others had better be on duty: those who have what the stream has."""
        if self._behind_since is not None:
            return not self._is_behind_for_good
        until = self._relieved_until if self._ledger.continues else max(self._relieved_until, self._patient_until)
        return len(self._fleet.members) > 1 and self._monotonic() < until

    def _stand_up(self) -> None:
        if not self.agenda.is_off_duty:
            return
        self.agenda.is_off_duty = False
        self.agenda.load_at = self._clock()
        self._fleet.on_duty = self._fleet.member
        self._log.info("on duty", fleet=self._fleet.name)
        self._wanted.set()

    def _stand_down(self) -> None:
        if not self.agenda.is_off_duty:
            self.agenda.is_off_duty = True
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
        self.status.held = duty.held
        self.agenda.held_since = None if duty.held is None else duty.held.since
        current = self._ledger.current
        if current is None or duty.content != current.content:
            return
        self.agenda.built_at = duty.built_at
        self.agenda.max_age_s = self.agenda.policy.limit_s(duty.max_age_s)
        if duty.table and duty.table != table_name(current.content, current.stored.digest):
            await self._take_facts(duty.table)

    async def _take_facts(self, name: str) -> None:
        """Take over when entries expire, and whose they are: the payload is the same."""
        async with self._looks.turn:
            current = self._ledger.current
            if current is None or not name.startswith(table_name(current.content)):
                return
            packed = self._ledger.store.path / "fleet-taken"
            try:
                if not await self._stream.get_table(name, packed):
                    return
                table = str(self._ledger.store.new_paths().table)
                made = await self._companion.ask(
                    Order(None, [], str(packed), current.serial, current.content, table), timeout_s=MAKE_S
                )
            finally:
                await asyncio.to_thread(_remove, packed)
            if made.digest is None:
                raise FleetError(str(made.mismatch))
            stored = await asyncio.to_thread(read_table, Path(table))
            generation = dataclasses.replace(
                current, stored=stored, table_path=Path(table), shares=(), slurm=None, next_expiry=None
            )
            await self._ledger.commit(generation, (), "facts")
            self._adopt(generation)
            self._show_taken(generation)
            self._ledger.refresh()

    async def offer(self) -> None:
        """On duty, give the others the table."""
        current = self._ledger.current
        if self.agenda.is_off_duty or current is None or not self._ledger.continues:
            return
        try:
            await self._ledger.offer(current)
        except FleetError as error:
            self._failed(error)

    # What is made here

    async def _settle(self, attempt: Attempt, now: float, started: float) -> bool:
        """As for `Loader`; but what is older than what another replica found is none of the fleet's."""
        report, current = attempt.report, self._ledger.current
        is_others = current is not None and self._ledger.continues and not current.shares
        if report is not None and current is not None and is_others and report.built_at < min(current.built_at, now):
            await self._looks.discard(attempt)
            by_s = round(current.built_at - report.built_at)
            self._log.info("source is older than what the fleet has", source=self.status.location, by_s=by_s)
            return True
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
            self._failed(error)
        self._stream.changed.set()


def _is_chain(current: Generation, records: Sequence[Record]) -> bool:
    """Whether records lead on from a generation, step by step."""
    at = current.serial, current.content
    for record in records:
        if record.before != at or record.step is None or record.sessions != sessions_of(current.session_ids):
            return False
        at = record.serial, record.content
    return bool(records)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
