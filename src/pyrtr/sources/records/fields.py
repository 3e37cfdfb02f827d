"""The spellings of ASNs, prefixes, key identifiers and keys that validators have written (a tolerant reader).

Each function returns the value or raises `RejectedError` with the reason that dropped records are counted by. Columns
of prefixes are read by numpy: a million of them cost a second one by one.
"""

from __future__ import annotations

import base64
import binascii
import re
import socket
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pyrtr.errors import PyrtrError
from pyrtr.payload.values import MAX_ASN, SKI_BYTES

Octets = NDArray[np.uint8]
Flags = NDArray[np.bool_]

_ASN = re.compile(r"(?:AS)?([0-9]{1,10})", re.IGNORECASE | re.ASCII)
_HEX_SKI = re.compile(r"[0-9A-Fa-f]{40}", re.ASCII)
_LENGTHS = {str(length): length for length in range(129)}  # strict and fast: no sign, space, or leading zero
_IPV4_PREFIX = b".../\n"
_MALFORMED_LENGTH = 255
_CHUNK = 2**16  # at a time: what a chunk needs stays in the processor's cache, and a million texts need 90 MB more


class RejectedError(PyrtrError):
    """One record can't be used; the message is the reason, a short word for counters."""


def asn(value: int | str) -> int:
    """An ASN written as a number, "64496" or "AS64496" in any case: 0..2^32-1."""
    if isinstance(value, str):
        match = _ASN.fullmatch(value)
        if match is None:
            raise RejectedError("asn")
        value = int(match[1])
    if not 0 <= value <= MAX_ASN:
        raise RejectedError("asn")
    return value


def ski(value: str) -> bytes:
    """A subject key identifier: 40 hexadecimal digits of any case, or base64 of its 20 octets."""
    if _HEX_SKI.fullmatch(value):
        return bytes.fromhex(value)
    octets = _base64(value)
    if octets is None or len(octets) != SKI_BYTES:
        raise RejectedError("ski")
    return octets


def public_key(value: str) -> bytes:
    """A SubjectPublicKeyInfo in base64 or base64url, with or without padding."""
    octets = _base64(value)
    if octets is None:
        raise RejectedError("public_key")
    return octets


def _base64(value: str) -> bytes | None:
    text = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def ipv4_prefixes(texts: Sequence[str]) -> tuple[Octets, Octets, Flags]:
    """Read prefixes such as "192.0.2.0/24".

    Returns:
        Addresses (n x 4 octets), prefix lengths (n, 0..32) and whether each text is well-formed; where it is not, the
        other two mean nothing. Well-formed is the one canonical form: octets and length without leading zeros.
    """
    chunks = [_ipv4_chunk(texts[start : start + _CHUNK]) for start in range(0, max(len(texts), 1), _CHUNK)]
    fields = np.concatenate([fields for fields, _ in chunks])
    return fields[:, :4], fields[:, 4], np.concatenate([is_good for _, is_good in chunks])


def _ipv4_chunk(texts: Sequence[str]) -> tuple[Octets, Flags]:
    """Address and length as five octets a row, and whether the text is well-formed."""
    joined = "\n".join(texts)
    if joined.count("\n") >= max(len(texts), 1):  # a line break inside of a text would look like two of them
        joined = "\n".join(text.replace("\n", "?") for text in texts)
    characters = np.frombuffer((joined + "\n").encode("ascii", "replace"), np.uint8)
    marks = np.flatnonzero(characters < ord("0")).astype(np.int32)  # all separators sort before the digits
    row_ends = np.flatnonzero(characters[marks] == ord("\n"))[: len(texts)]
    is_good = np.diff(row_ends, prepend=-1) == len(_IPV4_PREFIX)
    starts = np.concatenate(([0], marks[row_ends[:-1]] + 1))[: len(texts)]
    first_marks = np.where(is_good, row_ends, len(_IPV4_PREFIX) - 1) - (len(_IPV4_PREFIX) - 1)
    fields = np.empty((len(texts), len(_IPV4_PREFIX)), np.uint8)
    for place, separator in enumerate(_IPV4_PREFIX):
        limit = 32 if separator == ord("\n") else 255
        ends = marks.take(first_marks + place, mode="clip")
        is_good &= characters[ends] == separator
        value, is_number = _decimal(characters, starts, ends)
        is_good &= is_number & (value <= limit)
        fields[:, place] = value
        starts = ends + 1
    return fields, is_good


def _decimal(
    characters: Octets, starts: NDArray[np.int32], ends: NDArray[np.int32]
) -> tuple[NDArray[np.uint16], Flags]:
    """The numbers of one to three digits that stand between `starts` and `ends`, and whether they are such."""
    width = ends - starts
    value = np.zeros(len(ends), np.uint16)
    is_number = (width >= 1) & (width <= 3)
    for place, factor in enumerate((1, 10, 100)):
        is_used = width > place
        digit = np.where(is_used, characters.take(ends - 1 - place, mode="clip") - ord("0"), 0).astype(np.uint16)
        is_number &= digit <= 9
        value += digit * np.uint16(factor)
    has_leading_zero = (width > 1) & (characters.take(starts, mode="clip") == ord("0"))
    return value, is_number & ~has_leading_zero


def ipv6_prefixes(texts: Sequence[str]) -> tuple[Octets, Octets, Flags]:
    """Read prefixes such as "2001:db8::/32": any spelling of the address that inet_pton takes, so no zone ids.

    Returns:
        Addresses (n x 16 octets), prefix lengths (n, 0..128) and whether each text is well-formed, as above.
    """
    addresses = bytearray()
    lengths = bytearray()
    for text in texts:
        address, _, length = text.partition("/")
        try:
            addresses += socket.inet_pton(socket.AF_INET6, address)
            lengths.append(_LENGTHS[length])
        except (OSError, ValueError, KeyError):
            addresses += bytes(16 * (len(lengths) + 1) - len(addresses))
            lengths.append(_MALFORMED_LENGTH)
    prefix_lengths = np.frombuffer(bytes(lengths), np.uint8)
    is_good = prefix_lengths != _MALFORMED_LENGTH
    matrix = np.frombuffer(bytes(addresses), np.uint8).reshape(len(texts), 16)
    return matrix, np.where(is_good, prefix_lengths, 0).astype(np.uint8), is_good
