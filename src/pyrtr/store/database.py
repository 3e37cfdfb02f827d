"""The history in SQLite: where we stand, the retained steps, and every single change of them.

    state       one row: a record in JSON, and its BLAKE2b-256
    generation  a row a step: ordinal, from_serial, serial, published_at (Unix seconds), cause
    change      a row a change: generation, kind (ipv4, ipv6, router_key, aspa), action (announce, withdraw, replace),
                value, old_providers, new_providers

`value` is the packed row of a VRP (see `payload.order`), so that changes can be looked up by prefix; a router key as
MessagePack; or an ASPA's customer ASN, big-endian, with its providers packed likewise. The record of the state names
the table file and each step by digest: what does not fit it is damage.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import sqlite3
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pyrtr.errors import StoreError, UnavailableError
from pyrtr.payload.delta import AspaChange, Delta, KeyChanges, RowChanges
from pyrtr.payload.history import Step
from pyrtr.payload.order import IPV4_ROW, IPV6_ROW, Rows
from pyrtr.payload.serial import next_serial
from pyrtr.payload.values import RouterKey
from pyrtr.sources.base import SourceReport
from pyrtr.store.columns import UNAVAILABLE

FORMAT = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 1), record BLOB NOT NULL, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS generation (
    ordinal INTEGER PRIMARY KEY, from_serial INTEGER NOT NULL, serial INTEGER NOT NULL, published_at REAL NOT NULL,
    cause TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS change (
    generation INTEGER NOT NULL REFERENCES generation, kind TEXT NOT NULL, action TEXT NOT NULL, value BLOB NOT NULL,
    old_providers BLOB, new_providers BLOB
);
CREATE INDEX IF NOT EXISTS change_generation ON change (generation);
CREATE INDEX IF NOT EXISTS change_value ON change (kind, value);
"""

# A whole column as rows, from its octets and the size of a row: a call for each takes twice the time.
_INSERT_VRPS = """
WITH RECURSIVE place (start) AS (SELECT 1 WHERE length(?4) UNION ALL SELECT start + ?5 FROM place
    WHERE start + ?5 <= length(?4))
INSERT INTO change SELECT ?1, ?2, ?3, substr(?4, start, ?5), NULL, NULL FROM place
"""

_FILE_FORMAT = b"\1\1"  # versions to write and to read, of a file without a write-ahead log

_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
}

_ChangeRow = tuple[str, str, bytes, bytes | None, bytes | None]


class Told(NamedTuple):
    """What is said of a step: when it was committed (Unix seconds), and why."""

    published_at: float
    cause: str


class StepRecord(msgspec.Struct, frozen=True):
    """A retained step.

    Attributes:
        ordinal: its row in `generation`.
        from_serial, content: as `payload.history.Step` has them.
        digest: of its delta.
    """

    ordinal: int
    from_serial: int
    digest: bytes
    content: bytes = b""


class ShareRecord(msgspec.Struct, frozen=True):
    """What was accepted last from one location, before it was merged with others and with SLURM.

    Attributes:
        key: names the datasource and the location.
        file, digest: its table file in the state folder, and the digest of that.
        validators: what to look with next time.
        source: what was found there.
        max_age_s: seconds after which the source itself holds it to be stale, if it says so.
    """

    key: str
    file: str
    digest: bytes
    validators: dict[str, str]
    source: SourceReport
    max_age_s: float | None = None


class SlurmRecord(msgspec.Struct, frozen=True):
    """The SLURM files that were accepted last.

    Attributes:
        file, digest: the file in the state folder that holds them, and the digest of that.
        identity: digest of what was found, by which the same files are known again.
        filtered, added: payload that each file removed and added, by its name and by kind.
    """

    file: str
    digest: bytes
    identity: bytes
    filtered: dict[str, dict[str, int]] = {}
    added: dict[str, dict[str, int]] = {}


class StateRecord(msgspec.Struct, frozen=True):
    """Where we stand.

    Attributes:
        format: version of all of this.
        session_ids: for versions 0, 1 and 2, newest first.
        serial: the current one.
        published_at: Unix time at which it came to be.
        built_at: Unix time from which the age of the data is counted.
        is_withdrawn: whether the table is empty because its data was too old.
        table: name of the table file.
        table_digest: BLAKE2b-256 of it.
        metadata: the source's own.
        steps: the retained steps, oldest first.
        shares: what each location that is in use gave last.
        slurm: the SLURM files in force; None without any.
        content: digest of the payload alone (see `table_file.content_digest`).
        next_expiry: Unix seconds at which the table has to be made anew; None for when its first entry ends.
        max_age_s: seconds after which the source itself holds the data to be stale, if it says so.
        upstream: the pyRTR whose sessions and serials these are; empty where they are our own.
        oversized_aspas: ASPAs left out of the table as too large for a PDU.
    """

    format: int
    session_ids: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    serial: int
    published_at: float
    built_at: float
    is_withdrawn: bool
    table: str
    table_digest: bytes
    metadata: dict[str, Any]
    steps: tuple[StepRecord, ...] = ()
    shares: tuple[ShareRecord, ...] = ()
    slurm: SlurmRecord | None = None
    content: bytes = b""
    next_expiry: int | None = None
    max_age_s: float | None = None
    upstream: str = ""
    oversized_aspas: int = 0


class Database:
    """One open history.

    Attributes:
        is_new: whether there was nothing in it at all.

    Raises:
        StoreError: it can't be opened; from every method, it can't be read or written, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = threading.Lock()
        with _translated(str(path)):
            with contextlib.suppress(FileNotFoundError), path.open("rb"):
                pass  # SQLite would not say why it can't
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
            try:
                # A commit is on disk, with the folder's entry of the journal, before a router hears of it.
                self._connection.execute("PRAGMA journal_mode = DELETE")
                self._connection.execute("PRAGMA synchronous = EXTRA")
                self.is_new = not _schema_of(self._connection)
                self._connection.executescript(_SCHEMA)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the file, after what is being written to it on another thread."""
        with self._writing:
            self._connection.close()

    def read(self) -> tuple[StateRecord, tuple[Step, ...]] | None:
        """Where we stood and the steps that lead there, or None if nothing was ever committed."""
        try:
            # The digests below guard the content; this guards the pages and indices that a commit goes on from.
            if self._connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise StoreError(f"{self._path} is damaged")
            with self._path.open("rb") as file:  # SQLite reads a file of a later format, but would never write to it
                if file.read(20)[18:] != _FILE_FORMAT:
                    raise StoreError(f"{self._path} is damaged: its header names another format")
            if _schema_of(self._connection) != _expected_schema():
                raise StoreError(f"{self._path} is damaged, or not ours: it has other tables than it should")
            row = self._connection.execute("SELECT record, digest FROM state").fetchone()
            if row is None:
                if self._connection.execute("SELECT 1 FROM generation").fetchone() is not None:
                    raise StoreError(f"{self._path} is damaged: it has steps, but no record of the state")
                return None
            if _digest([row[0]]) != row[1]:
                raise StoreError(f"{self._path} is damaged: the record of the state does not fit its checksum")
            record = msgspec.json.decode(row[0], type=StateRecord)
            if record.format != FORMAT:
                raise StoreError(f"{self._path} has format {record.format}: this release reads {FORMAT}")
            return record, tuple(self._step(step) for step in record.steps)
        except (sqlite3.Error, OSError, msgspec.MsgspecError, TypeError, ValueError, struct.error) as error:
            _require_available(self._path, error)
            raise StoreError(f"{self._path} is damaged: {error}") from error

    def commit(self, record: StateRecord, steps: Sequence[Step], cause: str) -> None:
        """Write where we stand now, with the last steps that led here, and forget what is not retained.

        Args:
            record: where we stand.
            steps: the last of `record.steps`, which are not stored yet.
            cause: why it came to be, for who reads the history.

        Raises:
            StoreError: as above.
        """
        execute = self._connection.execute
        with self._writing, _translated(f"{self._path} can't be written"):
            execute("BEGIN IMMEDIATE")
            try:
                for step, stored in zip(steps, record.steps[len(record.steps) - len(steps) :], strict=True):
                    serial = next_serial(step.from_serial)
                    generation = (stored.ordinal, step.from_serial, serial, record.published_at, cause)
                    execute("INSERT INTO generation VALUES (?, ?, ?, ?, ?)", generation)
                    for kind, action, vrps in _vrp_columns(step.delta):
                        execute(_INSERT_VRPS, (stored.ordinal, kind, action, vrps.tobytes(), vrps.dtype.itemsize))
                    rows = ((stored.ordinal, *row) for row in _other_rows(step.delta))
                    self._connection.executemany("INSERT INTO change VALUES (?, ?, ?, ?, ?, ?)", rows)
                oldest = record.steps[0].ordinal if record.steps else 2**62
                execute("DELETE FROM change WHERE generation < ?", (oldest,))
                execute("DELETE FROM generation WHERE ordinal < ?", (oldest,))
                encoded = msgspec.json.encode(record)
                execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?)", (encoded, _digest([encoded])))
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                raise

    def told(self) -> dict[int, Told]:
        """When each retained step was committed, and why, by the serial that it leads from."""
        with _translated(str(self._path)):
            rows = self._connection.execute("SELECT from_serial, published_at, cause FROM generation").fetchall()
        return {from_serial: Told(published_at, cause) for from_serial, published_at, cause in rows}

    def _step(self, step: StepRecord) -> Step:
        rows = self._connection.execute(
            "SELECT kind, action, value, old_providers, new_providers FROM change WHERE generation = ? ORDER BY rowid",
            (step.ordinal,),
        ).fetchall()
        if _rows_digest(rows) != step.digest:
            raise StoreError(f"{self._path} is damaged: the step from serial {step.from_serial} does not fit")
        return Step(step.from_serial, _delta_of(rows), step.content)


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # the last where a message quotes what is damaged
        _require_available(what, error)
        raise StoreError(f"{what}: {error}") from error


def _require_available(what: object, error: Exception) -> None:
    """Tell a file that is in use, not ours to read, or that the system has no room to read, from a damaged one.

    Raises:
        UnavailableError: it is the former.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _UNAVAILABLE or (isinstance(error, OSError) and error.errno in UNAVAILABLE):
        raise UnavailableError(f"{what}: {error}") from error


def _schema_of(connection: sqlite3.Connection) -> list[tuple[str, str, str, str]]:
    return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()


@functools.cache
def _expected_schema() -> list[tuple[str, str, str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(_SCHEMA)
        return _schema_of(empty)


def delta_digest(delta: Delta) -> bytes:
    """BLAKE2b-256 of a delta's content."""
    return _rows_digest(_change_rows(delta))


def _rows_digest(rows: Iterable[_ChangeRow]) -> bytes:
    return _digest(map(msgspec.msgpack.encode, rows))


def _digest(parts: Iterable[bytes]) -> bytes:
    state = hashlib.blake2b(digest_size=32)
    for part in parts:
        state.update(part)
    return state.digest()


def _change_rows(delta: Delta) -> Iterator[_ChangeRow]:
    for kind, action, rows in _vrp_columns(delta):
        data, size = rows.tobytes(), rows.dtype.itemsize
        for start in range(0, len(data), size):
            yield kind, action, data[start : start + size], None, None
    yield from _other_rows(delta)


def _vrp_columns(delta: Delta) -> Iterator[tuple[str, str, Rows]]:
    for kind, changes in (("ipv4", delta.ipv4), ("ipv6", delta.ipv6)):
        yield kind, "announce", changes.announce
        yield kind, "withdraw", changes.withdraw


def _other_rows(delta: Delta) -> Iterator[_ChangeRow]:
    for action, keys in (("announce", delta.router_keys.announce), ("withdraw", delta.router_keys.withdraw)):
        for key in keys:
            yield "router_key", action, msgspec.msgpack.encode((key.ski, key.asn, key.spki)), None, None
    for change in delta.aspas:
        old, new = change.old_provider_asns, change.new_provider_asns
        action = "replace" if old and new else "announce" if new else "withdraw"
        yield "aspa", action, change.customer_asn.to_bytes(4), _pack_asns(old), _pack_asns(new)


def _delta_of(change_rows: Iterable[_ChangeRow]) -> Delta:
    values: dict[tuple[str, str], list[bytes]] = {}
    aspas = []
    for kind, action, value, old, new in change_rows:
        if kind == "aspa":
            aspas.append(AspaChange(int.from_bytes(value), _unpack_asns(old), _unpack_asns(new)))
        else:
            values.setdefault((kind, action), []).append(value)

    def rows(kind: str, action: str, row_type: np.dtype[np.bytes_]) -> Rows:
        return np.frombuffer(b"".join(values.get((kind, action), ())), row_type)

    def keys(action: str) -> tuple[RouterKey, ...]:
        found = values.get(("router_key", action), ())
        return tuple(RouterKey(*msgspec.msgpack.decode(value, type=tuple[bytes, int, bytes])) for value in found)

    return Delta(
        RowChanges(rows("ipv4", "announce", IPV4_ROW), rows("ipv4", "withdraw", IPV4_ROW)),
        RowChanges(rows("ipv6", "announce", IPV6_ROW), rows("ipv6", "withdraw", IPV6_ROW)),
        KeyChanges(keys("announce"), keys("withdraw")),
        tuple(aspas),
    )


def _pack_asns(asns: tuple[int, ...]) -> bytes:
    return struct.pack(f"!{len(asns)}I", *asns)


def _unpack_asns(data: bytes | None) -> tuple[int, ...]:
    data = data or b""
    return struct.unpack(f"!{len(data) // 4}I", data)
