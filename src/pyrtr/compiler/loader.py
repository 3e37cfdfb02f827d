"""From the source to the routers: one compilation at a time, each judged, committed and published, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pyrtr.compiler import process
from pyrtr.compiler.agenda import Agenda, Policy
from pyrtr.compiler.guard import Losses, is_worse, objections
from pyrtr.compiler.job import Job, Report, SourceReport, Task
from pyrtr.errors import PyrtrError, SourceError, StoreError
from pyrtr.logs import get_logger
from pyrtr.payload.history import History, Step
from pyrtr.payload.serial import SERIAL_MODULUS, next_serial
from pyrtr.server.publisher import Published, Publisher
from pyrtr.settings import OnStale
from pyrtr.sources.fetch.file import Signature, signature
from pyrtr.store.sessions import new_session_ids, restarted
from pyrtr.store.state import Generation, Store
from pyrtr.store.table_file import read_delta, read_table, write_table

WATCH_INTERVAL_S = 0.5
# A build time this far ahead is more than two clocks that differ a little.
MAX_CLOCK_SKEW_S = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """A load that waits for an operator's word.

    Attributes:
        since: Unix time at which it was first held back.
        reasons: why, with the figures.
        losses: what it takes away.
    """

    since: float
    reasons: tuple[str, ...]
    losses: Losses


@dataclass(slots=True)
class SourceStatus:
    """What an operator is told about the source. Times are Unix seconds.

    Attributes:
        location: where it is.
        last_attempt, last_success: when it was last looked at, and when that last came to something.
        failure_count, success_count: of all looks.
        error: why the last look came to nothing; None if it did not.
        expiry_error: why what has expired, or is stale, could not be taken away; None if it could.
        storage_error: why the last new generation could not be stored; None if it could.
        state_error: why the state folder is not used at all, and a restart will lose the routers' place.
        held: the load that waits for an operator's word; None if none does.
        report, found: what the last good look made, and what it found in the source.
        report_seconds: how long that look took from its start to its end.
        unproved_count: deltas that failed their proof.
        generation_counts: generations published, by cause.
    """

    location: str
    last_attempt: float | None = None
    last_success: float | None = None
    failure_count: int = 0
    success_count: int = 0
    error: str | None = None
    expiry_error: str | None = None
    storage_error: str | None = None
    state_error: str | None = None
    held: Held | None = None
    report: Report | None = None
    found: SourceReport | None = None
    report_seconds: float | None = None
    unproved_count: int = 0
    generation_counts: dict[Task, int] = field(default_factory=lambda: dict.fromkeys(Task, 0))


class Loader:
    """Brings the published payload up to date, on schedule and on demand.

    Args:
        location: the source.
        store: where generations are committed before they are published.
        publisher: where they are published.
        policy: what is done when.
        max_steps: how many serials back a router may ask for.
        initial_serial: the first serial of a new state; None for a random one.
        gate: called with whether routers may be served at all.
        clock: Unix time.
    """

    def __init__(
        self,
        location: Path,
        store: Store,
        publisher: Publisher,
        policy: Policy,
        *,
        max_steps: int,
        initial_serial: int | None,
        gate: Callable[[bool], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.status = SourceStatus(str(location))
        self.agenda = Agenda(policy, load_at=clock())
        self._location = location
        self._store = store
        self._publisher = publisher
        self._max_steps = max_steps
        self._initial_serial = initial_serial
        self._gate = gate
        self._clock = clock
        self._current: Generation | None = None
        self._wanted = asyncio.Event()
        self._seen: Signature | None = None
        self._accepted: Losses | None = None
        self._is_source_unseen = False
        self._log = get_logger()

    # What others ask

    def trigger(self) -> None:
        """Look as soon as what is under way, if anything, has ended; however often this is called meanwhile."""
        self._wanted.set()

    def accept(self) -> str:
        """An operator accepts the load that is held back; returns what that means, in words."""
        held = self.status.held
        if held is None:
            return "nothing is held back"
        self._accepted = held.losses
        self.trigger()
        return f"accepted: the load that {'; '.join(held.reasons)}"

    # What it does by itself

    async def recover(self) -> None:
        """Go on from where the last run ended, unless its data is stale: then the source is looked at first."""
        generation = self._store.recovered
        if generation is None:
            return
        self._adopt(generation)
        await self._begin_sessions(generation)
        now = self._clock()
        self._is_source_unseen = self.agenda.is_stale(now)
        if self.agenda.next_expiry <= now:
            await self._do(Task.EXPIRE)
            self._is_source_unseen |= self.agenda.next_expiry <= now
        if not self._publisher.current.is_ready:
            self._publish()
        current = self._current or generation
        steps, vrps = len(current.history.steps), current.stored.table.vrp_count
        self._log.info("recovered", serial=current.serial, vrps=vrps, steps=steps, is_stale=self._is_source_unseen)

    async def _begin_sessions(self, generation: Generation) -> None:
        begun = dataclasses.replace(generation, session_ids=restarted(generation.session_ids))
        try:
            await asyncio.to_thread(self._store.commit, begun, None, "restart")
        except StoreError as error:
            self.status.storage_error = str(error)
            self._log.error("state can't be stored", reason=str(error))
        else:
            self._adopt(begun)

    async def run(self) -> None:
        """Do what is due, for ever."""
        while True:
            now = self._clock()  # one moment for both: data that turned stale in between would be noticed by neither
            try:
                self._control_gate(now)
            except OSError as error:  # another program took the port while it was closed
                self._log.error("routers can't be let in again", reason=error.strerror)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), self.agenda.pause_s(now))
            now = self._clock()
            self.agenda.clock_read(now)
            task = self.agenda.due(now)
            if task in (None, Task.LOAD) and self._wanted.is_set():
                task = Task.LOAD
                self._wanted.clear()
            if task is not None:
                await self._do(task)

    async def watch(self) -> None:
        """Trigger a look whenever another file stands in the source's place, or it has been written to and is done.

        The path is looked at, not watched: that works on every file system, and through symbolic links of any depth.
        """
        last: Signature | None = None
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            now = await asyncio.to_thread(signature, self._location)
            if now is not None and now == last and now != self._seen:
                self.trigger()
            last = now

    async def _do(self, task: Task) -> None:
        """One task. Whatever goes wrong, what is published goes on being served."""
        try:
            if task is Task.LOAD:
                await self._load()
            elif self.agenda.built_at is not None:
                await self._take_away(task, self.agenda.built_at)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a bug: loud, but no reason to leave the routers
            self.status.error = f"internal error: {error!r}"
            self.agenda.failed(self._clock())
            self._log.exception("task failed", task=task)

    async def _load(self) -> None:
        status, now = self.status, self._clock()
        status.last_attempt = now
        started = time.perf_counter()
        self._seen = await asyncio.to_thread(signature, self._location)
        try:
            report = await self._compile(Task.LOAD, now)
            assert report.source is not None
            if self._is_held(report, now):
                self._store.discard_new()
            elif self._is_to_be_withdrawn(report.source.built_at, now):
                if not await self._take_away(Task.WITHDRAW, report.source.built_at):
                    self.agenda.failed(now)
                    return
                self._release()
            else:
                await self._accept(Task.LOAD, report, now, report.source.built_at)
                self._release()
                status.report, status.found = report, report.source
                status.report_seconds = time.perf_counter() - started
        except (SourceError, StoreError) as error:
            self._failed(error)
            return
        finally:
            if self._is_source_unseen:
                self._is_source_unseen = False
                current = self._current
                assert current is not None
                # If it is still stale it is all there is. What is to be withdrawn is published when it is empty.
                if current.is_withdrawn or not self._is_to_be_withdrawn(current.built_at, now):
                    self._publish()
        status.error = None
        status.last_success = now
        status.success_count += 1
        self.agenda.loaded(now)
        if report.source.dropped:
            self._log.warning("records dropped", source=status.location, **report.source.dropped)
        if report.source.built_at > now + MAX_CLOCK_SKEW_S:
            ahead_s = round(report.source.built_at - now)
            self._log.warning("source is dated in the future", source=status.location, ahead_s=ahead_s)

    def _failed(self, error: PyrtrError) -> None:
        status = self.status
        status.error = str(error)
        status.failure_count += 1
        self.agenda.failed(self._clock())
        self._store.discard_new()
        if isinstance(error, StoreError):
            self._log.error("state can't be stored", reason=status.error)
        else:
            self._log.error("source refused", source=status.location, reason=status.error)

    async def _take_away(self, task: Task, built_at: float) -> bool:
        """Publish less than before: without what has expired, or nothing. Returns whether that was done."""
        now = self._clock()
        try:
            await self._accept(task, await self._compile(task, now), now, built_at)
        except (SourceError, StoreError) as error:
            self.agenda.expired(self._clock(), has_failed=True)
            self._store.discard_new()
            self.status.expiry_error = str(error)
            self._log.error("payload can't be taken away", task=task, reason=str(error))
            return False
        self.status.expiry_error = None
        self.agenda.expired(self._clock(), has_failed=False)
        return True

    async def _compile(self, task: Task, now: float) -> Report:
        table, delta = self._store.new_paths()
        current = None if self._current is None else str(self._current.table_path)
        try:
            return await process.run(Job(task, str(self._location), now, current, str(table), str(delta)))
        except StoreError as error:
            self.status.storage_error = str(error)
            await asyncio.to_thread(self._mend_table)
            raise

    def _mend_table(self) -> None:
        """Write the current table's file again if it is damaged or gone: what we hold of it is whole."""
        if self._current is None:
            return
        path, stored = self._current.table_path, self._current.stored
        try:
            read_table(path)
        except StoreError as error:
            self._log.error("table file written again", reason=str(error))
            with contextlib.suppress(StoreError):
                write_table(path, stored.table, stored.facts)

    def _is_held(self, report: Report, now: float) -> bool:
        """Whether the load is to wait for an operator's word (see `guard`)."""
        policy, held, losses = self.agenda.policy, self.status.held, report.losses
        if losses is None or not (objected := objections(losses, policy.max_shrink)):
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

    def _release(self) -> None:
        """Nothing is held back any more; not before it is stored, since neither HOLD nor the word is to begin anew."""
        self.status.held = self.agenda.held_since = self._accepted = None

    def _is_to_be_withdrawn(self, built_at: float, now: float) -> bool:
        policy = self.agenda.policy
        return policy.on_stale is OnStale.WITHDRAW and now - built_at >= policy.max_age_s

    async def _accept(self, task: Task, report: Report, now: float, built_at: float) -> None:
        """Commit what was compiled, and then publish it."""
        table_path, delta_path = self._store.new_paths()
        stored = await asyncio.to_thread(read_table, table_path)
        current = self._current
        if stored.digest != report.digest:
            raise StoreError(f"{table_path} is not what was written")
        step = None
        if current is None:
            serial = secrets.randbelow(SERIAL_MODULUS) if self._initial_serial is None else self._initial_serial
            history = History()
        elif report.change_count == 0 and report.is_proved:
            serial, history = current.serial, current.history
        else:
            serial, history = next_serial(current.serial), History()
            if report.has_delta:
                step = Step(current.serial, await asyncio.to_thread(read_delta, delta_path))
                history = current.history.followed_by(step, max_steps=self._max_steps, table_size=len(stored.table))
        if not report.is_proved:
            self.status.unproved_count += 1
            self._log.error("delta failed its proof: routers get the whole table", task=task, serial=serial)
        is_new = current is None or report.change_count > 0 or not report.is_proved
        generation = Generation(
            session_ids=new_session_ids() if current is None else current.session_ids,
            serial=serial,
            published_at=now if current is None or is_new else current.published_at,
            stored=stored,
            table_path=table_path,
            history=history,
            built_at=built_at,
            is_withdrawn=task is Task.WITHDRAW,
            metadata=report.source.metadata if report.source is not None else current.metadata if current else {},
        )
        try:
            await asyncio.to_thread(self._store.commit, generation, step, task)
        except StoreError as error:
            self.status.storage_error = str(error)
            raise
        self.status.storage_error = None
        self._adopt(generation)
        if is_new or not self._publisher.current.is_ready:
            self.status.generation_counts[task] += 1
            self._publish()
            self._log.info("published", cause=task, serial=serial, changes=report.change_count, **report.counts)
        else:
            self._publisher.current = dataclasses.replace(
                self._publisher.current, table=stored.table, metadata=generation.metadata
            )
            self._log.info("source unchanged", source=self.status.location, serial=serial, **report.counts)

    def _adopt(self, generation: Generation) -> None:
        self._current = generation
        self.agenda.next_expiry = generation.stored.facts.next_expiry
        self.agenda.built_at = generation.built_at
        self.agenda.is_withdrawn = generation.is_withdrawn

    def _publish(self) -> None:
        if self._is_source_unseen:
            return
        assert self._current is not None
        self._control_gate(self._clock())
        current = self._current
        self._publisher.publish(
            Published(
                timing=self._publisher.current.timing,
                session_ids=current.session_ids,
                serial=current.serial,
                table=current.stored.table,
                history=current.history,
                published_at=current.published_at,
                metadata=current.metadata,
            )
        )

    def _control_gate(self, now: float) -> None:
        is_closed = self.agenda.policy.on_stale is OnStale.CLOSE and self.agenda.is_stale(now)
        self._gate(not is_closed)
