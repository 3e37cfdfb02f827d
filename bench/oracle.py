"""What a response must hold: its VRPs, sorted and packed by code that shares nothing with pyRTR's, and their digest.

A VRP is a row of big-endian columns: address, prefix length, maximum length, ASN. Responses come as PDUs of any order.
"""

from __future__ import annotations

import hashlib
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

IPV4_PREFIX, IPV6_PREFIX = 4, 6
ANNOUNCE = 1

_LENGTH = struct.Struct("!4xI")
_HALVES = struct.Struct("!QQ")
_FAMILIES = {
    IPV4_PREFIX: np.dtype([("head", "V8"), ("flags", "u1"), ("lengths", ">u2"), ("zero", "u1"), ("address", ">u4"),
                           ("asn", ">u4")]),
    IPV6_PREFIX: np.dtype([("head", "V8"), ("flags", "u1"), ("lengths", ">u2"), ("zero", "u1"), ("address", ">u8"),
                           ("low", ">u8"), ("asn", ">u4")]),
}  # fmt: skip
Columns = tuple[npt.NDArray[np.uint64], ...]


class Roa(msgspec.Struct, gc=False):
    """One entry of a source, as a validator writes it."""

    prefix: str
    asn: int
    maxLength: int  # noqa: N815 - the member's name


class Document(msgspec.Struct, gc=False):
    """What is looked at of a source."""

    roas: list[Roa]


@dataclass(frozen=True, slots=True)
class Digest:
    """How many VRPs, and the SHA-256 of their sorted rows."""

    vrp_count: int
    sha256: str


def of_source(path: Path) -> Digest:
    """What a router has to hold of a file."""
    ipv4, ipv6 = [], []
    for roa in read_roas(path):
        address, _, length = roa.prefix.partition("/")
        lengths = int(length) << 8 | roa.maxLength
        if ":" in address:
            high, low = _HALVES.unpack(socket.inet_pton(socket.AF_INET6, address))
            ipv6.append((high, low, lengths, roa.asn))
        else:
            ipv4.append((int.from_bytes(socket.inet_aton(address)), lengths, roa.asn))
    return _digest([_columns(ipv4, 3), _columns(ipv6, 4)])


def read_roas(path: Path) -> list[Roa]:
    """The VRPs of a file."""
    return msgspec.json.decode(path.read_bytes(), type=Document).roas


def of_response(body: memoryview) -> tuple[Digest, int]:
    """What a router holds that has read a full response, and how many payload PDUs it was.

    Raises:
        ValueError: a VRP is withdrawn, or announced twice.
    """
    octets = np.frombuffer(body, np.uint8)
    starts = _starts(body)
    kinds = octets[starts + 1]
    families = []
    for kind, layout in _FAMILIES.items():
        places = starts[kinds == kind][:, None] + np.arange(layout.itemsize)
        pdus = np.ascontiguousarray(octets[places]).view(layout)[:, 0]
        if np.any(pdus["flags"] != ANNOUNCE):
            raise ValueError("a full response withdraws something")
        names = [name for name in ("address", "low", "lengths", "asn") if name in (layout.names or ())]
        families.append(tuple(pdus[name].astype(np.uint64) for name in names))
    return _digest(families), len(starts) - 2


def _starts(body: memoryview) -> npt.NDArray[np.int64]:
    """Where each PDU starts."""
    starts = []
    offset, end = 0, len(body)
    read = _LENGTH.unpack_from
    while offset < end:
        starts.append(offset)
        offset += read(body, offset)[0]
    return np.array(starts, np.int64)


def _columns(rows: Iterable[tuple[int, ...]], width: int) -> Columns:
    table = np.array(list(rows), np.uint64).reshape(-1, width)
    return tuple(table.T)


def _digest(families: list[Any]) -> Digest:
    sha256 = hashlib.sha256()
    count = 0
    for columns in families:
        order = np.lexsort(columns[::-1])
        rows = np.stack([column[order] for column in columns], axis=1)
        if len(rows) > 1 and np.any(np.all(rows[1:] == rows[:-1], axis=1)):
            raise ValueError("a VRP comes twice")
        count += len(rows)
        sha256.update(rows.astype(">u8").tobytes())
    return Digest(count, sha256.hexdigest())
