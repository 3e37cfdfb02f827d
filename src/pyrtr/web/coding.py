"""Content codings of answers (RFC 9110 §8.4): which one a client takes, and a stream of one, a piece at a time."""

from __future__ import annotations

import re
import zlib
from enum import StrEnum

import zstandard

# Faster than any link that is slower than loopback; the next levels take twice as long for a tenth less.
_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS
_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


class Coding(StrEnum):
    """How the octets of an answer are coded. What stands first is taken where a client likes several equally."""

    ZSTD = "zstd"
    GZIP = "gzip"
    IDENTITY = "identity"


def accepted(header: str) -> Coding:
    """The coding that an Accept-Encoding likes best (RFC 9110 §12.5.3); an answer in none is always taken."""
    weights: dict[str, float] = {}
    for entry in header.lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        match = _WEIGHT.fullmatch(parameters[0]) if parameters else None
        weights[name] = float(match[1]) if match else 1.0 if not parameters else 0.0
    others = weights.get("*", 0.0)
    coded = max((Coding.ZSTD, Coding.GZIP), key=lambda coding: weights.get(coding, others))
    weight = weights.get(coded, others)
    return coded if weight > 0 and weight >= weights.get(Coding.IDENTITY, 0.0) else Coding.IDENTITY


class Encoder:
    """One stream, of which each piece can be decoded when it comes.

    It is a single member of gzip, and a single frame of zstd: many clients take no more, though more are allowed.
    """

    def __init__(self, coding: Coding) -> None:
        self._zstd = zstandard.ZstdCompressor(_LEVEL).compressobj() if coding is Coding.ZSTD else None
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP) if coding is Coding.GZIP else None

    def encode(self, octets: bytes, *, is_last: bool) -> bytes:
        """The next piece."""
        if self._zstd is not None:
            mode = zstandard.COMPRESSOBJ_FLUSH_FINISH if is_last else zstandard.COMPRESSOBJ_FLUSH_BLOCK
            return self._zstd.compress(octets) + self._zstd.flush(mode)
        if self._gzip is not None:
            return self._gzip.compress(octets) + self._gzip.flush(zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH)
        return octets
