"""The compile process: from a source to a table and its delta, with the memory of a million records for a second."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from pyrtr import processes
from pyrtr.compiler.job import Job, Report, SourceReport, Task
from pyrtr.compiler.pipeline import compare
from pyrtr.errors import SourceError
from pyrtr.payload.table import NO_FACTS, NOTHING, Facts, PayloadTable, count_by_anchor, unexpired
from pyrtr.sources import rpki_client
from pyrtr.sources.fetch import file
from pyrtr.store.table_file import StoredTable, read_table, write_delta, write_table


def compile_table(job: Job) -> Report:
    """Do the job: make the new table, compare it with the current one, and write both.

    Raises:
        SourceError: the source is refused whole.
        StoreError: the files can't be written, or the current table is damaged.
    """
    watch = Stopwatch()
    current = None if job.current is None else read_table(Path(job.current), is_mapped=True)
    watch.lap("current")
    new = _new_table(job, current, watch)
    outcome = None if current is None else compare(current.table, current.facts, new.table, job.now)
    watch.lap("compare")
    delta = outcome.delta if outcome is not None and outcome.change_count else None
    digest = write_table(Path(job.table), new.table, new.facts)
    if delta is not None:
        write_delta(Path(job.delta), delta)
    watch.lap("write")
    return Report(
        change_count=len(new.table) if outcome is None else outcome.change_count,
        has_delta=delta is not None,
        is_proved=outcome is None or outcome.delta is not None,
        digest=digest,
        next_expiry=new.facts.next_expiry,
        counts={
            "ipv4": len(new.table.ipv4),
            "ipv6": len(new.table.ipv6),
            "router_keys": len(new.table.router_keys),
            "aspas": len(new.table.aspas),
        },
        vrps_by_anchor=count_by_anchor(new.facts),
        losses=None if outcome is None else outcome.losses,
        source=new.source,
        seconds=watch.seconds,
    )


class Stopwatch:
    """How long each part took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a part."""
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now


@dataclass(frozen=True, slots=True)
class _New:
    table: PayloadTable
    facts: Facts
    source: SourceReport | None = None


def _new_table(job: Job, current: StoredTable | None, watch: Stopwatch) -> _New:
    match job.task:
        case Task.LOAD:
            fetched = file.fetch(Path(job.location))
            watch.lap("fetch")
            loaded = rpki_client.read(fetched.take(), now=job.now)
            watch.lap("decode")
            built_at = fetched.modified if loaded.build_time is None else loaded.build_time
            source = SourceReport(loaded.metadata, loaded.records, loaded.dropped, built_at)
            return _New(loaded.table, loaded.facts, source)
        case Task.EXPIRE:
            assert current is not None
            return _New(*unexpired(current.table, current.facts, job.now))
        case Task.WITHDRAW:
            return _New(NOTHING, NO_FACTS)
        case other:
            assert_never(other)


def _do(job: Job) -> Report:
    try:
        return compile_table(job)
    except MemoryError:
        raise SourceError(f"{job.location}: not enough memory to read it") from None


if __name__ == "__main__":
    processes.answer(Job, _do)
