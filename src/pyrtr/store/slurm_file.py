"""The SLURM files in force, as they were found, in one file of the state folder: MessagePack of names and octets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from pyrtr.errors import StoreError
from pyrtr.store import columns


def write_slurm(path: Path, files: Sequence[tuple[str, bytes]]) -> bytes:
    """Write names and octets; returns the digest of the file.

    Raises:
        StoreError: as in `columns.write`.
    """
    return columns.write(path, {"files": np.frombuffer(msgspec.msgpack.encode(files), np.uint8)}, {})


def read_slurm(path: Path, digest: bytes) -> list[tuple[str, bytes]]:
    """Read them from a file that has this digest.

    Raises:
        StoreError: as in `columns.read`, or the file is another one, or holds something else.
    """
    data, _, found = columns.read(path, is_mapped=False)
    if found != digest:
        raise StoreError(f"{path} is not what was accepted")
    try:
        return msgspec.msgpack.decode(data["files"].data, type=list[tuple[str, bytes]])
    except (KeyError, msgspec.MsgspecError) as error:
        raise StoreError(f"{path} holds no SLURM files: {error}") from error


def identity_of(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Digest of names and octets, by which the same files are known again: BLAKE2b-256."""
    state = hashlib.blake2b(digest_size=32)
    for name, body in files:
        state.update(f"{len(name)} {name} {len(body)} ".encode())
        state.update(body)
    return state.digest()
