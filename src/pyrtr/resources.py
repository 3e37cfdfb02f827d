"""What the program takes of its machine beside its own process: companions, the state folder, the disk below it."""

from __future__ import annotations

import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = resource.getpagesize()
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Children:
    """Processes that we started.

    Attributes:
        count: how many run.
        memory_bytes: their resident memory in sum, files that are mapped included.
        cpu_seconds: processor time of those that have ended.
    """

    count: int
    memory_bytes: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Disk:
    """The state folder, and the file system that it is on.

    Attributes:
        folder_bytes: all files of the folder.
        free_bytes, size_bytes: of the file system; the former is what may still be written.
    """

    folder_bytes: int
    free_bytes: int
    size_bytes: int


def children() -> Children:
    """Those that we started. Where the kernel does not list them, none run as far as we know."""
    pids: list[str] = []
    for thread in _PROC.glob("self/task/*/children"):
        pids += _read(thread).split()
    sizes = [fields[1] for pid in pids if len(fields := _read(_PROC / pid / "statm").split()) > 1]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Children(len(sizes), sum(map(int, sizes)) * _PAGE_BYTES, used.ru_utime + used.ru_stime)


def disk(folder: Path) -> Disk | None:
    """A folder and its disk; None where that can't be told."""
    try:
        usage = shutil.disk_usage(folder)
        return Disk(_size(folder), usage.free, usage.total)
    except OSError:
        return None


def _size(folder: Path) -> int:
    size = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(path, name)).st_size
            except FileNotFoundError:  # a commit has tidied it meanwhile
                continue
    return size


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended meanwhile
        return ""
