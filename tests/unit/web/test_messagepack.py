"""MessagePack by hand, read by the library."""

import msgpack  # type: ignore[import-untyped]  # it has none
import pytest

from pyrtr.web import messagepack
from pyrtr.web.messagepack import array_head, bin_head, frame_each, frame_equal, in_chunks, map_head


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65535, 65536])
def test_heads(count):
    assert msgpack.unpackb(array_head(count) + b"\xc0" * count) == [None] * count
    pairs = b"".join(msgpack.packb(number) + b"\xc0" for number in range(count))
    assert msgpack.unpackb(map_head(count) + pairs, strict_map_key=False) == dict.fromkeys(range(count))


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65535])
def test_binary_strings(size):
    assert msgpack.unpackb(bin_head(size) + bytes(size)) == bytes(size)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_frame_equal(monkeypatch, count):
    monkeypatch.setattr(messagepack, "CHUNK_BYTES", 65)  # three PDUs a chunk
    pdus = [bytes([number]) * 20 for number in range(count)]
    chunks = list(frame_equal(memoryview(b"".join(pdus)), 20))
    assert len(chunks) == -(-count // 3)
    assert msgpack.unpackb(array_head(count) + b"".join(chunks)) == pdus


def test_frame_each():
    pdus = [b"\2\x0b\0\0" + (size := 8 + extra).to_bytes(4) + bytes(size - 8) for extra in (0, 12, 247, 248, 65527)]
    framed = b"".join(frame_each(memoryview(b"".join(pdus))))
    assert msgpack.unpackb(array_head(len(pdus)) + framed) == pdus


@pytest.mark.parametrize(
    ("parts", "chunks"),
    [([], []), ([b""], []), ([b"ab", b"c", b"d"], [b"abc", b"d"]), ([b"abcdef"], [b"abcdef"]), ([b"abc"], [b"abc"])],
)
def test_in_chunks(monkeypatch, parts, chunks):
    monkeypatch.setattr(messagepack, "CHUNK_BYTES", 3)
    assert list(in_chunks(parts)) == chunks
