"""What the archive holds, for those who only read it: generations, their changes, and which of these match a question.

Another process writes it meanwhile. Each call reads what there is at that moment, and lets go of it when it is done.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from pyrtr.errors import StoreError
from pyrtr.payload import origin
from pyrtr.payload.delta import Delta
from pyrtr.payload.order import Rows, asn_column
from pyrtr.payload.origin import Match, Network
from pyrtr.payload.provenance import Provenance
from pyrtr.store.archive import FORMAT, Summary
from pyrtr.store.table_file import decode_delta

# Of a delta that is not compressed: several million changes.
MAX_DELTA_BYTES = 512 << 20
LATEST = 2**62  # a later ordinal than any
END_OF_TIME = 1e18  # and a later moment
_COLUMNS = "ordinal, session, from_serial, serial, published_at, cause, facts, change_count, changes IS NOT NULL"

Places = NDArray[np.int64]


class Kind(StrEnum):
    """Of payload."""

    VRP = "vrp"
    ROUTER_KEY = "router_key"
    ASPA = "aspa"


class Relation(StrEnum):
    """How VRPs relate to a prefix; the last is either of the two before it."""

    EXACT = "exact"
    COVERING = "covering"
    COVERED = "covered"
    RELATED = "related"


_MATCHES = {
    Relation.EXACT: (Match.EXACT,),
    Relation.COVERING: (Match.COVERING,),
    Relation.COVERED: (Match.COVERED,),
    Relation.RELATED: (Match.COVERING, Match.COVERED),
}


@dataclass(frozen=True, slots=True)
class Record:
    """A generation.

    Attributes:
        ordinal, session, from_serial, serial, published_at, cause, facts, change_count: as `archive` has them.
        has_changes: whether they can be told.
    """

    ordinal: int
    session: int
    from_serial: int | None
    serial: int
    published_at: float
    cause: str
    facts: Summary
    change_count: int
    has_changes: bool


@dataclass(frozen=True, slots=True)
class Span:
    """Some of the generations: after one ordinal, up to another, and published between two moments (Unix seconds)."""

    after: int = 0
    until: int = LATEST
    since_time: float = 0.0
    until_time: float = END_OF_TIME


@dataclass(frozen=True, slots=True)
class Wanted:
    """The changes that match all that is given.

    Attributes:
        prefix: VRPs that relate to it so.
        relation: how.
        asn: of VRPs and router keys, or the customer of an ASPA.
        kind: of the payload.
    """

    prefix: Network | None = None
    relation: Relation = Relation.RELATED
    asn: int | None = None
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a delta that some changes match.

    Attributes:
        name: as `payload.provenance.parts` has it.
        places: of those that match, ascending.
    """

    name: str
    places: Places


class Reader:
    """The archive, as far as it is there.

    Args:
        path: its file. If that is set aside, and another begun, the other is read.

    Raises:
        StoreError: from every method, it can't be read, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None

    def oldest(self, *, has_changes: bool = False) -> Record | None:
        """The oldest generation, of all or of those whose changes can be told; None if there is none."""
        which = "WHERE changes IS NOT NULL" if has_changes else ""
        with self._rows(f"SELECT {_COLUMNS} FROM generation {which} ORDER BY ordinal LIMIT 1") as rows:
            return next(map(_record, rows), None)

    def generations(self, *, until: int = LATEST, limit: int) -> list[Record]:
        """Some of them, newest first, from an ordinal on."""
        question = f"SELECT {_COLUMNS} FROM generation WHERE ordinal <= ? ORDER BY ordinal DESC LIMIT ?"
        with self._rows(question, until, limit) as rows:
            return [_record(row) for row in rows]

    def by_serial(self, serial: int) -> Record | None:
        """The newest one with that serial."""
        question = f"SELECT {_COLUMNS} FROM generation WHERE serial = ? ORDER BY ordinal DESC LIMIT 1"
        with self._rows(question, serial) as rows:
            return next(map(_record, rows), None)

    def changes(self, span: Span) -> Generator[tuple[Record, Delta, Provenance | None], None, None]:
        """Generations with changes, newest first, and these. The file is held on to until the last is taken."""
        question = f"""
            SELECT {_COLUMNS}, changes FROM generation WHERE ordinal > ? AND ordinal <= ? AND changes IS NOT NULL
            AND +published_at >= ? AND +published_at <= ? ORDER BY ordinal DESC
        """
        with self._rows(question, span.after, span.until, span.since_time, span.until_time) as rows:
            for *row, octets in rows:
                record = _record(row)
                yield record, *_decoded(octets, f"{self._path}, generation {record.ordinal}")

    def chain(self, first: Record, last: Record) -> list[Record] | None:
        """The generations that lead from one to the other, oldest first; None if not all of them are there."""
        question = f"SELECT {_COLUMNS} FROM generation WHERE ordinal > ? AND ordinal <= ? ORDER BY ordinal"
        with self._rows(question, first.ordinal, last.ordinal) as rows:
            found = [_record(row) for row in rows]
        before = first
        for record in found:
            if (record.session, record.from_serial) != (before.session, before.serial) or not record.has_changes:
                return None
            before = record
        return found

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = self._identity = None

    @contextlib.contextmanager
    def _rows(self, question: str, *values: object) -> Iterator[Iterator[Any]]:
        try:
            connection = self._connected()
            if connection is None:
                yield iter(())
                return
            with contextlib.closing(connection.execute(question, values)) as cursor:
                yield cursor
        except (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.close()
            raise StoreError(f"{self._path} can't be read: {error}") from error

    def _connected(self) -> sqlite3.Connection | None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self.close()
            return None
        except OSError as error:
            raise StoreError(f"{self._path} can't be read: {error.strerror}") from error
        identity = status.st_dev, status.st_ino
        if identity != self._identity:
            self.close()
            connection = sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True, timeout=5.0)
            (file_format,) = connection.execute("PRAGMA user_version").fetchone()
            if file_format == 0:  # it is being made
                connection.close()
                return None
            self._connection, self._identity = connection, identity
            if file_format != FORMAT:
                raise sqlite3.DatabaseError(f"it has format {file_format}, this release reads {FORMAT}")
        return self._connection


def matching(delta: Delta, wanted: Wanted) -> list[Part]:
    """Which changes match, in the order in which they are told: what goes, what comes, and ASPAs."""
    keys = delta.router_keys
    found = [
        Part("ipv4_withdraw", _rows_matching(delta.ipv4.withdraw, 4, wanted)),
        Part("ipv6_withdraw", _rows_matching(delta.ipv6.withdraw, 6, wanted)),
        Part("router_keys_withdraw", _matching([key.asn for key in keys.withdraw], Kind.ROUTER_KEY, wanted)),
        Part("ipv4_announce", _rows_matching(delta.ipv4.announce, 4, wanted)),
        Part("ipv6_announce", _rows_matching(delta.ipv6.announce, 6, wanted)),
        Part("router_keys_announce", _matching([key.asn for key in keys.announce], Kind.ROUTER_KEY, wanted)),
        Part("aspas", _matching([change.customer_asn for change in delta.aspas], Kind.ASPA, wanted)),
    ]
    return [part for part in found if len(part.places)]


def _rows_matching(rows: Rows, ip_version: int, wanted: Wanted) -> Places:
    if wanted.kind not in (None, Kind.VRP) or not len(rows):
        return _NO_PLACES
    places = np.arange(len(rows))
    if wanted.prefix is not None:
        if wanted.prefix.version != ip_version:
            return _NO_PLACES
        found = [origin.search(rows, wanted.prefix, match) for match in _MATCHES[wanted.relation]]
        places = np.unique(np.concatenate(found))
    if wanted.asn is not None:
        places = places[asn_column(rows)[places] == wanted.asn]
    return places


_NO_PLACES = np.empty(0, np.int64)


def _matching(asns: list[int], kind: Kind, wanted: Wanted) -> Places:
    if wanted.kind not in (None, kind) or wanted.prefix is not None:
        return _NO_PLACES
    return np.array([place for place, asn in enumerate(asns) if wanted.asn in (None, asn)], np.int64)


def _record(row: Sequence[Any]) -> Record:
    ordinal, session, from_serial, serial, published_at, cause, facts, change_count, has_changes = row
    known = msgspec.json.decode(facts, type=Summary)
    return Record(ordinal, session, from_serial, serial, published_at, cause, known, change_count, bool(has_changes))


def _decoded(octets: bytes, name: str) -> tuple[Delta, Provenance | None]:
    try:
        if zstandard.frame_content_size(octets) > MAX_DELTA_BYTES:
            raise StoreError(f"{name} is damaged: its size can't be")
        return decode_delta(zstandard.decompress(octets), name)
    except (zstandard.ZstdError, KeyError, ValueError) as error:
        raise StoreError(f"{name} is damaged: {error}") from error
