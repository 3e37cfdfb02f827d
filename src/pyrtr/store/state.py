"""The state folder: what outlives a restart, a crash and a power cut, or is recognised as damaged.

lock          held by the running program
history.db    where we stand and the retained steps (`database`)
archive.db    the history for people (`archive`)
table-N       the current table (`table_file`); which N, and with what digest, the history says. The one before it is
              there until the next commit, since it is what is published, and asked about, for a moment longer
share-N-P     what location P of several gave (a table, too), before it was merged with others and with SLURM
slurm-N       the SLURM files in force
delta-N       the step to the table, until it is committed
body-…, rtr-… what is being fetched, or was and waits to be looked at
damaged-TIME  what could not be used, set aside
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrtr.errors import StoreError, UnavailableError
from pyrtr.payload.history import History, Step
from pyrtr.store.archive import Archive, Story
from pyrtr.store.aside import set_aside
from pyrtr.store.database import (
    FORMAT,
    Database,
    ShareRecord,
    SlurmRecord,
    StateRecord,
    StepRecord,
    delta_digest,
)
from pyrtr.store.sessions import SessionIds
from pyrtr.store.table_file import StoredTable, content_digest, read_table
from pyrtr.wire.enums import Version

_MADE = ("table-*", "delta-*", "share-*", "slurm-*")
_FETCHED = ("body-*", "fleet-*", "rtr-*")


class LockedError(StoreError):
    """Another process has the state folder."""


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """One published set, and all that has to be known after a restart to go on from it.

    Attributes:
        session_ids: for each version, newest first (see `sessions`).
        serial, published_at: the current serial, and Unix time at which it came to be.
        stored: the table.
        table_path: its file.
        history: the steps that lead to `serial`.
        built_at: Unix time from which the age of the data is counted.
        is_withdrawn: whether the table is empty because its data was too old.
        metadata: the source's own.
        shares, slurm, content, next_expiry, max_age_s, upstream, oversized_aspas: as `database.StateRecord` has them.
    """

    session_ids: SessionIds
    serial: int
    published_at: float
    stored: StoredTable
    table_path: Path
    history: History
    built_at: float
    is_withdrawn: bool
    metadata: Mapping[str, Any]
    shares: tuple[ShareRecord, ...] = ()
    slurm: SlurmRecord | None = None
    content: bytes = b""
    next_expiry: int | None = None
    max_age_s: float | None = None
    upstream: str = ""
    oversized_aspas: int = 0


@dataclass(frozen=True, slots=True)
class NewPaths:
    """Where a compilation is to write what comes next.

    Attributes:
        table, delta, slurm: one file each.
    """

    table: Path
    delta: Path
    slurm: Path

    def share(self, place: int) -> Path:
        """The share of one location."""
        return self.table.with_name(f"{self.table.name.replace('table', 'share')}-{place}")


class Store:
    """One open state folder.

    Args:
        path: the folder, made if need be; None for one that goes with the program.
        history_days: how far back the history for people reaches; None for none.

    Attributes:
        path: of the folder.
        is_kept: whether it stays.
        set_aside_reason: why what was in it can't be used; None if it is, or nothing was.
        recovered: what was committed last; None if nothing was.
        archive: the history for people; None if there is to be none.

    Raises:
        LockedError: another process has it.
        UnavailableError: what is in it can't be read now; it is left as it is.
        StoreError: it can't be made, or opened even after what was in it was set aside.
    """

    def __init__(self, path: Path | None, history_days: int | None = None) -> None:
        self._stack = contextlib.ExitStack()
        self.is_kept = path is not None
        self.set_aside_reason: str | None = None
        try:
            if path is None:
                path = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pyrtr-")))
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path = path
            self._lock()
        except OSError as error:
            self._stack.close()
            raise StoreError(f"STATE={path} can't be used: {error.strerror}") from error
        except BaseException:
            self._stack.close()
            raise
        self._steps: tuple[StepRecord, ...] = ()
        self._next_table = 1
        self._table = ""
        self._database: Database
        self.recovered = self._open()
        self.archive = None if history_days is None else Archive(self.path, history_days)

    def close(self) -> None:
        """Let go of the folder."""
        if self.archive is not None:
            self.archive.close()
        self._database.close()
        self._stack.close()

    def new_paths(self) -> NewPaths:
        """Where the next compilation is to write to."""
        table, delta, slurm = (self.path / f"{kind}-{self._next_table}" for kind in ("table", "delta", "slurm"))
        return NewPaths(table, delta, slurm)

    def catch_up(self) -> None:
        """Add to the history for people what the last run committed and did not live to add."""
        if self.archive is not None and self.recovered is not None:
            self.archive.add(self.recovered, self._database.told)

    def commit(self, generation: Generation, steps: Sequence[Step], cause: str, story: Story | None = None) -> None:
        """Make `generation` what a restart goes on from. Its files have been written to paths of `new_paths`.

        Args:
            generation: the next one.
            steps: what led to it, the last of its history; none if nothing changed or it can't be told.
            cause: why it came to be, for who reads the history.
            story: what people are told of it; None if it tells them nothing new.

        Raises:
            StoreError: it can't be stored; what was committed before still holds.
        """
        new = [step for step in steps if step in generation.history.steps]
        retained = generation.history.steps[: len(generation.history.steps) - len(new)]
        known = {record.from_serial: record for record in self._steps}
        records = [known[step.from_serial] for step in retained]
        ordinal = max((record.ordinal for record in self._steps), default=0)
        for place, step in enumerate(new, 1):
            records.append(StepRecord(ordinal + place, step.from_serial, delta_digest(step.delta), step.content))
        record = StateRecord(
            format=FORMAT,
            session_ids=(
                generation.session_ids[Version.V0],
                generation.session_ids[Version.V1],
                generation.session_ids[Version.V2],
            ),
            serial=generation.serial,
            published_at=generation.published_at,
            built_at=generation.built_at,
            is_withdrawn=generation.is_withdrawn,
            table=generation.table_path.name,
            table_digest=generation.stored.digest,
            metadata=dict(generation.metadata),
            steps=tuple(records),
            shares=generation.shares,
            slurm=generation.slurm,
            content=generation.content,
            next_expiry=generation.next_expiry,
            max_age_s=generation.max_age_s,
            upstream=generation.upstream,
            oversized_aspas=generation.oversized_aspas,
        )
        self._database.commit(record, new, cause)
        self._steps = record.steps
        self._next_table += 1
        before, self._table = self._table, record.table
        if self.archive is not None and story is not None:
            self.archive.add(generation, self._database.told, cause, story)
        self._tidy(record, _MADE, before)  # while it is committed, more may be fetched

    def discard_new(self) -> None:
        """Remove what a compilation has written that is not going to be committed."""
        with contextlib.suppress(OSError):
            for kind in ("table", "delta", "slurm", "share"):
                for path in self.path.glob(f"{kind}-{self._next_table}*"):
                    path.unlink(missing_ok=True)

    def _lock(self) -> None:
        path = self.path / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # a lock needs no writing
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(f"STATE={self.path} is in use by another pyrtr: stop it, or set another STATE") from None

    def _open(self) -> Generation | None:
        try:
            return self._recover()
        except UnavailableError:
            self._stack.close()
            raise
        except StoreError as error:
            self.set_aside_reason = str(error)
        try:
            set_aside(self.path, ("history.db*", *_MADE))
            return self._recover()
        except (OSError, StoreError) as error:
            self._stack.close()
            raise StoreError(f"STATE={self.path} can't be used: {error}") from error

    def _recover(self) -> Generation | None:
        has_tables = any(self.path.glob("table-*"))
        self._database = Database(self.path / "history.db")
        try:
            found = self._database.read()
            if found is None:
                if has_tables and self._database.is_new:
                    raise StoreError(f"{self.path} holds a table, but no history")
                self._tidy(None, (*_MADE, *_FETCHED))
                return None
            record, steps = found
            table_path = self.path / Path(record.table).name
            stored = read_table(table_path)
            if stored.digest != record.table_digest:
                raise StoreError(f"{table_path} is not the table that the history names")
        except BaseException:
            self._database.close()
            raise
        self._steps = record.steps
        self._table = record.table
        self._next_table = int(record.table.removeprefix("table-")) + 1
        self._tidy(record, (*_MADE, *_FETCHED))
        return Generation(
            session_ids=dict(zip(Version, record.session_ids, strict=True)),
            serial=record.serial,
            published_at=record.published_at,
            stored=stored,
            table_path=table_path,
            history=History(steps),
            built_at=record.built_at,
            is_withdrawn=record.is_withdrawn,
            metadata=record.metadata,
            shares=record.shares,
            slurm=record.slurm,
            content=record.content or content_digest(stored.table),  # earlier releases did not keep it
            next_expiry=record.next_expiry,
            max_age_s=record.max_age_s,
            upstream=record.upstream,
            oversized_aspas=record.oversized_aspas,
        )

    def _tidy(self, record: StateRecord | None, patterns: Iterable[str], table: str = "") -> None:
        """Remove files of such names that a crash or a commit has left behind; those of `record`, and `table`, stay."""
        kept = {table}
        if record is not None:
            kept |= {record.table, *(share.file for share in record.shares)}
            if record.slurm is not None:
                kept.add(record.slurm.file)
        with contextlib.suppress(OSError):  # they only take room
            for pattern in patterns:
                for path in self.path.glob(pattern):
                    if path.name not in kept:
                        path.unlink(missing_ok=True)
