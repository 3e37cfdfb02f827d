"""Content codings of answers (RFC 9110 §8.4): which one a client takes, and a stream of one, a piece at a time.

A stream is made of pieces, each compressed on its own, so that whoever compresses the next one needs nothing but the
few numbers of a `Tally`. For gzip (RFC 1952) they are blocks of one deflate stream that end on an octet, for zstd
(RFC 8878 §3.1) frames one after another.
"""

from __future__ import annotations

import re
import zlib
from enum import StrEnum

import msgspec
import zstandard

# Small answers are sent as they are.
MIN_BYTES = 1400
# Faster than any link that is slower than loopback; the next levels take twice as long for a tenth less.
_LEVEL = 1
_GZIP_HEAD = bytes.fromhex("1f8b08000000000004ff")
_LAST_BLOCK = b"\x03\x00"
_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


class Coding(StrEnum):
    """How the octets of an answer are coded. What stands first is taken where a client likes several equally."""

    ZSTD = "zstd"
    GZIP = "gzip"
    IDENTITY = "identity"


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """What of a stream was coded so far: the CRC-32 of its octets, and how many there were."""

    crc: int = 0
    size: int = 0


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


def encode(coding: Coding, octets: bytes, before: Tally, *, is_last: bool) -> tuple[bytes, Tally]:
    """The next piece of a stream, and the tally after it."""
    tally = Tally(zlib.crc32(octets, before.crc), before.size + len(octets))
    match coding:
        case Coding.IDENTITY:
            return octets, tally
        case Coding.ZSTD:
            return zstandard.ZstdCompressor(_LEVEL).compress(octets) if octets else b"", tally
        case Coding.GZIP:
            deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            blocks = deflate.compress(octets) + deflate.flush(zlib.Z_SYNC_FLUSH)
            head = b"" if before.size else _GZIP_HEAD
            end = _LAST_BLOCK + tally.crc.to_bytes(4, "little") + (tally.size % 2**32).to_bytes(4, "little")
            return head + blocks + (end if is_last else b""), tally
