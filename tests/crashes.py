"""A disk that a crash can come to at any moment: at each write, sync, rename, removal and SQL statement.

After it nothing more is done, as after SIGKILL, whatever `except` and `finally` would like to. A power cut also takes
what was not synced: half of a file's octets, and a rename.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Crash(BaseException):
    """The machine is gone."""


class Disk:
    """Where crashes come from.

    Attributes:
        crash_in: so many points from now; None for never.
        point_count: points passed so far.
        is_commit_done: whether the last transaction is on disk.
    """

    def __init__(self) -> None:
        self.crash_in: int | None = None
        self.point_count = 0
        self.is_down = False
        self.is_commit_done = False
        self._unsynced: dict[int, Path] = {}  # by inode
        self._renamed: list[tuple[Path, Path]] = []
        self._connections: list[sqlite3.Connection] = []

    def point(self) -> None:
        """A moment at which a crash may come."""
        if self.is_down:
            raise Crash
        self.point_count += 1
        if self.crash_in is not None:
            if self.crash_in == 0:
                self.is_down = True
                raise Crash
            self.crash_in -= 1

    def restart(self, *, is_power_cut: bool) -> None:
        """The machine is back."""
        for connection in self._connections:
            with contextlib.suppress(sqlite3.ProgrammingError):  # it is closed
                connection.rollback()  # as SQLite does itself with the journal that is left
                connection.close()
        self._connections.clear()
        self.is_down, self.crash_in = False, None
        if is_power_cut:
            for inode, path in self._unsynced.items():
                for candidate in path.parent.iterdir():
                    status = candidate.stat()
                    if status.st_ino == inode:
                        os.truncate(candidate, status.st_size // 2)
            for old, new in self._renamed:
                if new.exists():
                    os.rename(new, old)
        self._unsynced.clear()
        self._renamed.clear()

    def install(self, monkeypatch) -> None:
        """Take the place of the calls that the program makes."""
        real_open, real_replace, real_unlink = Path.open, Path.replace, Path.unlink
        real_connect = sqlite3.connect

        def open_file(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if mode != "wb":
                return real_open(path, mode, *arguments, **options)
            self.point()
            file = real_open(path, mode, buffering=0)
            self._unsynced[os.fstat(file.fileno()).st_ino] = path
            return _File(self, file)

        def fsync(descriptor: int) -> None:
            self.point()
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                self._renamed.clear()
            self._unsynced.pop(status.st_ino, None)
            self.point()

        def replace(path: Path, target: Path) -> Path:
            self.point()
            result = real_replace(path, target)
            self._renamed.append((path, target))
            self.point()
            return result

        def unlink(path: Path, missing_ok: bool = False) -> None:
            self.point()
            real_unlink(path, missing_ok)
            self.point()

        def connect(path: object, **options: Any) -> Any:
            connection = real_connect(str(path), **options)
            if path == ":memory:":
                return connection
            self._connections.append(connection)
            return _Connection(self, connection)

        monkeypatch.setattr(Path, "open", open_file)
        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(Path, "unlink", unlink)
        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(sqlite3, "connect", connect)


class _File:
    def __init__(self, disk: Disk, file: Any) -> None:
        self._disk, self._file = disk, file

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> None:
        middle = len(data) // 2
        self._file.write(data[:middle])
        self._disk.point()
        self._file.write(data[middle:])
        self._disk.point()


class _Connection:
    def __init__(self, disk: Disk, connection: sqlite3.Connection) -> None:
        self._disk, self._connection = disk, connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        self._disk.point()
        cursor = self._connection.execute(statement, parameters)
        if statement == "COMMIT":
            self._disk.is_commit_done = True
        self._disk.point()
        return cursor

    def executemany(self, statement: str, rows: Any) -> None:
        def interrupted() -> Any:
            for row in rows:
                self._disk.point()
                yield row

        self._connection.executemany(statement, interrupted())

    def executescript(self, script: str) -> None:
        self._disk.point()
        self._connection.executescript(script)
        self._disk.point()
