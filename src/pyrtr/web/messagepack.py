"""MessagePack of what is too large to be built whole: heads of containers, and PDUs as its binary strings.

https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import numpy as np

from pyrtr.wire.framer import HEADER_BYTES

CHUNK_BYTES = 2**18


def map_head(count: int) -> bytes:
    """Begin a map: `count` keys, each with its value, follow."""
    return _head(count, 0x80, 0xDE)


def array_head(count: int) -> bytes:
    """Begin an array: `count` elements follow."""
    return _head(count, 0x90, 0xDC)


def _head(count: int, fix: int, marker: int) -> bytes:
    if count < 16:
        return bytes([fix | count])
    return struct.pack(">BH", marker, count) if count < 2**16 else struct.pack(">BI", marker + 1, count)


def bin_head(size: int) -> bytes:
    """Begin a binary string: `size` octets follow."""
    if size < 2**8:
        return struct.pack(">BB", 0xC4, size)
    return struct.pack(">BH", 0xC5, size) if size < 2**16 else struct.pack(">BI", 0xC6, size)


def frame_octets(data: memoryview) -> Iterator[bytes]:
    """Octets, however many, as one binary string."""
    yield bin_head(len(data))
    for start in range(0, len(data), CHUNK_BYTES):
        yield bytes(data[start : start + CHUNK_BYTES])


def frame_equal(pdus: memoryview, pdu_bytes: int) -> Iterator[bytes]:
    """PDUs of one size, of up to 255 octets, as binary strings."""
    per_chunk = CHUNK_BYTES // pdu_bytes
    matrix = np.frombuffer(pdus, np.uint8).reshape(-1, pdu_bytes)
    for start in range(0, len(matrix), per_chunk):
        rows = matrix[start : start + per_chunk]
        framed = np.empty((len(rows), 2 + pdu_bytes), np.uint8)
        framed[:, :2] = (0xC4, pdu_bytes)
        framed[:, 2:] = rows
        yield framed.tobytes()


def frame_each(pdus: memoryview) -> Iterator[bytes]:
    """PDUs of any size, each as its own header tells it (RFC 8210 §5.1), as binary strings."""
    start = 0
    while start < len(pdus):
        (size,) = struct.unpack_from(">I", pdus, start + HEADER_BYTES - 4)
        yield bin_head(size)
        yield bytes(pdus[start : start + size])
        start += size


def in_chunks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same octets in chunks of about `CHUNK_BYTES`, the last one shorter."""
    chunk = bytearray()
    for part in parts:
        chunk += part
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
