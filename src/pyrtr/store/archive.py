"""The archive: the history for people, over weeks, beside the state that routers depend on.

    generation    a row a generation, oldest first:
        ordinal         counts them, over all sessions
        session         the session ids of versions 1 and 2, since serials begin anew with them
        from_serial     the serial before it; NULL where that can't be told
        serial          its own
        published_at    Unix seconds
        cause           as `Store.commit` has it
        facts           JSON of `Summary`
        change_count    entries that differ from the generation before
        changes         the delta file's octets (see `table_file.encode_delta`), compressed; NULL where there is none

It is written after the commit that counts, and never fails it: what can't be written now is made up for with the next
generation, or at the next start, from the steps that are retained for routers, which know nothing of where changes came
from. A damaged archive is set aside and another begun. There is no row a change: who searches reads the deltas, newest
first (see `archive_search`).
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import zstandard

from pyrtr.errors import StoreError
from pyrtr.logs import get_logger
from pyrtr.payload.delta import Delta, count_changes, counts_by_action
from pyrtr.payload.history import Step
from pyrtr.payload.provenance import Origin, all_by
from pyrtr.payload.serial import next_serial
from pyrtr.payload.table import count_by_anchor
from pyrtr.store.aside import set_aside
from pyrtr.store.database import Told
from pyrtr.store.table_file import encode_delta
from pyrtr.wire.enums import Version

if TYPE_CHECKING:
    from pyrtr.store.state import Generation

FILE = "archive.db"
FORMAT = 1
MAX_BYTES = 256 << 20
DAY_S = 86400
# The room of what is removed is given back from this size on, and so much of it at once: it takes a moment.
VACUUM_BYTES = 8 << 20
# Who looks into the file with tools of SQLite may lock it, for which what routers are to have does not wait.
LOCKED_S = 0.2
_SCHEMA = """
CREATE TABLE generation (
    ordinal INTEGER PRIMARY KEY, session INTEGER NOT NULL, from_serial INTEGER, serial INTEGER NOT NULL,
    published_at REAL NOT NULL, cause TEXT NOT NULL, facts BLOB NOT NULL, change_count INTEGER NOT NULL, changes BLOB
);
CREATE INDEX generation_serial ON generation (serial);
CREATE INDEX generation_time ON generation (published_at);
"""
_INSERT = """
INSERT INTO generation (session, from_serial, serial, published_at, cause, facts, change_count, changes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


class Summary(msgspec.Struct, frozen=True):
    """What is known of a generation besides its changes.

    Attributes:
        counts: unique payload by kind.
        announced, withdrawn, replaced: entries that came, went, and were exchanged, by kind: vrps, router_keys, aspas,
            and the last of them for the third; empty where that can't be told.
        why: why it came to be, in words; None where that is lost.
        sources: names of the locations that had something new.
        built_at: Unix time from which the age of its data counts; None where that is lost.
        vrps_by_anchor: VRPs by trust anchor; None where that is lost.
    """

    counts: dict[str, int]
    announced: dict[str, int] = {}
    withdrawn: dict[str, int] = {}
    replaced: dict[str, int] = {}
    why: str | None = None
    sources: tuple[str, ...] = ()
    built_at: float | None = None
    vrps_by_anchor: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What people are told of a generation, and routers need not know.

    Attributes:
        why: why it came to be, in words.
        sources: names of the locations that had something new.
        steps: what led to it, oldest first; none if that can't be told.
        delta: file of the last step, with what brought about its changes.
        by: what brought about all changes, where there is no such file.
    """

    why: str
    sources: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    delta: Path | None = None
    by: Origin | None = None


class Archive:
    """The archive of a state folder, which its owner alone writes. Nothing is opened before it is needed.

    Args:
        folder: the state folder.
        days: how far back it reaches.
        max_bytes: how large it grows, at most: what is oldest goes earlier then.

    Attributes:
        path: of its file.
        error: why the last generation is not in it; None if it is.
        revision: names what is in it: another one after each attempt to write, and after each start.
    """

    def __init__(self, folder: Path, days: int, *, max_bytes: int = MAX_BYTES) -> None:
        self.error: str | None = None
        self.revision = _new_revision()
        self.path = folder / FILE
        self._days = days
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._is_begun = False
        self._log = get_logger()

    def close(self) -> None:
        """Close the file, after what is being written to it on another thread."""
        with self._lock:
            self._let_go()

    def add(
        self,
        generation: Generation,
        told: Callable[[], Mapping[int, Told]],
        cause: str = "",
        story: Story | None = None,
    ) -> None:
        """Write a generation, and what is missing before it. What goes wrong is logged, and told by `error`.

        Args:
            generation: what was committed.
            told: asks what the history for routers says of its steps, by the serial that each leads from.
            cause: why it came to be, as the commit had it; nothing where an earlier run committed it.
            story: what else is known of it, likewise; that run's last is of interest only before any of this one.
        """
        with self._lock:
            if story is None and self._is_begun:
                return
            try:
                try:
                    self._write(generation, told, cause, story)
                except _DamagedError as damage:
                    self._log.error("history for people set aside, another is begun", reason=str(damage))
                    self._let_go()
                    set_aside(self.path.parent, (f"{FILE}*",))
                    self._write(generation, told, cause, story)
                self._is_begun, self.error = True, None
            except (sqlite3.Error, OSError, StoreError) as error:
                self._failed(str(error))
            except Exception as error:  # a bug: loud, but what was committed is to be published
                self._log.exception("task failed", task="archive")
                self._failed(f"internal error: {error!r}")
            finally:
                self.revision = _new_revision()

    def _failed(self, reason: str) -> None:
        self._let_go()
        if reason != self.error:
            self._log.error("history for people can't be written", path=str(self.path), reason=reason)
        self.error = reason

    def _write(
        self, generation: Generation, told: Callable[[], Mapping[int, Told]], cause: str, story: Story | None
    ) -> None:
        try:
            connection = self._connection or self._open()
            last = connection.execute("SELECT session, serial FROM generation ORDER BY ordinal DESC LIMIT 1").fetchone()
            if last == (session_of(generation), generation.serial):
                return
            rows = _missing_rows(last, generation, told, cause, story)
            oldest = generation.published_at - self._days * DAY_S
            with connection:  # one transaction
                connection.executemany(_INSERT, rows)
                connection.execute("DELETE FROM generation WHERE published_at < ?", (oldest,))
            self._keep_small(connection)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            # The latter where a message quotes what is damaged.
            if isinstance(error, UnicodeDecodeError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                raise _DamagedError(f"{self.path}: {error}") from error
            raise

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, check_same_thread=False, timeout=LOCKED_S)
        try:
            (file_format,) = connection.execute("PRAGMA user_version").fetchone()
            if file_format not in (0, FORMAT):
                raise _DamagedError(f"{self.path} has format {file_format}: this release reads {FORMAT}")
            if file_format == 0:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            # Nobody waits until it is on disk: what a power cut takes is made up for.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA journal_size_limit = {VACUUM_BYTES}")
            if file_format == 0:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
            elif (found := connection.execute("PRAGMA quick_check(1)").fetchone()) != ("ok",):
                raise _DamagedError(f"{self.path}: {found[0]}")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _let_go(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _keep_small(self, connection: sqlite3.Connection) -> None:
        def pragma(name: str) -> int:
            return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

        page_bytes = pragma("page_size")
        while (pragma("page_count") - pragma("freelist_count")) * page_bytes > self._max_bytes:
            with connection:
                oldest, newest = connection.execute("SELECT min(ordinal), max(ordinal) FROM generation").fetchone()
                if oldest == newest:
                    break
                connection.execute("DELETE FROM generation WHERE ordinal = ?", (oldest,))
        if pragma("freelist_count") * page_bytes > VACUUM_BYTES:
            # As a script, since a statement that gives no rows would be left after its first page.
            connection.executescript(f"PRAGMA incremental_vacuum({VACUUM_BYTES // page_bytes})")


class _DamagedError(StoreError):
    """It can't be gone on with."""


def _new_revision() -> str:
    return secrets.token_hex(8)


def session_of(generation: Generation) -> int:
    """Names the sequence of serials that a generation is of: version 0 alone has another session at each start."""
    return generation.session_ids[Version.V1][0] << 16 | generation.session_ids[Version.V2][0]


_Row = tuple[int, int | None, int, float, str, bytes, int, bytes | None]


def _missing_rows(
    last: tuple[int, int] | None,
    generation: Generation,
    told: Callable[[], Mapping[int, Told]],
    cause: str,
    story: Story | None,
) -> list[_Row]:
    """The rows of what comes after the last one, up to a generation."""
    session, counts = session_of(generation), generation.stored.table.counts
    facts = Summary(
        counts=counts,
        why=None if story is None else story.why,
        sources=() if story is None else story.sources,
        built_at=generation.built_at,
        vrps_by_anchor=None if generation.upstream else count_by_anchor(generation.stored.facts),
    )
    own = () if story is None else story.steps
    steps = _steps_after(last, generation, own, is_whole=story is not None and not own)
    if not steps:
        row = (session, None, generation.serial, generation.published_at, cause, msgspec.json.encode(facts), 0, None)
        return [row]
    rows: list[_Row] = []
    known = {} if len(steps) <= len(own) else told()
    for step in reversed(steps):  # how much payload there was is known at the end
        is_own = any(step is each for each in own)
        at = Told(generation.published_at, cause) if is_own else known.get(step.from_serial)
        if at is None:
            break
        facts = msgspec.structs.replace(facts, **counts_by_action(step.delta))
        octets = _octets(step, story if is_own else None, is_last=not rows)
        rows.append(
            (
                session,
                step.from_serial,
                next_serial(step.from_serial),
                *at,
                msgspec.json.encode(facts),
                len(step.delta),
                zstandard.compress(octets),
            )
        )
        counts = _counts_before(counts, step.delta)
        facts = Summary(counts)
    return rows[::-1]


def _steps_after(
    last: tuple[int, int] | None, generation: Generation, own: tuple[Step, ...], *, is_whole: bool
) -> tuple[Step, ...]:
    """The steps that lead from the last row to a generation; where none do, those of its own commit.

    An archive that is begun takes what there is, but for what another pyRTR told of before it was followed: when that
    came to be is not known.
    """
    retained = generation.history.steps
    if is_whole or (own and own[-1] not in retained[-1:]):
        return own
    if last is None:
        return own if generation.upstream else retained
    for place, step in enumerate(retained):
        if last == (session_of(generation), step.from_serial):
            return retained[place:]
    return own


def _octets(step: Step, story: Story | None, *, is_last: bool) -> bytes:
    if story is None:
        return encode_delta(step.delta, None)
    if story.delta is not None and is_last:
        return story.delta.read_bytes()
    return encode_delta(step.delta, None if story.by is None else all_by(step.delta, story.by))


def _counts_before(counts: Mapping[str, int], delta: Delta) -> dict[str, int]:
    """How much payload there was before a delta, by kind."""
    changes = count_changes(delta)
    return {kind: count - changes["announce", kind] + changes["withdraw", kind] for kind, count in counts.items()}
