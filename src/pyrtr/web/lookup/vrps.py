"""The VRPs of a table as JSON, CSV, and rpki-client's JSON."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network

import msgspec
import numpy as np
from numpy.typing import NDArray

from pyrtr.logs import printable
from pyrtr.payload import origin
from pyrtr.payload.order import IPV4_ROW, IPV6_ROW, Rows, octets
from pyrtr.payload.table import NEVER, Anchors, Times
from pyrtr.store.table_file import StoredTable
from pyrtr.web.lookup.listing import PIECE_BYTES, Listing, Section, end_of_items, head_of_items, one_by_one
from pyrtr.web.lookup.messages import Form, TableName, VrpsOf

# Of a VRP without the name of its trust anchor, at most.
_VRP_BYTES = 150
_END_OF_DATES = 253402300800  # the year 10000, which ISO 8601 has no plain form for
_HEAD_OF_CSV = b"ASN,IP Prefix,Max Length,Trust Anchor,Expires\n"

_json = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Family:
    """The VRPs of one address family that were chosen.

    Attributes:
        rows, expires, anchors: of all of them.
        places: those that were chosen; None for all.
    """

    rows: Rows
    expires: Times
    anchors: Anchors
    places: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.rows) if self.places is None else len(self.places)

    def between(self, start: int, stop: int) -> NDArray[np.int64]:
        """The places of some of them, by their order among the chosen."""
        return np.arange(start, stop) if self.places is None else self.places[start:stop]

    def after(self, row: bytes) -> int:
        """How many of the chosen are not after a row."""
        rows = self.rows if self.places is None else self.rows[self.places]
        return int(np.searchsorted(rows, np.frombuffer(row, self.rows.dtype), "right")[0])


def listing(table_of: Callable[[TableName], StoredTable], question: VrpsOf) -> Listing:
    """The answer."""
    stored = table_of(question.table)
    families = _families(stored, question)
    style = _STYLES[question.form]
    anchors = [style.anchor(name) for name in stored.facts.anchors]
    total = sum(map(len, families))
    start = _start(families, question.after)
    stop = total if question.limit is None else min(total, start + question.limit)
    size = max(1, PIECE_BYTES // (_VRP_BYTES + max(map(len, anchors), default=0)))

    def render(first: int, end: int) -> tuple[bytes, int]:
        ipv4 = len(families[0])
        family, offset, bound = (families[0], 0, ipv4) if first < ipv4 else (families[1], ipv4, total)
        last = min(end, bound, first + size)
        places = family.between(first - offset, last - offset)
        lines = style.write(_Vrps(family, places, anchors))
        return style.separator.join(lines).encode(), last

    match question.form:
        case Form.JSON:
            url = _next(families, question.url, stop) if start < stop < total else None
            head = head_of_items(question.head, total)
            return Listing((Section(head, start, stop, render),), end_of_items(url))
        case Form.CSV:
            return Listing((Section(_HEAD_OF_CSV, start, stop, render, b""),), b"")
        case Form.RPKI_CLIENT:
            head = b'{"metadata":' + question.head + b',"roas":['
            return Listing((Section(head, start, stop, render), *_others(stored)), b"]}")


def _families(stored: StoredTable, question: VrpsOf) -> list[Family]:
    table, facts = stored.table, stored.facts
    families = [
        Family(table.ipv4, facts.ipv4_expires, facts.ipv4_anchors),
        Family(table.ipv6, facts.ipv6_expires, facts.ipv6_anchors),
    ]
    return [_filtered(family, question, facts.anchors) for family in families]


def _filtered(family: Family, question: VrpsOf, names: tuple[str, ...]) -> Family:
    """Those that match all that is given."""
    rows, places = family.rows, family.places
    if question.prefix:
        prefix = ip_network(question.prefix)
        is_family = rows.dtype == (IPV4_ROW if prefix.version == 4 else IPV6_ROW)
        places = origin.search(rows, prefix, question.match) if is_family else np.empty(0, np.int64)
    if question.asn is not None:
        asns = octets(rows)[:, -4:] if places is None else octets(rows)[places, -4:]
        is_wanted = (asns == np.frombuffer(question.asn.to_bytes(4), np.uint8)).all(axis=1)
        places = np.flatnonzero(is_wanted) if places is None else places[is_wanted]
    if question.anchor is not None:
        code = names.index(question.anchor) if question.anchor in names else len(names)
        anchors = family.anchors if places is None else family.anchors[places]
        places = np.flatnonzero(anchors == code) if places is None else places[anchors == code]
    return Family(rows, family.expires, family.anchors, places)


def _start(families: list[Family], after: bytes) -> int:
    """Where a page begins: after a row, which may be gone meanwhile."""
    if not after:
        return 0
    if len(after) == IPV4_ROW.itemsize:
        return families[0].after(after)
    return len(families[0]) + families[1].after(after)


def _next(families: list[Family], url: str, stop: int) -> str:
    """The page after this one: its cursor is the last row of this one."""
    ipv4 = len(families[0])
    family, index = (families[0], stop - 1) if stop <= ipv4 else (families[1], stop - 1 - ipv4)
    (place,) = family.between(index, index + 1).tolist()
    return f"{url}cursor={octets(family.rows)[place].tobytes().hex()}"


@dataclass(frozen=True, slots=True)
class _Vrps:
    """Some VRPs, to be written."""

    family: Family
    places: NDArray[np.int64]
    names: list[str]

    @property
    def prefixes(self) -> list[str]:
        return prefixes_of(octets(self.family.rows)[self.places])

    @property
    def max_lengths(self) -> list[int]:
        lengths: list[int] = octets(self.family.rows)[self.places, -6].tolist()
        return lengths

    @property
    def asns(self) -> list[int]:
        asns: list[int] = octets(self.family.rows)[self.places, -4:].copy().view(">u4").reshape(-1).tolist()
        return asns

    @property
    def anchors(self) -> list[str]:
        return [self.names[code] for code in self.family.anchors[self.places].tolist()]

    @property
    def expires(self) -> list[int]:
        times: list[int] = self.family.expires[self.places].tolist()
        return times

    @property
    def dates(self) -> list[str]:
        return dates(self.family.expires[self.places])


def prefixes_of(matrix: NDArray[np.uint8]) -> list[str]:
    """The prefixes of VRPs of one address family, each a row of octets (see `payload.order`), as text."""
    lengths = matrix[:, -5].tolist()
    if matrix.shape[1] == IPV4_ROW.itemsize:
        return [f"{a}.{b}.{c}.{d}/{n}" for (a, b, c, d), n in zip(matrix[:, :4].tolist(), lengths, strict=True)]
    data = matrix[:, :16].tobytes()
    starts = range(0, len(data), 16)
    return [
        f"{socket.inet_ntop(socket.AF_INET6, data[start : start + 16])}/{n}"
        for start, n in zip(starts, lengths, strict=True)
    ]


def dates(times: Times) -> list[str]:
    """Times as JSON: ISO 8601, or null for never, and for what is no date."""
    is_date = times < _END_OF_DATES
    texts = np.datetime_as_string(np.where(is_date, times, 0).astype("M8[s]"), unit="ms").tolist()
    return [f'"{text}Z"' if flag else "null" for text, flag in zip(texts, is_date.tolist(), strict=True)]


def _in_json(vrps: _Vrps) -> list[str]:
    return [
        f'{{"prefix":"{prefix}","max_length":{max_length},"asn":{asn},"ta":{anchor},"expires":{date}}}'
        for prefix, max_length, asn, anchor, date in zip(
            vrps.prefixes, vrps.max_lengths, vrps.asns, vrps.anchors, vrps.dates, strict=True
        )
    ]


def _in_csv(vrps: _Vrps) -> list[str]:
    return [
        f"AS{asn},{prefix},{max_length},{anchor},{'' if time == NEVER else time}\n"
        for asn, prefix, max_length, anchor, time in zip(
            vrps.asns, vrps.prefixes, vrps.max_lengths, vrps.anchors, vrps.expires, strict=True
        )
    ]


def _for_caches(vrps: _Vrps) -> list[str]:
    return [
        f'{{"asn":{asn},"prefix":"{prefix}","maxLength":{max_length},"ta":{anchor}{_expires(time)}}}'
        for asn, prefix, max_length, anchor, time in zip(
            vrps.asns, vrps.prefixes, vrps.max_lengths, vrps.anchors, vrps.expires, strict=True
        )
    ]


def _expires(time: int) -> str:
    return "" if time == NEVER else f',"expires":{time}'


def _quoted(text: str) -> str:
    """A field of CSV (RFC 4180 §2)."""
    text = printable(text)
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text


@dataclass(frozen=True, slots=True)
class _Style:
    """How VRPs are written: the name of a trust anchor, which is done once, and all the rest."""

    anchor: Callable[[str], str]
    write: Callable[[_Vrps], list[str]]
    separator: str = ","


_STYLES = {
    Form.JSON: _Style(lambda name: _json(printable(name)).decode(), _in_json),
    Form.CSV: _Style(_quoted, _in_csv, ""),
    Form.RPKI_CLIENT: _Style(lambda name: _json(name).decode(), _for_caches),
}


def _others(stored: StoredTable) -> tuple[Section, Section]:
    """Router keys and ASPAs as rpki-client writes them."""
    keys, aspas, facts = stored.table.router_keys, stored.table.aspas, stored.facts

    def key(index: int) -> bytes:
        value, time = keys[index], int(facts.router_keys_expires[index])
        spki = base64.b64encode(value.spki).decode()
        return f'{{"asn":{value.asn},"ski":"{value.ski.hex().upper()}","pubkey":"{spki}"{_expires(time)}}}'.encode()

    def aspa(index: int) -> bytes:
        value, time = aspas[index], int(facts.aspas_expires[index])
        providers = _json(value.provider_asns).decode()
        return f'{{"customer_asid":{value.customer_asn}{_expires(time)},"providers":{providers}}}'.encode()

    return (
        Section(b'],"bgpsec_keys":[', 0, len(keys), one_by_one(key)),
        Section(b'],"aspas":[', 0, len(aspas), one_by_one(aspa)),
    )
