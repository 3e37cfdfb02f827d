"""A local file: all of it, decompressed, and what tells it from the one that stood there before."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from pyrtr.errors import SourceError
from pyrtr.sources.fetch.compression import Coding, coding_of, decompress

# Three million VRPs are 315 MB of JSON; beyond this it is some other file. Places in it are counted in 32 bits.
MAX_SOURCE_BYTES = 2**31 - 1
# Decoders copy what they have not used yet: much more than this at once and many small parts would take for ever.
_CHUNK_BYTES = 2**16


@dataclass(slots=True)
class Fetched:
    """What one attempt brought: the octets, and when they were last written (Unix seconds)."""

    body: bytes
    modified: float

    def take(self) -> bytes:
        """The octets, for one who frees them when they are read: from then on they are not here any more."""
        body, self.body = self.body, b""
        return body


@dataclass(frozen=True, slots=True)
class Signature:
    """What changes when a file is replaced or written to."""

    device: int
    inode: int
    size: int
    modified_ns: int


def examine(path: Path) -> Signature:
    """The signature of the file that `path` leads to now.

    Raises:
        SourceError: there is none.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    return Signature(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def signature(path: Path) -> Signature | None:
    """The same, or None where there is none."""
    with contextlib.suppress(SourceError):
        return examine(path)
    return None


def fetch(path: Path) -> Fetched:
    """Read the whole file. One that is compressed, by gzip, Zstandard or xz, as its first octets say, is decompressed.

    Raises:
        SourceError: the file is missing, unreadable, no regular file, of 2 GiB or more, or changed while being read; or
            it is compressed, and cut short, damaged, or becomes 2 GiB or more.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SourceError(f"{path} is not a regular file")
            if status.st_size > MAX_SOURCE_BYTES:
                raise SourceError(f"{path} has {status.st_size} octets: at most {MAX_SOURCE_BYTES} are read")
            body = file.read(status.st_size + 1)  # one more than there should be: whether it has grown shows
            if len(body) != status.st_size or os.fstat(file.fileno()).st_mtime_ns != status.st_mtime_ns:
                raise SourceError(f"{path} changed while it was read: write it elsewhere and rename it")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if (coding := coding_of(body)) is not None:
        try:
            body = _decompressed(coding, body)
        except SourceError as error:
            raise SourceError(f"{path}: {error}") from None
    return Fetched(body, status.st_mtime)


def _decompressed(coding: Coding, body: bytes) -> bytes:
    plain = io.BytesIO()
    chunks = (body[start : start + _CHUNK_BYTES] for start in range(0, len(body), _CHUNK_BYTES))
    for piece in decompress(coding, chunks, MAX_SOURCE_BYTES):
        plain.write(piece)
    return plain.getvalue()  # without a copy


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the writer of a FIFO."""
    return os.open(path, flags | os.O_NONBLOCK)
