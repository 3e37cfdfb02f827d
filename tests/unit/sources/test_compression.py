"""Compressed octets: whatever way they come, all of what they stand for, or a reason why not."""

from __future__ import annotations

import gzip
import lzma
import random
from collections.abc import Callable

import brotli
import pytest
import zstandard

from pyrtr.errors import SourceError
from pyrtr.sources.fetch.compression import STEP_BYTES, Coding, coding_of, decompress

COMPRESS: dict[Coding, Callable[[bytes], bytes]] = {
    Coding.GZIP: gzip.compress,
    Coding.ZSTD: zstandard.compress,
    Coding.BROTLI: brotli.compress,
    Coding.XZ: lzma.compress,
}
SEVERAL = [Coding.GZIP, Coding.ZSTD, Coding.XZ]  # parts may follow one another
PLAIN = random.Random(0).randbytes(600) + b"payload " * 100
LARGE = 2**31


def plain_of(coding: Coding, *chunks: bytes, max_bytes: int = LARGE) -> bytes:
    return b"".join(decompress(coding, chunks, max_bytes))


def pieces(octets: bytes, size: int) -> list[bytes]:
    return [octets[start : start + size] for start in range(0, len(octets), size)]


@pytest.mark.parametrize("coding", Coding)
@pytest.mark.parametrize("plain", [b"", b"{", PLAIN, bytes(3 * STEP_BYTES), random.Random(1).randbytes(STEP_BYTES)])
def test_all_of_it_comes_back(coding, plain):
    packed = COMPRESS[coding](plain)
    assert plain_of(coding, packed) == plain
    assert plain_of(coding, *pieces(packed, 1000), b"") == plain


@pytest.mark.parametrize("coding", Coding)
def test_octet_by_octet(coding):
    packed = COMPRESS[coding](PLAIN)
    assert plain_of(coding, *pieces(packed, 1)) == PLAIN
    assert coding_of(packed) == (None if coding is Coding.BROTLI else coding)


@pytest.mark.parametrize("coding", SEVERAL)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_parts_that_follow_one_another_are_one(coding, size):
    packed = b"".join(COMPRESS[coding](plain) for plain in (PLAIN, b"", b"x", PLAIN))
    assert plain_of(coding, *pieces(packed, size)) == PLAIN + b"x" + PLAIN


@pytest.mark.parametrize("coding", Coding)
def test_what_is_cut_short_anywhere_is_refused(coding):
    packed = COMPRESS[coding](PLAIN)
    for end in range(len(packed)):
        with pytest.raises(SourceError, match=f"its {coding} data is cut short"):
            plain_of(coding, packed[:end])
    if coding in SEVERAL:
        with pytest.raises(SourceError, match="cut short"):
            plain_of(coding, packed, packed[:3])


@pytest.mark.parametrize("coding", Coding)
@pytest.mark.parametrize("garbage", [b"\0", b"\n", b"}", b"garbage" * 50])
def test_what_is_followed_by_anything_is_refused(coding, garbage):
    packed = COMPRESS[coding](PLAIN)
    for chunks in ([packed + garbage], [packed, garbage]):
        with pytest.raises(SourceError):
            plain_of(coding, *chunks)


@pytest.mark.parametrize("coding", Coding)
def test_what_is_something_else_is_refused(coding):
    for octets in (b'{"roas": []}', PLAIN, *(COMPRESS[other](PLAIN) for other in Coding if other is not coding)):
        with pytest.raises(SourceError, match=rf"it is not {coding} data|its {coding} data is cut short"):
            plain_of(coding, octets)


@pytest.mark.parametrize("coding", SEVERAL)  # with checksums; Brotli has none
def test_what_is_damaged_is_refused(coding):
    compress = zstandard.ZstdCompressor(write_checksum=True).compress if coding is Coding.ZSTD else COMPRESS[coding]
    packed = compress(PLAIN)
    for place in range(12, len(packed)):  # before that there are fields without a meaning for the octets
        damaged = bytearray(packed)
        damaged[place] ^= 0x55
        with pytest.raises(SourceError):
            plain_of(coding, bytes(damaged))


@pytest.mark.parametrize("coding", Coding)
def test_a_bomb_is_refused_when_it_has_become_too_much(coding):
    bomb = COMPRESS[coding](bytes(24 * STEP_BYTES))
    assert len(bomb) < STEP_BYTES
    for chunks in ([bomb], pieces(bomb, 100)):
        sizes: list[int] = []
        with pytest.raises(SourceError, match=f"decompressed it has more than {10 * STEP_BYTES} octets"):
            sizes.extend(len(piece) for piece in decompress(coding, chunks, 10 * STEP_BYTES))
        assert sum(sizes) <= 10 * STEP_BYTES
        assert max(sizes) <= 9 * STEP_BYTES
    assert len(plain_of(coding, bomb, max_bytes=24 * STEP_BYTES)) == 24 * STEP_BYTES


def test_what_needs_too_much_memory_is_refused():
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**28}]
    with pytest.raises(SourceError):
        plain_of(Coding.XZ, lzma.compress(PLAIN, filters=filters))
    window = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=window).compressobj()
    with pytest.raises(SourceError):
        plain_of(Coding.ZSTD, packer.compress(PLAIN) + packer.flush())


def test_json_is_not_compressed():
    assert [coding_of(octets) for octets in (b"", b"{", b" {", b"\xef\xbb\xbf{", b"[", b"\x1f")] == [None] * 6
