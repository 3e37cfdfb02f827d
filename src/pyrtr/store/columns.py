"""A file of named columns, written once and then mapped: how tables and deltas go from one process to another.

    offset         bytes  field
    0              8      magic "pyRTRcol"
    8              4      format version, little-endian
    12             4      size of the header, little-endian
    16             h      header: JSON {"columns": {name: [dtype, count, offset]}, "meta": {…}}
    offset         …      each column at its own offset, a multiple of 64
    size - 32      32     BLAKE2b-256 of everything before it

A file is written beside its place, synced and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pyrtr.errors import StoreError, UnavailableError

MAGIC = b"pyRTRcol"
FORMAT = 1
DIGEST_BYTES = 32
_START = struct.Struct("<8sII")
_ALIGNMENT = 64
UNAVAILABLE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EIO}

Columns = Mapping[str, NDArray[Any]]
Content = tuple[dict[str, NDArray[Any]], dict[str, Any], bytes]


class _Header(msgspec.Struct):
    columns: dict[str, tuple[str, int, int]]
    meta: dict[str, Any]


# Making these anew is most of what it takes to decode a small delta, of which a search reads thousands.
_HEADERS = msgspec.json.Decoder(_Header)
_dtype = functools.lru_cache(maxsize=32)(np.dtype)


def write(path: Path, columns: Columns, meta: Mapping[str, Any]) -> bytes:
    """Write a file of one-dimensional columns, and what `meta` says of them (JSON values); returns its digest.

    Raises:
        StoreError: the file can't be written; what was at `path` before is still there.
    """
    image, digest = encode(columns, meta)
    replace(path, (image, digest))
    return digest


def encode(columns: Columns, meta: Mapping[str, Any]) -> tuple[bytearray, bytes]:
    """The octets of such a file, and the digest that ends it."""
    layout: dict[str, tuple[str, int, int]] = {}
    # The header holds the offsets and the offsets depend on its size, so it gets room to spare.
    header_room = _aligned(len(msgspec.json.encode(meta)) + 128 * (len(columns) + 1))
    end = header_room
    for name, column in columns.items():
        layout[name] = (column.dtype.str, len(column), end)
        end = _aligned(end + column.nbytes)
    header = msgspec.json.encode(_Header(layout, dict(meta)))
    image = bytearray(end)
    _START.pack_into(image, 0, MAGIC, FORMAT, len(header))
    image[_START.size : _START.size + len(header)] = header
    for name, column in columns.items():
        offset = layout[name][2]
        image[offset : offset + column.nbytes] = np.ascontiguousarray(column).view(np.uint8).data
    return image, hashlib.blake2b(image, digest_size=DIGEST_BYTES).digest()


def replace(path: Path, parts: tuple[bytes | bytearray, ...]) -> None:
    """Put a file in place in one step: written beside it, synced, renamed, and the folder synced.

    Raises:
        StoreError: as in `write`.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        with temporary.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()  # half a file would keep a full disk full
        raise StoreError(f"{path} can't be written: {error.strerror}") from error


def link(existing: Path, path: Path) -> None:
    """Give a file that was written by `write` another name beside it.

    Raises:
        StoreError: it can't be done.
    """
    try:
        path.unlink(missing_ok=True)
        path.hardlink_to(existing)
        _sync_folder(path)
    except OSError as error:
        raise StoreError(f"{path} can't be written: {error.strerror}") from error


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path, *, is_mapped: bool) -> Content:
    """Read a file and check its digest: the columns, which share one buffer, the meta, and the digest.

    Args:
        path: the file.
        is_mapped: map it instead of reading it. That costs a descriptor for as long as a column is in use.

    Raises:
        StoreError: the file is missing, damaged, or not ours.
    """
    try:
        with path.open("rb") as file:
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if is_mapped else file.read())
    except OSError as error:
        kind = UnavailableError if error.errno in UNAVAILABLE else StoreError
        raise kind(f"{path}: {error}") from error
    except ValueError as error:  # nothing to map
        raise StoreError(f"{path}: {error}") from error
    return decode(mapped, str(path))


def decode(mapped: memoryview, name: str) -> Content:
    """What the octets of such a file hold; its columns share them.

    Args:
        mapped: all of its octets.
        name: what errors call it.

    Raises:
        StoreError: it is damaged, or not ours.
    """
    content = mapped[:-DIGEST_BYTES]
    if (
        len(content) < _START.size
        or hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest() != mapped[len(content) :]
    ):
        raise StoreError(f"{name} is damaged: its checksum does not fit")
    magic, file_format, header_bytes = _START.unpack_from(content)
    if magic != MAGIC or file_format != FORMAT:
        raise StoreError(f"{name} is of another format: {magic!r} {file_format}")
    try:
        header = _HEADERS.decode(content[_START.size : _START.size + header_bytes])
        columns = {
            column: np.frombuffer(content, _dtype(kind), count, offset)
            for column, (kind, count, offset) in header.columns.items()
        }
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise StoreError(f"{name} is not ours: {error}") from error
    return columns, header.meta, bytes(mapped[len(content) :])


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
