"""Compressed octets into plain ones: bounded at every step, and whole, or refused.

A few kilobytes can become gigabytes, so what a decoder makes is taken in steps and counted. gzip members (RFC 1952),
Zstandard frames (RFC 8878) and xz streams may follow one another; Brotli (RFC 7932) is one stream.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import brotli
import zstandard

from pyrtr.errors import SourceError

# What is made at once.
STEP_BYTES = 2**20
# zstandard gives all that its input makes at once, at most 128 KiB (one block) for 4 octets: 8 MiB for these.
_ZSTD_SLICE_BYTES = 256
# What a decoder may need for itself: twice that of `xz -9`, and what zstandard allows itself.
_XZ_MEMORY_BYTES = 2**27

_ERRORS = (zlib.error, lzma.LZMAError, zstandard.ZstdError, brotli.error)


class Coding(StrEnum):
    """How octets are compressed, by the names of HTTP where it has one."""

    GZIP = "gzip"
    ZSTD = "zstd"
    BROTLI = "br"
    XZ = "xz"


_MAGIC = {b"\x1f\x8b": Coding.GZIP, b"\x28\xb5\x2f\xfd": Coding.ZSTD, b"\xfd7zXZ\0": Coding.XZ}


def coding_of(octets: bytes) -> Coding | None:
    """What the octets say themselves that they are; nothing of this kind begins as JSON does."""
    return next((coding for magic, coding in _MAGIC.items() if octets.startswith(magic)), None)


def decompress(coding: Coding, chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """The plain octets, in pieces of some megabytes at most.

    Raises:
        SourceError: they are corrupt, cut short, followed by anything else, or become more than `max_bytes`.
    """
    decoder = _DECODERS[coding]()
    size = 0
    try:
        for chunk in chunks:
            for piece in decoder.decode(chunk):
                size += len(piece)
                if size > max_bytes:
                    raise SourceError(f"decompressed it has more than {max_bytes} octets, the most that is read")
                yield piece
    except _ERRORS:
        raise SourceError(f"it is not {coding} data, or damaged, or something follows it") from None
    if not decoder.is_whole:
        raise SourceError(f"its {coding} data is cut short")


class _Decoder(Protocol):
    """Takes octets as they come; `is_whole` once nothing is missing."""

    is_whole: bool

    def decode(self, octets: bytes) -> Iterator[bytes]: ...


Part = TypeVar("Part")


class _Parts(Generic[Part]):
    """Members, frames or streams, one after the other.

    Args:
        begin: makes the decoder of one.
        step: gives what octets become, in pieces, and returns those behind the part's end, None if it did not end.
    """

    def __init__(
        self, begin: Callable[[], Part], step: Callable[[Part, bytes], Generator[bytes, None, bytes | None]]
    ) -> None:
        self.is_whole = False
        self._begin = begin
        self._step = step
        self._part = begin()

    def decode(self, octets: bytes) -> Iterator[bytes]:
        rest: bytes | None = octets
        while rest:
            if self.is_whole:
                self._part = self._begin()
            rest = yield from self._step(self._part, rest)
            self.is_whole = rest is not None


def _gzip(part: zlib._Decompress, octets: bytes) -> Generator[bytes, None, bytes | None]:
    while octets:
        yield part.decompress(octets, STEP_BYTES)
        if part.eof:
            return part.unused_data
        octets = part.unconsumed_tail
    return None


def _zstd(part: zstandard.ZstdDecompressionObj, octets: bytes) -> Generator[bytes, None, bytes | None]:
    for start in range(0, len(octets), _ZSTD_SLICE_BYTES):
        end = start + _ZSTD_SLICE_BYTES
        yield part.decompress(octets[start:end])
        if part.eof:
            return part.unused_data + octets[end:]
    return None


def _xz(part: lzma.LZMADecompressor, octets: bytes) -> Generator[bytes, None, bytes | None]:
    yield part.decompress(octets, STEP_BYTES)
    while not (part.eof or part.needs_input):
        yield part.decompress(b"", STEP_BYTES)
    return part.unused_data if part.eof else None


class _Brotli:
    """One stream; the library itself refuses what follows it."""

    def __init__(self) -> None:
        self.is_whole = False
        self._stream = brotli.Decompressor()

    def decode(self, octets: bytes) -> Iterator[bytes]:
        while piece := self._stream.process(octets, output_buffer_limit=STEP_BYTES):
            yield piece
            octets = b""  # it keeps what it has not used yet
        self.is_whole = self._stream.is_finished()


_DECODERS: dict[Coding, Callable[[], _Decoder]] = {
    Coding.GZIP: lambda: _Parts(lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), _gzip),
    Coding.ZSTD: lambda: _Parts(lambda: zstandard.ZstdDecompressor().decompressobj(), _zstd),
    Coding.XZ: lambda: _Parts(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY_BYTES), _xz),
    Coding.BROTLI: _Brotli,
}
