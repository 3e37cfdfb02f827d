"""Columns of prefixes, from text to octets by numpy: a million of them cost a second one by one.

All characters of a column are one array, and `Places` in it say where things begin and end. Reading goes by the n-th
number of all prefixes at once.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pyrtr.sources.records.fields import Flags, Octets

Places = NDArray[np.int64]
Prefixes = tuple[Octets, Octets, Flags]
"""Addresses (n x 4 or n x 16 octets), prefix lengths (n) and whether each text is well-formed; where it is not, the
other two mean nothing."""

IPV4_NUMBERS = 5
_IPV4_LIMITS = (255, 255, 255, 255, 32)
_IPV4_SEPARATORS = b".../"
_IPV6_GROUPS = 8
_IPV6_MIN_GROUPS = 3  # of "2001::" two are empty
_CHUNK = 2**16  # at a time: what a chunk needs stays in the processor's cache, and a million texts need 90 MB more
_LENGTHS = {str(length): length for length in range(129)}  # strict and fast: no sign, space, or leading zero
_NO_DIGIT = 255
_HEXADECIMAL = np.full(256, _NO_DIGIT, np.uint8)
for _digits in (b"0123456789abcdef", b"0123456789ABCDEF"):
    _HEXADECIMAL[list(_digits)] = range(16)


def ipv4_prefixes(texts: Sequence[str]) -> Prefixes:
    """Read prefixes such as "192.0.2.0/24": the one canonical form, octets and length without leading zeros."""
    return _by_chunks(_ipv4_lines, texts)


def ipv6_prefixes(texts: Sequence[str]) -> Prefixes:
    """Read prefixes such as "2001:db8::/32": any spelling of the address that inet_pton takes, so no zone ids."""
    return _by_chunks(ipv6_lines, texts)


def _by_chunks(read: Callable[[bytes], Prefixes], texts: Sequence[str]) -> Prefixes:
    parts = [read(_lines(texts[start : start + _CHUNK])) for start in range(0, max(len(texts), 1), _CHUNK)]
    addresses, lengths, is_good = zip(*parts, strict=True)
    return np.concatenate(addresses), np.concatenate(lengths), np.concatenate(is_good)


def _lines(texts: Sequence[str]) -> bytes:
    """Texts as one, a line break behind each and nowhere else. What is not ASCII is in no prefix."""
    joined = "\n".join((*texts, ""))
    if joined.count("\n") > len(texts):  # a line break inside of a text would look like two of them
        joined = "".join(text.replace("\n", "?") + "\n" for text in texts)
    return joined.encode("ascii", "replace")


def _ipv4_lines(lines: bytes) -> Prefixes:
    characters = np.frombuffer(lines, np.uint8)
    marks = np.flatnonzero(characters < ord("0"))  # all separators sort before the digits
    line_ends = np.flatnonzero(characters[marks] == ord("\n"))
    is_good = np.diff(line_ends, prepend=-1) == IPV4_NUMBERS
    starts = np.concatenate(([0], marks[line_ends[:-1]] + 1))[: len(line_ends)]
    first_marks = np.where(is_good, line_ends, IPV4_NUMBERS - 1) - (IPV4_NUMBERS - 1)
    ends = [marks.take(first_marks + number, mode="clip") for number in range(IPV4_NUMBERS)]
    addresses, lengths, is_prefix = ipv4_columns(characters, starts, ends)
    return addresses, lengths, is_good & is_prefix


def ipv4_columns(characters: Octets, starts: Places, ends: Sequence[Places]) -> Prefixes:
    """Read IPv4 prefixes that stand anywhere among `characters`.

    Args:
        characters: all of them.
        starts: where each prefix begins.
        ends: where each of its five numbers ends. What stands behind the last is not looked at.
    """
    numbers = np.empty((len(starts), IPV4_NUMBERS), np.uint8)
    is_good = np.ones(len(starts), np.bool_)
    for place, separator in enumerate(_IPV4_SEPARATORS):
        is_good &= characters.take(ends[place], mode="clip") == separator
    for place, limit in enumerate(_IPV4_LIMITS):
        value, is_number = decimal(characters, starts, ends[place])
        is_good &= is_number & (value <= limit)
        numbers[:, place] = value
        starts = ends[place] + 1
    return numbers[:, :4], numbers[:, 4], is_good


def decimal(characters: Octets, starts: Places, ends: Places) -> tuple[NDArray[np.uint16], Flags]:
    """The numbers of one to three digits that stand between `starts` and `ends`, and whether they are such."""
    width = ends - starts
    value = np.zeros(len(ends), np.uint16)
    is_number = (width >= 1) & (width <= 3)
    for place, factor in enumerate((1, 10, 100)):
        digit = characters.take(ends - 1 - place, mode="clip") - np.uint8(ord("0"))
        digit *= width > place
        is_number &= digit <= 9
        value += digit * np.uint16(factor)
    has_leading_zero = (width > 1) & (characters.take(starts, mode="clip") == ord("0"))
    return value, is_number & ~has_leading_zero


def ipv6_lines(lines: bytes) -> Prefixes:
    """Read IPv6 prefixes that each end with a line break, as `ipv6_prefixes` does.

    Almost all are read by numpy. inet_pton has the word on what that leaves: an address that begins with "::" or ends
    with dotted octets, and whatever is malformed.
    """
    characters = np.frombuffer(lines, np.uint8)
    marks = np.flatnonzero(_HEXADECIMAL.take(characters) == _NO_DIGIT)
    line_ends = np.flatnonzero(characters[marks] == ord("\n"))
    starts = np.concatenate(([0], marks[line_ends] + 1))
    groups = np.diff(line_ends, prepend=-1) - 1
    addresses = np.zeros((len(groups), 16), np.uint8)
    lengths = np.zeros(len(groups), np.uint8)
    is_good = np.zeros(len(groups), np.bool_)
    plain = np.flatnonzero((groups >= _IPV6_MIN_GROUPS) & (groups <= _IPV6_GROUPS))
    first_marks = line_ends[plain] - groups[plain]
    addresses[plain], lengths[plain], is_good[plain] = _plain_ipv6(
        characters, starts[plain], marks, first_marks, groups[plain]
    )
    for line in np.flatnonzero(~is_good):
        address, _, length = lines[starts[line] : starts[line + 1] - 1].decode("ascii", "replace").partition("/")
        with contextlib.suppress(OSError, ValueError, KeyError):
            addresses[line] = np.frombuffer(socket.inet_pton(socket.AF_INET6, address), np.uint8)
            lengths[line] = _LENGTHS[length]
            is_good[line] = True
    return addresses, lengths, is_good


def _plain_ipv6(characters: Octets, starts: Places, marks: Places, first_marks: Places, groups: Places) -> Prefixes:
    """Read IPv6 prefixes of three to eight groups, of which those beside "::" are empty.

    That is, eight that are not empty; or an empty one between others, which stands for those that are missing; or two
    at the end. Other spellings are taken for malformed.

    Args:
        characters: what they stand in.
        starts: where each begins.
        marks: all characters that are no hexadecimal digits.
        first_marks: index of the first mark of each, which ends its first group. One more is behind its length.
        groups: how many each has.
    """
    addresses = np.zeros((len(groups), _IPV6_GROUPS), ">u2")
    is_good = np.ones(len(groups), np.bool_)
    empty_count = np.zeros(len(groups), np.int64)
    gap = np.full(len(groups), _IPV6_GROUPS)  # the first empty group
    starts = starts.copy()
    for place in range(_IPV6_GROUPS):
        rows = np.flatnonzero(place < groups)
        ends = marks[first_marks[rows] + place]
        width = ends - starts[rows]
        value = np.zeros(len(rows), np.uint16)
        for digit in range(4):
            part = _HEXADECIMAL.take(characters.take(ends - 1 - digit, mode="clip"))
            value |= (part * (width > digit)).astype(np.uint16) << np.uint16(4 * digit)
        is_behind_gap = gap[rows] < place
        addresses[rows, place + is_behind_gap * (_IPV6_GROUPS - groups[rows])] = value
        separator = np.where(place == groups[rows] - 1, np.uint8(ord("/")), np.uint8(ord(":")))
        is_good[rows] &= (width <= 4) & (characters[ends] == separator)
        empty_count[rows] += width == 0
        gap[rows] = np.minimum(gap[rows], np.where(width == 0, place, _IPV6_GROUPS))
        starts[rows] = ends + 1
    is_whole = (empty_count == 0) & (groups == _IPV6_GROUPS)
    has_gap_inside = (empty_count == 1) & (gap > 0) & (gap < groups - 1)
    has_gap_at_end = (empty_count == 2) & (gap > 0) & (gap == groups - 2)
    length, is_length = decimal(characters, starts, marks[first_marks + groups])
    is_good &= (is_whole | has_gap_inside | has_gap_at_end) & is_length & (length <= 128)
    return addresses.view(np.uint8), np.where(is_good, length, 0).astype(np.uint8), is_good
