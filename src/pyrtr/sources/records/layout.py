"""The list of VRPs exactly as rpki-client prints it, read from the octets of the file without an object for each.

    {
            "metadata": { … },
            "roas": [
                    { "asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "arin", "expires": 1795420000 },
                    …
                    { "asn": 64511, "prefix": "2001:db8::/32", "maxLength": 48, "ta": "ripe", "expires": 1795420000 }
            ],
            …

Every octet of the list is looked at: it is fixed text, or belongs to a number or text of plain spelling. One that is
anything else, in any record, leaves the whole document to `records.document`, which reads all JSON. So there is but one
meaning that a list read here can have, and it is the one that `records.document` finds, in more than twice the time and
with twice the memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrtr.sources.records.builder import VrpRecords
from pyrtr.sources.records.fields import Flags, Octets
from pyrtr.sources.records.prefixes import IPV4_NUMBERS, Places, Prefixes, ipv4_columns, ipv6_lines
from pyrtr.threads import both

_LIST = b'\n\t"roas": ['
# A record, and the five commas that end its members.
_ASN = b'\n\t\t{ "asn": '
_PREFIX = b', "prefix": "'
_MAX_LENGTH = b'", "maxLength": '
_ANCHOR = b', "ta": "'
_EXPIRES = b'", "expires": '
_END = b" },"
_COMMAS = 5
_AFTER_LAST = b"\n\t"

MAX_ANCHORS = 16  # there are five in the world
MAX_ANCHOR_BYTES = 16  # two words
MAX_DIGITS = 16  # fit into 64 bits
_CHUNK_BYTES = 2**21  # at a time: what is made of it stays in the processor's cache
_ROOM = bytes(32)  # on both sides of a chunk, so that no text reaches beyond it
_PLAIN = re.compile(rb"[ !#-\[\]-~]*")  # stands for itself in JSON
_WORD = 8  # octets of 64 bits
_ZEROS = np.uint64(0x3030_3030_3030_3030)
_OVER_NINE = np.uint64(0x7676_7676_7676_7676)  # added to an octet it sets the highest bit, if that is over nine
_HIGH_BITS = np.uint64(0x8080_8080_8080_8080)
_LAST_OCTETS = np.array([(2**64 - 1) << 8 * (_WORD - width) & (2**64 - 1) for width in range(_WORD + 1)], np.uint64)

_Chunk = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True)
class Listed:
    """The VRPs of a list that is laid out as above.

    Attributes:
        ipv4, ipv6: those of each address family, in their order, in parts.
        anchors: names of the trust anchors, ascending.
        count: VRPs of both families.
        rest: the document with one record in the place of the list.
        mark: the prefix that this record names, which no document can know.
    """

    ipv4: tuple[VrpRecords, ...]
    ipv6: tuple[VrpRecords, ...]
    anchors: tuple[str, ...]
    count: int
    rest: bytes
    mark: str


class _IrregularError(Exception):
    """Something is not laid out as above."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The records of one chunk, by address family; their trust anchors are indices into `names`."""

    ipv4: VrpRecords
    ipv6: VrpRecords
    names: list[str]

    def families(self, names: list[str]) -> tuple[VrpRecords, VrpRecords]:
        """The same with indices into other `names`, all of its own among them."""
        codes = np.array([names.index(name) for name in self.names], np.uint16)
        ipv4, ipv6 = (replace(family, anchors=codes[family.anchors]) for family in (self.ipv4, self.ipv6))
        return ipv4, ipv6


def read(body: bytes) -> Listed | None:
    """Read the first list of that name in a document, if it is laid out as above.

    Whether it is the document's own list, and whether the document is one, shows in `rest`.
    """
    start = body.find(_LIST) + len(_LIST)
    end = body.find(b"]", start)
    if start < len(_LIST) or end < 0 or not body.endswith(_AFTER_LAST, start, end):
        return None
    try:
        chunks = list(_chunks(body, start, end - len(_AFTER_LAST)))
        _require(bool(chunks))
        # By turns, since those of IPv6 stand last and take longer.
        halves = both(partial(_parts, body, chunks[::2]), partial(_parts, body, chunks[1::2]))
        parts = [part for pair in zip_longest(*halves) for part in pair if part is not None]
        names = sorted({name for part in parts for name in part.names})
        _require(len(names) <= MAX_ANCHORS)
    except _IrregularError:
        return None
    ipv4, ipv6 = zip(*(part.families(names) for part in parts), strict=True)
    mark = os.urandom(16).hex()
    record = f'{{"prefix": "{mark}", "asn": 0}}'
    rest = b"".join((memoryview(body)[:start], record.encode(), memoryview(body)[end:]))
    return Listed(ipv4, ipv6, tuple(names), sum(len(part.asns) for part in (*ipv4, *ipv6)), rest, mark)


def _chunks(body: bytes, start: int, end: int) -> Iterator[_Chunk]:
    """Where chunks of whole records begin and end, and the comma that is missing behind the last record of all."""
    while start < end:
        is_last = start + _CHUNK_BYTES >= end
        stop = end if is_last else body.rfind(b",\n", start, start + _CHUNK_BYTES) + 1
        _require(stop > start)
        yield start, stop, b"," if is_last else b""
        start = stop


def _parts(body: bytes, chunks: list[_Chunk]) -> list[_Part]:
    view = memoryview(body)
    joined = (b"".join((_ROOM, view[start:stop], comma, _ROOM)) for start, stop, comma in chunks)
    return [_part(np.frombuffer(chunk, np.uint8)) for chunk in joined]


def _part(octets: Octets) -> _Part:
    """Read the records of a chunk, which ends with the comma behind the last of them."""
    marks = np.flatnonzero(octets - np.uint8(ord(",")) <= ord("/") - ord(","))  # , - . and /
    commas = np.flatnonzero(octets[marks] == ord(","))
    _require(len(commas) > 0 and len(commas) % _COMMAS == 0)
    commas = np.ascontiguousarray(commas.reshape(-1, _COMMAS).T)
    asn_ends, prefix_ends, max_length_ends, anchor_ends, ends = marks[commas]
    starts = np.concatenate(([len(_ROOM)], ends[:-1] + 1))

    asns = _numbers(octets, _after(_ASN, octets, starts), asn_ends)
    prefix_starts = _after(_PREFIX, octets, asn_ends)
    max_lengths = _numbers(octets, _after(_MAX_LENGTH, octets, prefix_ends - 1), max_length_ends)
    names, anchors = _anchors(octets, _after(_ANCHOR, octets, max_length_ends), anchor_ends - 1)
    expires = _numbers(octets, _after(_EXPIRES, octets, anchor_ends - 1), ends - 2)
    _after(_END, octets, ends - 2)

    has_ipv6 = commas[1] - commas[0] != IPV4_NUMBERS

    def family(is_family: Flags, prefixes: Prefixes) -> VrpRecords:
        is_good = prefixes[2]
        _require(len(is_good) == is_family.sum() and is_good.all())
        return VrpRecords(*prefixes, asns[is_family], max_lengths[is_family], expires[is_family], anchors[is_family])

    ipv4 = np.flatnonzero(~has_ipv6)
    ipv4_ends = [marks[commas[0][ipv4] + 1 + place] for place in range(IPV4_NUMBERS - 1)] + [prefix_ends[ipv4] - 1]
    lines = _lines(octets, prefix_starts[has_ipv6], prefix_ends[has_ipv6] - 1)
    return _Part(
        family(~has_ipv6, ipv4_columns(octets, prefix_starts[ipv4], ipv4_ends)),
        family(has_ipv6, ipv6_lines(lines)),
        names,
    )


def _require(is_regular: bool | np.bool_) -> None:
    if not is_regular:
        raise _IrregularError


def _windows(octets: Octets, kind: str) -> NDArray[Any]:
    """At each place, the octets from there on as one value of that dtype; shares the memory of `octets`."""
    size = np.dtype(kind).itemsize
    return np.ndarray((len(octets) - size + 1,), kind, octets.data, strides=(1,))


def _after(text: bytes, octets: Octets, starts: Places) -> Places:
    """Where `text` ends that has to stand at each of `starts`."""
    word = min(len(text), _WORD)
    kind = "<u8" if word == _WORD else f"S{word}"
    windows = _windows(octets, kind)
    for place in {*range(0, len(text) - word, word), len(text) - word}:  # words are compared faster than long texts
        _require((windows[starts + place] == np.frombuffer(text, kind, 1, place)).all())
    return starts + len(text)


def _numbers(octets: Octets, starts: Places, ends: Places) -> NDArray[np.int64]:
    """The numbers of up to `MAX_DIGITS` digits between `starts` and `ends`, as JSON writes them: no zeros that lead."""
    width = ends - starts
    _require(width.min() >= 1 and width.max() <= MAX_DIGITS)
    _require(not ((octets[starts] == ord("0")) & (width > 1)).any())
    value = _eight_digits(octets, ends, np.minimum(width, _WORD))
    if width.max() > _WORD:
        value += 10**_WORD * _eight_digits(octets, ends - _WORD, np.maximum(width - _WORD, 0))
    return value


def _eight_digits(octets: Octets, ends: Places, width: Places) -> NDArray[np.int64]:
    """The numbers of the `width` digits, 0 to 8, before `ends`; all eight of them at once, as octets of one word.

    In a little-endian word the first digit is the lowest octet. Neighbours are joined to two digits in every second
    octet, these to four, and those to eight.
    """
    digits = (_windows(octets, "<u8")[ends - _WORD] ^ _ZEROS) & _LAST_OCTETS[width]
    _require(not (((digits + _OVER_NINE) | digits) & _HIGH_BITS).any())
    pairs = (digits * 10 + (digits >> 8)) & 0x00FF_00FF_00FF_00FF
    fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF
    eights = (fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF
    return eights.view(np.int64)


def _anchors(octets: Octets, starts: Places, ends: Places) -> tuple[list[str], NDArray[np.uint16]]:
    """The texts between `starts` and `ends`: those that there are, and for each place an index into them."""
    width = ends - starts
    _require(width.min() >= 0 and width.max() <= MAX_ANCHOR_BYTES)
    windows = _windows(octets, "<u8")
    halves = windows[starts], windows[starts + _WORD]
    names: list[str] = []
    codes = np.full(len(starts), MAX_ANCHORS, np.uint16)
    while (is_open := codes == MAX_ANCHORS).any():
        first = int(is_open.argmax())
        text = octets[starts[first] : ends[first]].tobytes()
        _require(_PLAIN.fullmatch(text) is not None and len(names) < MAX_ANCHORS)
        # What follows a shorter text is fixed, so texts of one width are the same where both words are.
        is_same = width == width[first]
        for half in halves:
            is_same &= half == half[first]
        codes[is_same] = len(names)
        names.append(text.decode("ascii"))
    return names, codes


def _lines(octets: Octets, starts: Places, ends: Places) -> bytes:
    """The texts between `starts` and `ends`, a line break behind each."""
    if len(starts) == 0:
        return b""
    sizes = ends - starts + 1
    _require(sizes.min() >= 1)
    line_ends = np.cumsum(sizes)
    lines = octets[np.repeat(starts - (line_ends - sizes), sizes) + np.arange(line_ends[-1])]
    lines[line_ends - 1] = ord("\n")
    return bytes(lines)
