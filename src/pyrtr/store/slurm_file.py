"""The SLURM files in force, as they were found, in one file of the state folder: MessagePack of names and octets."""

from __future__ import annotations

from collections.abc import Sequence
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


def read_slurm(path: Path) -> list[tuple[str, bytes]]:
    """Read them.

    Raises:
        StoreError: as in `columns.read`, or the file holds something else.
    """
    data, _, _ = columns.read(path, is_mapped=False)
    try:
        return msgspec.msgpack.decode(data["files"].data, type=list[tuple[str, bytes]])
    except (KeyError, msgspec.MsgspecError) as error:
        raise StoreError(f"{path} holds no SLURM files: {error}") from error
