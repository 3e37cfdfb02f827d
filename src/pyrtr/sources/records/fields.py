"""The spellings of ASNs, key identifiers and keys that validators have written (a tolerant reader).

Each function returns the value or raises `RejectedError` with the reason that dropped records are counted by.
"""

from __future__ import annotations

import base64
import binascii
import re

import numpy as np
from numpy.typing import NDArray

from pyrtr.errors import PyrtrError
from pyrtr.payload.values import MAX_ASN, SKI_BYTES

Octets = NDArray[np.uint8]
Flags = NDArray[np.bool_]

_ASN = re.compile(r"(?:AS)?([0-9]{1,10})", re.IGNORECASE | re.ASCII)
_HEX_SKI = re.compile(r"[0-9A-Fa-f]{40}", re.ASCII)


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
