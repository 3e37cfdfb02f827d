"""The compile process: from sources to a table and its delta, with the memory of a million records for a second."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from pyrtr import processes
from pyrtr.compiler.job import Held, Input, InputReport, Job, Report, SlurmReport, Task
from pyrtr.compiler.pipeline import Outcome, compare
from pyrtr.compiler.provenance import Ingredients, Share, Version, expired_count, provenance
from pyrtr.errors import NothingLeftError, SlurmError, SourceError, StoreError
from pyrtr.payload.slurm import Slurmed, SlurmFile, apply_slurm
from pyrtr.payload.table import NEVER, NO_FACTS, NOTHING, Facts, PayloadTable, count_by_anchor, merged, unexpired
from pyrtr.sources.base import SourceReport, reader
from pyrtr.sources.fetch import file
from pyrtr.sources.location import reason_at
from pyrtr.sources.records import slurm
from pyrtr.store import columns
from pyrtr.store.slurm_file import identity_of, read_slurm, write_slurm
from pyrtr.store.table_file import content_digest, read_table, write_delta, write_table
from pyrtr.threads import both


def compile_table(job: Job) -> Report:
    """Do the job: make the new table, compare it with the current one, and write both.

    Raises:
        SourceError: no location gives anything.
        NothingLeftError: the same, and some have before.
        SlurmError: SLURM files can't be used, and there were none before.
        StoreError: the files can't be written, or the current table or the SLURM files from before are damaged.
    """
    watch = Stopwatch()
    current = None if job.current is None else read_table(Path(job.current), is_mapped=True)
    watch.lap("current")
    used: list[_Share] = []
    next_change, oversized, slurm_report = NEVER, 0, None
    shares = [_share(place, job.now, watch) for place in job.inputs]
    kept = _slurm_kept(job.slurm_kept, job.slurm_kept_digest)
    files: tuple[SlurmFile, ...] = ()
    if job.task is Task.WITHDRAW:
        table, facts = NOTHING, NO_FACTS
    elif job.task is Task.EXPIRE and current is not None and not _is_all_there(shares, kept):
        # What it was made of is lost, or the locations are others now. What was made of it still has its times.
        table, facts = unexpired(current.table, current.facts, job.now)
    else:
        used, next_change = _in_use(shares, job)
        table, facts, oversized = merged([(share.table, share.facts) for share in used])
        if (applied := _slurmed(job, kept, table, facts)) is not None:
            slurmed, slurm_report, files = applied
            table, facts, oversized = slurmed.table, slurmed.facts, oversized + slurmed.oversized
    watch.lap("merge")

    def compared() -> tuple[Outcome | None, bytes]:
        outcome = None if current is None else compare(current.table, current.facts, table, job.now)
        return outcome, content_digest(table)

    (outcome, content), digests = both(compared, partial(_write_shares, shares))
    watch.lap("compare")
    if len(used) == 1 and table is used[0].table and used[0] in digests:
        digest = digests[used[0]]
        columns.link(Path(used[0].place.new_share), Path(job.table))
    else:
        digest = write_table(Path(job.table), table, facts)
    delta = outcome.delta if outcome is not None and outcome.change_count else None
    expired = 0
    if delta is not None and current is not None:
        made_of = Ingredients([Share(share.place.location, partial(getattr, share, "table")) for share in used], files)
        found = provenance(
            delta,
            before=Version(current.table, current.facts, _made_of_before(job)),
            after=Version(table, facts, made_of),
            task=job.task,
            now=job.now,
        )
        expired = expired_count(found)
        watch.lap("provenance")
        write_delta(Path(job.delta), delta, found)
    watch.lap("write")
    newest = max(used, key=lambda share: share.built_at, default=None)
    return Report(
        change_count=len(table) if outcome is None else outcome.change_count,
        has_delta=delta is not None,
        is_proved=outcome is None or outcome.delta is not None,
        digest=digest,
        content=content,
        next_expiry=min(facts.next_expiry, next_change),
        built_at=job.now if newest is None else newest.built_at,
        max_age_s=None if newest is None else newest.place.max_age_s,
        counts=table.counts,
        vrps_by_anchor=count_by_anchor(facts),
        oversized_aspas=oversized,
        losses=None if outcome is None else outcome.losses,
        inputs=tuple(
            msgspec.structs.replace(share.report, digest=digests.get(share), is_used=share in used) for share in shares
        ),
        slurm=slurm_report,
        seconds=watch.seconds,
        expired_count=expired,
    )


class Stopwatch:
    """How long each part took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a part, or one more piece of it."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


@dataclass(frozen=True, slots=True, eq=False)
class _Share:
    """What one location gives.

    Attributes:
        place: what was asked.
        table, facts: its payload, without what has expired; nothing where it gives nothing.
        built_at: Unix time from which its age counts.
        report: what became of it, as far as it is known before anything is written.
        is_there: whether it gives anything at all, be it the empty set.
    """

    place: Input
    table: PayloadTable
    facts: Facts
    built_at: float
    report: InputReport
    is_there: bool = True

    def stale_at(self, max_age_s: float) -> float:
        """When it turns stale."""
        own = self.place.max_age_s
        return self.built_at + (max_age_s if own is None else min(max_age_s, own))


def _share(place: Input, now: float, watch: Stopwatch) -> _Share:
    """What was found at a location, or else what it gave before."""
    refusal = None
    if place.body is not None:
        try:
            return _found(place, place.body, now, watch)
        except SourceError as error:
            refusal = str(error).replace(place.body, place.location)
    if place.share is not None:
        try:
            stored = read_table(Path(place.share), is_mapped=True)
            if stored.digest != place.share_digest:
                raise StoreError(f"{place.share} is not what was accepted")
        except StoreError as error:  # it is fetched again in full
            refusal = refusal or str(error)
        else:
            table, facts = stored.table, stored.facts
            if facts.next_expiry <= now:
                table, facts = unexpired(table, facts, now)
            watch.lap("current")
            return _Share(place, table, facts, place.built_at, InputReport(refusal, None, None, is_used=False))
    report = InputReport(refusal or "nothing was found there yet", None, None, is_used=False)
    return _Share(place, NOTHING, NO_FACTS, -math.inf, report, is_there=False)


def _found(place: Input, body: str, now: float, watch: Stopwatch) -> _Share:
    if place.is_table:
        stored = read_table(Path(body), is_mapped=True)
        table, facts = stored.table, stored.facts
        records = {"vrps": table.vrp_count, "router_keys": len(table.router_keys), "aspas": len(table.aspas)}
        source = SourceReport({}, records, {}, place.modified)
        watch.lap("fetch")
    else:
        fetched = file.fetch(Path(body))
        watch.lap("fetch")
        loaded = reader(place.kind)(fetched.take(), now=now)
        table, facts = loaded.table, loaded.facts
        built_at = place.modified if loaded.build_time is None else loaded.build_time
        source = SourceReport(loaded.metadata, loaded.records, loaded.dropped, built_at)
        watch.lap("decode")
    report = InputReport(None, source, None, is_used=False)
    return _Share(place, table, facts, source.built_at, report)


def _write_shares(shares: list[_Share]) -> dict[_Share, bytes]:
    """Write what was found; the digest of each file."""
    found = (share for share in shares if share.report.source is not None)
    return {share: write_table(Path(share.place.new_share), share.table, share.facts) for share in found}


def _in_use(shares: list[_Share], job: Job) -> tuple[list[_Share], int]:
    """The shares that make the table, and when the first of several turns stale: those that are not, or the newest.

    Raises:
        SourceError: there is none.
        NothingLeftError: the same, and there was one before.
    """
    usable = [share for share in shares if share.is_there]
    if not usable:
        whys = [str(share.report.refusal) for share in shares]
        if len(shares) > 1:
            whys = [reason_at(share.place.location, why) for share, why in zip(shares, whys, strict=True)]
        is_lost = any(share.place.share is not None for share in shares)
        raise (NothingLeftError if is_lost else SourceError)("; ".join(whys))
    fresh = [share for share in usable if job.now < share.stale_at(job.max_age_s)]
    if not fresh:
        return [max(usable, key=lambda share: share.built_at)], NEVER
    ends = sorted(share.stale_at(job.max_age_s) for share in fresh)
    return fresh, math.ceil(ends[0]) if len(ends) > 1 else NEVER


def _made_of_before(job: Job) -> Ingredients:
    """What the current table was made of, as far as that can still be read."""
    files = _slurm_kept(job.before.slurm, job.before.slurm_digest)
    shares = [Share(held.location, partial(_table_of, held, job.now)) for held in job.before.shares]
    return Ingredients(shares, files if isinstance(files, tuple) else ())


def _table_of(held: Held, now: float) -> PayloadTable:
    """What a location gave, without what has ended since; nothing where that can't be read."""
    try:
        stored = read_table(Path(held.share), is_mapped=True)
    except StoreError:
        return NOTHING
    return unexpired(stored.table, stored.facts, now)[0] if stored.digest == held.digest else NOTHING


def _slurm_kept(path: str | None, digest: bytes | None) -> tuple[SlurmFile, ...] | StoreError | None:
    """The SLURM files that were accepted before, or why they can't be read; None if there are none."""
    if path is None or digest is None:
        return None
    try:
        return slurm.parse_all(read_slurm(Path(path), digest))
    except StoreError as error:
        return error
    except SourceError as error:  # an earlier release took what this one does not
        return StoreError(f"{path}: {error}")


def _is_all_there(shares: list[_Share], kept: object) -> bool:
    """Whether a table can be made of what was accepted before."""
    return bool(shares) and all(share.is_there for share in shares) and not isinstance(kept, StoreError)


def _slurmed(
    job: Job, kept: tuple[SlurmFile, ...] | StoreError | None, table: PayloadTable, facts: Facts
) -> tuple[Slurmed, SlurmReport, tuple[SlurmFile, ...]] | None:
    """The payload with the SLURM files that were found, or with those from before if they can't be used; and which.

    None if there are neither.

    Raises:
        SlurmError: they can't be used, and there are none from before: nothing is served unfiltered.
        StoreError: they can't be used, and those from before can't be read.
    """
    refusal, digest, identity = None, None, None
    files = kept
    if job.slurm is not None:
        try:
            bodies = [(name, file.fetch(Path(path)).take()) for name, path in job.slurm]
            identity = identity_of(bodies)
            files = slurm.parse_all(bodies)
        except SourceError as error:
            refusal = str(error)
            if kept is None:
                raise SlurmError(refusal) from error
        else:
            digest = write_slurm(Path(job.new_slurm), bodies)
    if files is None:
        return None
    if isinstance(files, StoreError):
        raise files
    applied = apply_slurm(table, facts, files)
    return applied, SlurmReport(refusal, digest, identity, applied.filtered, applied.added), files


def _do(job: Job) -> Report:
    try:
        return compile_table(job)
    except MemoryError:
        locations = ", ".join(place.location for place in job.inputs)
        raise SourceError(f"{locations}: not enough memory to read it") from None


if __name__ == "__main__":
    processes.answer(Job, _do)
