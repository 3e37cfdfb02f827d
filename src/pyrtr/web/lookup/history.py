"""The history as JSON: generations, changes, and what leads from one serial to another.

A page ends with a cursor: the ordinal of the generation that the next one begins with, and where it is a page of
changes, how many of that one's were told already. A place in a stream adds how many items of its page were.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network

import msgspec
import numpy as np

from pyrtr.errors import DeltaError, StoreError
from pyrtr.logs import printable
from pyrtr.payload.delta import AspaChange, Delta, compose, inverse
from pyrtr.payload.order import Rows, asn_column, octets
from pyrtr.payload.provenance import UNKNOWN, Provenance
from pyrtr.payload.provenance import parts as parts_of
from pyrtr.payload.values import RouterKey
from pyrtr.store.archive_search import LATEST, Kind, Part, Places, Reader, Record, Span, Wanted, matching
from pyrtr.times import iso_time
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.lookup.listing import PIECE_BYTES, PIECE_S, Listing, Section
from pyrtr.web.lookup.messages import ChangesOf, DiffOf, GenerationOf, GenerationsOf
from pyrtr.web.lookup.vrps import prefixes_of

# So many changes are written between two looks at the clock; each takes some 300 octets.
_SLICE = 400
_GENERATIONS = 200
# Composing a million takes a second, for which other questions wait.
MAX_COMPOSED = 1_000_000

_json = msgspec.json.encode
_At = tuple[int, ...]


class _Clock:
    """Tells when a piece is long enough."""

    def __init__(self) -> None:
        self._end = time.perf_counter() + PIECE_S
        self.parts: list[bytes] = []
        self._size = 0

    def write(self, octets: bytes) -> None:
        self.parts.append(octets)
        self._size += len(octets)

    @property
    def is_over(self) -> bool:
        return self._size >= PIECE_BYTES or time.perf_counter() >= self._end

    @property
    def octets(self) -> bytes:
        return b"".join(self.parts)


def _text(value: object) -> str:
    return _json(value).decode()


def _url(url: str, *cursor: int) -> str:
    return f"{url}cursor={'-'.join(map(str, cursor))}"


class Generations:
    """`generations`: a page of them."""

    def __init__(self, reader: Reader, question: GenerationsOf) -> None:
        self._reader = reader
        self._question = question

    def piece(self, at: Sequence[int]) -> tuple[bytes, _At | None]:
        """See `listing.Answer`."""
        question, limit = self._question, self._question.limit
        until, told = at or (*(question.cursor or (LATEST,)), 0)
        wanted = _GENERATIONS if limit is None else min(_GENERATIONS, limit - told)
        records = self._reader.generations(until=until, limit=wanted)
        parts = [b"" if at else b'{"items":[', b"," if told and records else b""]
        parts.append(b",".join(self._item(record) for record in records))
        told += len(records)
        until = records[-1].ordinal - 1 if records else 0
        oldest = self._reader.oldest()
        is_end = len(records) < wanted or oldest is None or oldest.ordinal > until
        if not is_end and told != limit:
            return b"".join(parts), (until, told)
        parts.append(b'],"next":%s}' % _json(None if is_end else _url(question.url, until)))
        return b"".join(parts), None

    def _item(self, record: Record) -> bytes:
        members, fields = generation(record), self._question.fields
        return _json({name: members[name] for name in fields} if fields else members)


def generation(record: Record) -> dict[str, object]:
    """One of them."""
    facts = record.facts
    anchors = facts.vrps_by_anchor
    return {
        "id": record.ordinal,
        "serial": record.serial,
        "from_serial": record.from_serial,
        "time": iso_time(record.published_at),
        "cause": record.cause,
        "why": None if facts.why is None else printable(facts.why),
        "sources": [printable(name) for name in facts.sources],
        "build_time": iso_time(facts.built_at),
        "counts": facts.counts,
        "vrps_by_ta": None if anchors is None else {printable(name): count for name, count in anchors.items()},
        "announced": facts.announced,
        "withdrawn": facts.withdrawn,
        "replaced": facts.replaced,
        "has_changes": record.has_changes,
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What matches in one generation."""

    record: Record
    delta: Delta
    provenance: Provenance | None
    parts: list[Part]

    def __len__(self) -> int:
        return sum(len(part.places) for part in self.parts)

    def items(self, start: int, stop: int) -> Iterator[str]:
        """Some of the changes as JSON."""
        return _items(self.delta, self.parts, start, stop, _Told(self.record, self.provenance))


class _Changes:
    """Changes, newest first, between a head and a tail."""

    def __init__(self, reader: Reader, wanted: Wanted, *, limit: int | None, url: str) -> None:
        self._reader = reader
        self._wanted = wanted
        self._limit = limit
        self._url = url
        self._last: _Found | None = None

    def write(self, clock: _Clock, span: Span, offset: int, told: int) -> tuple[_At | None, str | None]:
        """Write what there is in a span; returns the place where that goes on, and at the end, the next page."""
        first = span.until
        oldest = self._reader.oldest(has_changes=True)
        with contextlib.closing(self._found(span)) as generations:
            for found in generations:
                ordinal = found.record.ordinal
                start, stop = offset if ordinal == first else 0, len(found)
                while start < stop and told != self._limit and not clock.is_over:
                    end = min(stop, start + _SLICE, *(() if self._limit is None else (start + self._limit - told,)))
                    clock.write((("," if told else "") + ",".join(found.items(start, end))).encode())
                    told, start = told + end - start, end
                after = (ordinal, start) if start < stop else (ordinal - 1, 0)
                if told == self._limit:
                    has_more = oldest is not None and after[0] >= max(oldest.ordinal, span.after + 1)
                    return None, _url(self._url, *after) if has_more else None
                if start < stop or clock.is_over:
                    return (*after, told), None
        return None, None

    def _found(self, span: Span) -> Generator[_Found, None, None]:
        last = self._last
        if last is not None and last.record.ordinal == span.until:  # a page, or a piece, goes on within it
            yield last
            span = Span(span.after, span.until - 1, span.since_time, span.until_time)
        with contextlib.closing(self._reader.changes(span)) as generations:
            for record, delta, provenance in generations:
                self._last = _Found(record, delta, provenance, matching(delta, self._wanted))
                yield self._last


class Changes:
    """`changes`: a page of them."""

    def __init__(self, reader: Reader, question: ChangesOf) -> None:
        wanted = Wanted(
            prefix=ip_network(question.prefix) if question.prefix else None,
            relation=question.relation,
            asn=question.asn,
            kind=question.kind,
        )
        self._reader = reader
        self._question = question
        self._changes = _Changes(reader, wanted, limit=question.limit, url=question.url)

    def piece(self, at: Sequence[int]) -> tuple[bytes, _At | None]:
        """See `listing.Answer`."""
        question = self._question
        until, offset, told = at or (*(question.cursor or (LATEST, 0)), 0)
        span = Span(
            after=0 if question.since is None else _by_serial(self._reader, question.since, "since").ordinal,
            until=until
            if question.until is None
            else min(until, _by_serial(self._reader, question.until, "until").ordinal),
            since_time=question.since_time,
            until_time=question.until_time,
        )
        clock = _Clock()
        clock.write(b"" if at else b'{"items":[')
        place, url = self._changes.write(clock, span, offset, told)
        if place is None:
            oldest = self._reader.oldest()
            end = {"next": url, "reaches_back_to": None if oldest is None else iso_time(oldest.published_at)}
            clock.write(b"]," + _json(end)[1:])
        return clock.octets, place


class Generation:
    """`generations/{serial}`: one of them, and a page of its changes."""

    def __init__(self, reader: Reader, question: GenerationOf) -> None:
        self._reader = reader
        self._question = question
        self._changes = _Changes(reader, Wanted(), limit=question.limit, url=question.url)

    def piece(self, at: Sequence[int]) -> tuple[bytes, _At | None]:
        """See `listing.Answer`."""
        clock = _Clock()
        if at:
            ordinal, offset, told = at
        else:
            record = _by_serial(self._reader, self._question.serial, None)
            ordinal, offset, told = *(self._question.cursor or (record.ordinal, 0)), 0
            clock.write(b'{"generation":%s,"changes":[' % _json(generation(record)))
        place, url = self._changes.write(clock, Span(ordinal - 1, ordinal), offset, told)
        if place is not None and place[0] == ordinal:
            return clock.octets, place
        clock.write(b'],"next":%s}' % _json(url))
        return clock.octets, None


class Diff:
    """`diff`: what leads from one serial to another, as a whole."""

    def __init__(self, reader: Reader, question: DiffOf) -> None:
        self._reader = reader
        self._question = question
        self._between = (0, 0)
        self._until = self._count = 0
        self._deltas: list[Delta] = []
        self._listing: Listing | None = None

    def piece(self, at: Sequence[int]) -> tuple[bytes, _At | None]:
        """See `listing.Answer`. The place is how many deltas were read, and then what `Listing` makes of it."""
        question, clock = self._question, _Clock()
        if not at or self._between == (0, 0):
            self._begin()
        if not at:
            clock.write(b'{"from":%d,"to":%d,' % (question.first, question.last))
        if self._listing is None:
            self._read(clock if len(at) < 2 else None)
            if self._listing is None:
                return clock.octets, (len(self._deltas),)
        octets, place = self._listing.piece(at if len(at) > 1 else ())
        clock.write(octets)
        return clock.octets, place

    def _begin(self) -> None:
        """Find out which generations are between the two, unless that is known.

        Raises:
            ProblemError: one of them is not there, or what is between can't be told, or is too much.
        """
        question = self._question
        first = _by_serial(self._reader, question.first, "from")
        last = _by_serial(self._reader, question.last, "to")
        older, newer = sorted((first, last), key=lambda record: record.ordinal)
        chain = self._reader.chain(older, newer)
        what = f"what changed between serial {older.serial} and {newer.serial}"
        if chain is None:
            raise ProblemError(404, f"{what} is not in the history: a new session began, or a delta is missing", "from")
        if (count := sum(record.change_count for record in chain)) > MAX_COMPOSED:
            text = f"{what} is {count} changes: at most {MAX_COMPOSED} are composed, ask for a shorter way"
            raise ProblemError(400, text, "from")
        if self._between != (first.ordinal, last.ordinal):
            self._between, self._deltas, self._listing = (first.ordinal, last.ordinal), [], None
            self._until, self._count = newer.ordinal, len(chain)

    def _read(self, clock: _Clock | None) -> None:
        """Read deltas, newest first, until the clock says so, and compose them when all are there.

        Raises:
            StoreError: some are gone since, or do not follow from one another.
        """
        older, newer = sorted(self._between)
        if self._until > older:
            with contextlib.closing(self._reader.changes(Span(older, self._until))) as generations:
                for record, delta, _ in generations:
                    self._deltas.append(delta)
                    self._until = record.ordinal - 1
                    if clock is not None and clock.is_over:
                        return
        try:
            delta = compose(self._deltas[::-1])
        except DeltaError as error:
            raise StoreError(f"the history is damaged: {error}") from error
        if len(self._deltas) != self._count:
            raise StoreError("some of what changed is not in the history any more")
        self._deltas = []
        self._listing = _net(delta if self._between == (older, newer) else inverse(delta))


def _net(delta: Delta) -> Listing:
    """What comes, what goes, and what is exchanged, as members of an object."""
    was_there = np.array([bool(change.old_provider_asns) for change in delta.aspas], np.bool_)
    is_there = np.array([bool(change.new_provider_asns) for change in delta.aspas], np.bool_)
    aspas = {"announce": ~was_there, "withdraw": ~is_there, "replace": was_there & is_there}
    sizes = parts_of(delta)
    members = {
        "announced": ("announce", "ipv4_announce", "ipv6_announce", "router_keys_announce"),
        "withdrawn": ("withdraw", "ipv4_withdraw", "ipv6_withdraw", "router_keys_withdraw"),
        "replaced": ("replace",),
    }
    before = f'"total":{len(delta)}'
    sections = []
    for member, (action, *names) in members.items():
        found = [
            *(Part(name, np.arange(sizes[name])) for name in names),
            Part("aspas", np.flatnonzero(aspas[action])),
        ]
        size = sum(len(part.places) for part in found)
        sections.append(Section(f'{before},"{member}":['.encode(), 0, size, partial(_write_some, delta, found)))
        before = "]"
    return Listing(tuple(sections), b"]}")


def _write_some(delta: Delta, found: list[Part], start: int, stop: int) -> tuple[bytes, int]:
    end = min(stop, start + _SLICE)
    return ",".join(_items(delta, found, start, end, _Plain())).encode(), end


class _Plain:
    """What is said of a change beside its payload: what kind that is."""

    def heads(self, _part: str, places: Places, kind: Kind, _action: str) -> list[str]:
        """What stands before the payload of some changes."""
        return [f'"kind":"{kind}",'] * len(places)

    def tails(self, _part: str, places: Places) -> list[str]:
        """What stands after the payload of VRPs."""
        return [""] * len(places)


class _Told(_Plain):
    """And when it came to be, what brought it about, and of which trust anchor it is."""

    def __init__(self, record: Record, provenance: Provenance | None) -> None:
        moment, cause = iso_time(record.published_at), _text(record.cause)
        self._lead = f'"serial":{record.serial},"time":"{moment}","cause":{cause},"action":"'
        self._provenance = provenance
        self._origins = {UNKNOWN: "null"}
        self._anchors = []
        if provenance is not None:
            for code, origin in enumerate(provenance.origins):
                self._origins[code] = _text({"kind": origin.kind, "name": printable(origin.name)})
            self._anchors = [_text(printable(name)) for name in provenance.anchor_names]

    def heads(self, part: str, places: Places, kind: Kind, action: str) -> list[str]:
        """See `_Plain`."""
        lead = f'{self._lead}{action}","kind":"{kind}","by":'
        if self._provenance is None:
            return [f"{lead}null,"] * len(places)
        return [f"{lead}{self._origins[code]}," for code in self._provenance.by[part][places].tolist()]

    def tails(self, part: str, places: Places) -> list[str]:
        """See `_Plain`."""
        if self._provenance is None or part not in self._provenance.anchors:
            return [',"ta":null'] * len(places)
        return [f',"ta":{self._anchors[code]}' for code in self._provenance.anchors[part][places].tolist()]


def _items(delta: Delta, found: list[Part], start: int, stop: int, telling: _Plain) -> Iterator[str]:
    """The changes from one index to another, as JSON."""
    offset = 0
    for part in found:
        places = part.places[max(0, start - offset) : max(0, stop - offset)]
        if len(places):
            yield from _of_part(delta, part.name, places, telling)
        offset += len(part.places)


def _of_part(delta: Delta, name: str, places: Places, telling: _Plain) -> Iterator[str]:
    match name:
        case "ipv4_announce":
            return _vrps(delta.ipv4.announce, name, places, telling)
        case "ipv4_withdraw":
            return _vrps(delta.ipv4.withdraw, name, places, telling)
        case "ipv6_announce":
            return _vrps(delta.ipv6.announce, name, places, telling)
        case "ipv6_withdraw":
            return _vrps(delta.ipv6.withdraw, name, places, telling)
        case "router_keys_announce":
            return _keys(delta.router_keys.announce, name, places, telling)
        case "router_keys_withdraw":
            return _keys(delta.router_keys.withdraw, name, places, telling)
        case _:
            return _aspas(delta.aspas, name, places, telling)


def _vrps(rows: Rows, name: str, places: Places, telling: _Plain) -> Iterator[str]:
    matrix = octets(rows)[places]
    heads, tails = telling.heads(name, places, Kind.VRP, _action_of(name)), telling.tails(name, places)
    columns = prefixes_of(matrix), matrix[:, -6].tolist(), asn_column(rows[places]).tolist()
    for head, tail, prefix, max_length, asn in zip(heads, tails, *columns, strict=True):
        yield f'{{{head}"prefix":"{prefix}","max_length":{max_length},"asn":{asn}{tail}}}'


def _keys(keys: tuple[RouterKey, ...], name: str, places: Places, telling: _Plain) -> Iterator[str]:
    heads = telling.heads(name, places, Kind.ROUTER_KEY, _action_of(name))
    for head, place in zip(heads, places.tolist(), strict=True):
        yield f'{{{head}"asn":{keys[place].asn},"ski":"{keys[place].ski.hex()}"}}'


def _aspas(changes: tuple[AspaChange, ...], name: str, places: Places, telling: _Plain) -> Iterator[str]:
    for index, place in enumerate(places.tolist()):
        change = changes[place]
        old, new = change.old_provider_asns, change.new_provider_asns
        action = "replace" if old and new else "announce" if new else "withdraw"
        (head,) = telling.heads(name, places[index : index + 1], Kind.ASPA, action)
        lists = f'"old_provider_asns":{_text(old)},"new_provider_asns":{_text(new)}'
        yield f'{{{head}"customer_asn":{change.customer_asn},{lists}}}'


def _action_of(name: str) -> str:
    return name.rpartition("_")[2]


def _by_serial(reader: Reader, serial: int, parameter: str | None) -> Record:
    """The newest generation with a serial.

    Raises:
        ProblemError: there is none.
    """
    if (record := reader.by_serial(serial)) is not None:
        return record
    oldest = reader.oldest()
    reach = "is empty" if oldest is None else f"reaches back to {iso_time(oldest.published_at)}"
    raise ProblemError(404, f"serial {serial} is not in the history, which {reach} (HISTORY_DAYS)", parameter)
