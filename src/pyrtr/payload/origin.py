"""Route origin validation against a table (RFC 6811), and the VRPs of prefixes that it needs.

Rows are sorted by address first, so the VRPs of a prefix are found by binary search: those within it are neighbours,
and each of those around it begins at one of the addresses that the prefix has when it is cut to a shorter length.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

import numpy as np
from numpy.typing import NDArray

from pyrtr.payload.order import Rows, octets
from pyrtr.payload.table import PayloadTable

Network = IPv4Network | IPv6Network
# No row of an address is lower than the one, and all are lower than the other: no max length is 255.
_FIRST, _LAST = bytes(6), b"\xff" * 6
Places = NDArray[np.int64]
"""Indexes of rows, ascending."""


class Match(StrEnum):
    """How VRPs relate to a prefix."""

    EXACT = "exact"
    COVERING = "covering"
    COVERED = "covered"


class Validity(StrEnum):
    """The validation state of a route (RFC 6811 §2)."""

    VALID = "valid"
    INVALID = "invalid"
    NOT_FOUND = "not-found"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a table says of a route, and the VRPs that say so: all that cover its prefix (RFC 6811 §2).

    Attributes:
        matched: those whose max length allows its prefix, and whose ASN is its origin.
        unmatched_as: those whose max length allows its prefix, of other ASNs; of AS 0 always.
        unmatched_length: those whose max length does not allow its prefix, of any ASN.
    """

    matched: Places
    unmatched_as: Places
    unmatched_length: Places

    @property
    def validity(self) -> Validity:
        """The validation state."""
        if len(self.matched):
            return Validity.VALID
        return Validity.INVALID if len(self.unmatched_as) or len(self.unmatched_length) else Validity.NOT_FOUND


def rows_for(table: PayloadTable, prefix: Network) -> Rows:
    """The VRPs of a prefix' address family."""
    return table.ipv4 if prefix.version == 4 else table.ipv6


def search(rows: Rows, prefix: Network, match: Match) -> Places:
    """The VRPs of the prefix' own address family that relate to it so; each prefix covers itself, and is covered so."""
    match match:
        case Match.EXACT:
            start, stop = _between(rows, prefix.network_address.packed, prefix.network_address.packed)
            return start + np.flatnonzero(octets(rows)[start:stop, -5] == prefix.prefixlen)
        case Match.COVERED:
            start, stop = _between(rows, prefix.network_address.packed, prefix.broadcast_address.packed)
            return start + np.flatnonzero(octets(rows)[start:stop, -5] >= prefix.prefixlen)
        case Match.COVERING:
            return _covering(rows, prefix)


def validate(rows: Rows, prefix: Network, asn: int) -> Verdict:
    """Validate a route, against the VRPs of its prefix' address family (RFC 6811 §2).

    Args:
        rows: see `rows_for`.
        prefix: of the route.
        asn: its origin.
    """
    places = _covering(rows, prefix)
    matrix = octets(rows)[places]
    # RFC 6811 §2: "No Route can be matched by a VRP whose AS number is zero"
    is_origin = (matrix[:, -4:] == np.frombuffer(asn.to_bytes(4), np.uint8)).all(axis=1) & (asn != 0)
    is_allowed = matrix[:, -6] >= prefix.prefixlen
    return Verdict(places[is_allowed & is_origin], places[is_allowed & ~is_origin], places[~is_allowed])


def span(rows: Rows, prefix: Network) -> int:
    """How many VRPs `validate` has to look at: those that begin at an address where one around the prefix could."""
    bounds, _ = _around(rows, prefix)
    return int((bounds[1::2] - bounds[::2]).sum())


def _covering(rows: Rows, prefix: Network) -> Places:
    """VRPs whose prefix is this one, or lies around it."""
    bounds, longest = _around(rows, prefix)
    starts, counts = bounds[::2], bounds[1::2] - bounds[::2]
    ends = counts.cumsum()
    places = np.arange(ends[-1]) + np.repeat(starts - ends + counts, counts)
    is_around = octets(rows)[places, -5] <= np.repeat(longest, counts)
    return np.compress(is_around, places)


def _around(rows: Rows, prefix: Network) -> tuple[Places, list[int]]:
    """Where the rows of each address begin and end that this prefix has when it is cut to some length, ascending.

    Beside them the longest prefix length that leaves that address: a longer prefix there is not around this one. A
    shorter one can't be, since the bits of a prefix beyond its length are 0.
    """
    address, bits = int(prefix.network_address), prefix.max_prefixlen
    size = bits // 8
    cut, addresses, longest = 0, [bytes(size)], []
    for place, digit in enumerate(f"{address:0{bits}b}"[: prefix.prefixlen]):
        if digit == "1":
            longest.append(place)
            cut |= 1 << (bits - 1 - place)
            addresses.append(cut.to_bytes(size))
    longest.append(prefix.prefixlen)
    ends = b"".join(address + last for address in addresses for last in (_FIRST, _LAST))
    return np.searchsorted(rows, np.frombuffer(ends, rows.dtype)), longest


def _between(rows: Rows, first: bytes, last: bytes) -> tuple[int, int]:
    """Where the rows from one address to another begin and end."""
    start, stop = np.searchsorted(rows, np.frombuffer(first + _FIRST + last + _LAST, rows.dtype)).tolist()
    return start, stop
