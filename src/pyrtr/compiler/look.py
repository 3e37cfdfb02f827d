"""What there is at the locations, and what can be made of it: nothing is accepted here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrtr.compiler import process
from pyrtr.compiler.agenda import Policy
from pyrtr.compiler.job import Before, Held, InputReport, Job, Report, Task
from pyrtr.compiler.ledger import Ledger
from pyrtr.compiler.place import Place
from pyrtr.compiler.slurm import SlurmFound, SlurmPlaces
from pyrtr.errors import NothingLeftError, SlurmError, SourceError, StoreError
from pyrtr.logs import get_logger
from pyrtr.settings import Merge
from pyrtr.sources.base import Found
from pyrtr.sources.location import reason_at
from pyrtr.store.slurm_file import read_slurm
from pyrtr.store.state import Generation

# What a location that the settings name no more is called.
NO_MORE_SET = "a location of before"


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """What a look brought, and what was made of it: not accepted yet.

    Attributes:
        found: what was found at each place that takes part; None where nothing new was.
        slurm: the SLURM files that were found; None if they are those in force, or can't be had.
        report: what was made of it; None if nothing is new at all.
    """

    found: dict[Place, Found | None]
    slurm: SlurmFound | None
    report: Report | None

    @property
    def parts(self) -> dict[Place, InputReport]:
        """What became of each place that takes part; nothing where nothing was made."""
        return {} if self.report is None else dict(zip(self.found, self.report.inputs, strict=True))

    @property
    def used(self) -> set[str]:
        """The keys of the places whose payload is in the table."""
        return {place.key for place, part in self.parts.items() if part.is_used}

    async def clean_up(self) -> None:
        """Remove what was fetched for it."""
        await _remove(each.path for each in self.found.values() if each is not None and each.is_temporary)


class Looks:
    """Looks at all locations, and has a table made of what is there.

    Args:
        places: the locations, in the order of the setting.
        merge: what several of them are to each other.
        slurm: the locations of SLURM files.
        ledger: what is current.
        policy: when data is stale, and what becomes of it then.
        clock: Unix time. It is read after each wait: what has expired meanwhile must not come back.

    Attributes:
        turn: held by who has a table made and decides on it, one at a time; free while a location is waited for.
    """

    def __init__(
        self,
        places: Sequence[Place],
        merge: Merge,
        slurm: SlurmPlaces,
        ledger: Ledger,
        policy: Policy,
        clock: Callable[[], float],
    ) -> None:
        self.places = places
        self.slurm = slurm
        self._merge = merge
        self._ledger = ledger
        self._policy = policy
        self._clock = clock
        self.turn = asyncio.Lock()
        self._refused_slurm: bytes | None = None
        self._log = get_logger()

    async def look(self) -> Attempt:
        """Look once, with the turn in hand. What was made lies at the ledger's new paths.

        Raises:
            SourceError: no location gives anything.
            SlurmError: SLURM files can't be used, and there are none in force.
            StoreError: what was made can't be written.
        """
        slurm = await self._look_for_slurm()
        try:
            attempt = await (self._union(slurm) if self._merge is Merge.UNION else self._first_good(slurm))
        except SlurmError as error:
            self._refuse_slurm(str(error))
            raise SlurmError(f"SLURM: {error}") from error
        finally:
            if slurm is not None:
                await _remove(slurm.fetched)
        report = None if attempt.report is None else attempt.report.slurm
        if slurm is not None and report is not None and report.refusal is not None:
            self._refused_slurm = report.identity
            self._refuse_slurm(report.refusal)
        return attempt

    async def again(self, task: Task, now: float) -> tuple[dict[Place, InputReport], Report]:
        """Make a table of what was accepted before, or of nothing; and what became of each place that takes part.

        Raises:
            SourceError: that can't be done.
            StoreError: what was made can't be written.
        """
        places = [place for place in self.places if place.share is not None] if task is Task.EXPIRE else []
        report = await self._compile(task, dict.fromkeys(places), None, now)
        parts = dict(zip(places, report.inputs, strict=True))
        for place, part in parts.items():
            if part.refusal is not None:
                place.forget()
        return parts, report

    async def discard(self, attempt: Attempt) -> None:
        """It is not accepted."""
        await asyncio.to_thread(self._ledger.store.discard_new)
        await attempt.clean_up()

    @contextlib.asynccontextmanager
    async def _without_turn(self) -> AsyncIterator[None]:
        """Let others have their turn: nothing of ours lies at the new paths."""
        self.turn.release()
        try:
            yield
        finally:
            await self.turn.acquire()

    async def _first_good(self, slurm: SlurmFound | None) -> Attempt:
        """The first place in order that gives fresh data, unless another is in use and it has yet to prove itself.

        Raises:
            SourceError: no place gives anything.
            SlurmError: SLURM files can't be used, and there are none in force.
            StoreError: what was made can't be written.
        """
        in_use = next((place for place in self.places if place.status.is_used), None)
        is_earlier = in_use is not None
        reasons: list[str] = []
        unproven, stale = [], []
        for place in self.places:
            is_earlier &= place is not in_use
            if (attempt := await self._tried(place, slurm, reasons)) is None:
                continue
            now, stale_at = self._clock(), self._stale_at(place, attempt)
            if len(self.places) > 1 and stale_at <= now:
                self._failed(place, f"its data is stale since {now - stale_at:.0f} s")
                stale.append((stale_at, place))
            else:
                place.succeeded(now, attempt.found[place])
                if not is_earlier or place.standing.missing_looks == 0:
                    return attempt
                unproven.append(place)
            await self.discard(attempt)
        for place in (*unproven, *(place for _, place in sorted(stale, key=lambda entry: -entry[0]))):
            if (attempt := await self._tried(place, slurm, reasons)) is not None:
                return attempt
        raise SourceError("; ".join(reasons))

    async def _tried(self, place: Place, slurm: SlurmFound | None, reasons: list[str]) -> Attempt | None:
        """The same as `_attempt`; None, and one more reason, if the place gives nothing.

        Raises:
            SlurmError: SLURM files can't be used, and there are none in force.
            StoreError: what was made can't be written.
        """
        try:
            return await self._attempt(place, slurm)
        except SlurmError:
            raise
        except SourceError as error:
            self._failed(place, str(error))
            reasons.append(reason_at(place.status.location, error) if len(self.places) > 1 else str(error))
            return None

    async def _attempt(self, place: Place, slurm: SlurmFound | None) -> Attempt:
        """Look at one place, and make a table of it alone.

        Raises:
            SourceError: it gives nothing.
            SlurmError: SLURM files can't be used, and there are none in force.
            StoreError: what was made can't be written.
        """
        async with self._without_turn():
            found = await place.look(self._clock())
        try:
            attempt = await self._made({place: found}, slurm)
        except NothingLeftError:
            if found is None and place.forget():  # the whole of it is had again
                return await self._attempt(place, slurm)
            raise
        if attempt.report is None or (refusal := attempt.report.inputs[0].refusal) is None:
            return attempt
        await self.discard(attempt)
        raise SourceError(refusal)

    async def _union(self, slurm: SlurmFound | None) -> Attempt:
        """What all places give together; one that gives nothing new takes part with what it gave before.

        Raises:
            SourceError: no place gives anything, or what one gave before is lost and is to be had again.
            SlurmError: SLURM files can't be used, and there are none in force.
            StoreError: what was made can't be written.
        """
        found, refusals = await self._look_at_all()
        attempt = Attempt(found, slurm, None)
        if len(refusals) < len(self.places):
            try:
                attempt = await self._made(found, slurm)
            except SlurmError:
                raise
            except SourceError as error:
                if isinstance(error, NothingLeftError):
                    for place in found:
                        place.forget()
                self._note(found, dict.fromkeys(found, str(error)) | refusals)
                raise
        lost = []
        for place, part in attempt.parts.items():
            if part.refusal is not None:
                if found[place] is None and place.forget() and place not in refusals:
                    lost.append(part.refusal)
                refusals.setdefault(place, part.refusal)
        self._note(found, refusals)
        if lost or len(refusals) == len(self.places):
            await self.discard(attempt)
            whys = lost or [reason_at(place.status.location, why) for place, why in refusals.items()]
            raise SourceError("; ".join(whys))
        return attempt

    async def _look_at_all(self) -> tuple[dict[Place, Found | None], dict[Place, str]]:
        """What was found at each place that takes part, and why others gave nothing."""
        async with self._without_turn():
            looks = (place.look(self._clock()) for place in self.places)
            results = dict(zip(self.places, await asyncio.gather(*looks, return_exceptions=True), strict=True))
        found = {
            place: result if isinstance(result, Found) else None
            for place, result in results.items()
            if place.share is not None or isinstance(result, Found)
        }
        refusals = {place: str(result) for place, result in results.items() if isinstance(result, SourceError)}
        for result in results.values():
            if isinstance(result, BaseException) and not isinstance(result, SourceError):
                await Attempt(found, None, None).clean_up()
                raise result
        return found, refusals

    def _note(self, found: dict[Place, Found | None], refusals: dict[Place, str]) -> None:
        """How each place has done."""
        for place in self.places:
            if (refusal := refusals.get(place)) is None:
                place.succeeded(self._clock(), found[place])
            else:
                self._failed(place, refusal)

    def _failed(self, place: Place, reason: str) -> None:
        """A look at one of several locations came to nothing; of the only one, the loader says so."""
        place.failed(reason)
        if len(self.places) > 1:
            self._log.warning("location failed", source=place.status.location, reason=reason)

    async def _made(self, found: dict[Place, Found | None], slurm: SlurmFound | None) -> Attempt:
        """Have a table made of what was found, unless that can't be another one.

        Raises:
            SourceError: it gives nothing.
            SlurmError: SLURM files can't be used, and there are none in force.
            StoreError: what was made can't be written.
        """
        now = self._clock()
        if self._is_unchanged(found, slurm, now):
            return Attempt(found, slurm, None)
        try:
            return Attempt(found, slurm, await self._compile(Task.LOAD, found, slurm, now))
        except BaseException:
            await Attempt(found, slurm, None).clean_up()
            raise

    def _is_unchanged(self, found: dict[Place, Found | None], slurm: SlurmFound | None, now: float) -> bool:
        """Whether nothing can come of it but what is current."""
        current = self._ledger.current
        return (
            current is not None
            and slurm is None
            and not any(found.values())
            and current.published_at <= now  # else the clock was set back, and what ended by it may not have
            and not current.is_withdrawn
            and not self._policy.is_to_be_withdrawn(current.built_at, current.max_age_s, now)
            and [place.key for place in found] == [share.key for share in current.shares]
            and all(place.status.is_used or place.stale_at(self._policy) <= now for place in found)
            and bool(self.slurm) is (current.slurm is not None)
        )

    async def _look_for_slurm(self) -> SlurmFound | None:
        """The SLURM files that are there; None if they are those in force, or nothing can be made of them.

        Raises:
            SlurmError: they can't be read, and there are none in force: nothing is served unfiltered.
        """
        if not self.slurm:
            return None
        try:
            async with self._without_turn():
                found = await self.slurm.look()
        except SourceError as error:
            self._refuse_slurm(str(error))
            if self._ledger.current is None or self._ledger.current.slurm is None:
                raise SlurmError(f"SLURM: {error}") from error
            return None
        in_force = await asyncio.to_thread(self._slurm_in_force)
        if found.identity == in_force:
            if self.slurm.status.error is not None:
                self._log.info("SLURM is as it was before")
            self.slurm.status.error = self._refused_slurm = None
        if in_force is None or found.identity not in (in_force, self._refused_slurm):
            return found
        await _remove(found.fetched)
        return None

    def _slurm_in_force(self) -> bytes | None:
        """The identity of the SLURM files in force; None if there are none, or what we hold of them is damaged."""
        current = self._ledger.current
        if current is None or current.slurm is None:
            return None
        try:
            read_slurm(self._ledger.store.path / current.slurm.file, current.slurm.digest)
        except StoreError as error:
            self._log.error("SLURM files have to be had again", reason=str(error))
            return None
        return current.slurm.identity

    def _refuse_slurm(self, reason: str) -> None:
        if self.slurm.status.error != reason:
            self._log.error("SLURM refused", reason=reason)
        self.slurm.status.error = reason

    def _stale_at(self, place: Place, attempt: Attempt) -> float:
        """When what was found at the only place of an attempt turns stale."""
        report = attempt.report
        if report is None:
            return place.stale_at(self._policy)
        return report.built_at + self._policy.limit_s(report.max_age_s)

    async def _compile(
        self, task: Task, found: dict[Place, Found | None], slurm: SlurmFound | None, now: float
    ) -> Report:
        store, current = self._ledger.store, self._ledger.current
        paths = store.new_paths()
        kept = None if current is None or not (self.slurm or task is Task.EXPIRE) else current.slurm
        job = Job(
            task=task,
            now=now,
            inputs=tuple(
                place.input(found[place], store.path, paths.share(number))
                for number, place in enumerate(self.places)
                if place in found
            ),
            max_age_s=self._policy.max_age_s,
            slurm=None if slurm is None else slurm.files,
            slurm_kept=None if kept is None else str(store.path / kept.file),
            slurm_kept_digest=None if kept is None else kept.digest,
            current=None if current is None else str(current.table_path),
            table=str(paths.table),
            delta=str(paths.delta),
            new_slurm=str(paths.slurm),
            before=Before() if current is None else self._before(current),
        )
        try:
            return await process.run(job)
        except StoreError:
            await asyncio.to_thread(self._ledger.mend_table)
            raise

    def _before(self, current: Generation) -> Before:
        folder, slurm = self._ledger.store.path, current.slurm
        names = {place.key: place.status.location for place in self.places}
        return Before(
            shares=tuple(
                Held(names.get(share.key, NO_MORE_SET), str(folder / share.file), share.digest)
                for share in current.shares
            ),
            slurm=None if slurm is None else str(folder / slurm.file),
            slurm_digest=None if slurm is None else slurm.digest,
        )


async def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):  # the next start removes it
            await asyncio.to_thread(path.unlink, missing_ok=True)
