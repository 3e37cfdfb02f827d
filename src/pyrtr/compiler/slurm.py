"""The SLURM files that the settings name: which there are now, and whether they are the same as those in force."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyrtr.compiler.job import SlurmReport
from pyrtr.errors import SourceError
from pyrtr.sources.base import Feed
from pyrtr.sources.fetch.file import Signature, fetch, signature
from pyrtr.sources.location import Location, names_of
from pyrtr.store.database import SlurmRecord
from pyrtr.store.slurm_file import identity_of


@dataclass(slots=True)
class SlurmStatus:
    """What an operator is told about the SLURM files.

    Attributes:
        locations: where they are, as may be shown.
        error: why those that were found last are not used; None if they are.
        filtered, added: payload that each file removed and added, by its name and by kind.
    """

    locations: tuple[str, ...]
    error: str | None = None
    filtered: dict[str, dict[str, int]] = field(default_factory=dict)
    added: dict[str, dict[str, int]] = field(default_factory=dict)

    def applied(self, report: SlurmReport | SlurmRecord | None) -> None:
        """A compilation was accepted, in this run or in the last one."""
        self.filtered = {} if report is None else report.filtered
        self.added = {} if report is None else report.added


@dataclass(frozen=True, slots=True)
class SlurmFound:
    """The files that are there.

    Attributes:
        files: name and path of each.
        identity: digest of names and octets (see `store.slurm_file`).
        fetched: those of them that are ours to remove.
    """

    files: tuple[tuple[str, str], ...]
    identity: bytes
    fetched: tuple[Path, ...]


class SlurmPlaces:
    """The locations of SLURM files: files, folders, of which every file counts that is not hidden, and URLs.

    Args:
        locations: in the order of the setting.
        feeds: what fetches each of them that is no local path, by location.
    """

    def __init__(self, locations: Sequence[Location], feeds: Mapping[Location, Feed]) -> None:
        self.status = SlurmStatus(names_of(locations))
        self._locations = locations
        self._feeds = feeds

    def __bool__(self) -> bool:
        return bool(self._locations)

    async def look(self) -> SlurmFound:
        """What there is now.

        Raises:
            SourceError: one of the locations can't be read.
        """
        fetched: dict[str, Path] = {}
        try:
            for name, where in zip(self.status.locations, self._locations, strict=True):
                if not where.is_local and (found := await self._feeds[where].look(None)) is not None:
                    fetched[name] = found.path
            return await asyncio.to_thread(self._identify, fetched)
        except BaseException:
            for path in fetched.values():
                await asyncio.to_thread(path.unlink, missing_ok=True)
            raise

    def signatures(self) -> list[tuple[str, Signature | None]]:
        """What changes when any local file of them does."""
        local = [location.path for location in self._locations if location.is_local]
        return [(str(path), signature(path)) for where in local for path in (where, *_files_of(where))]

    def _identify(self, fetched: Mapping[str, Path]) -> SlurmFound:
        local = []
        for where in self._locations:
            if where.is_local:
                files = _files_of(where.path)
                if not files:  # a volume that is not mounted looks like this
                    raise SourceError(
                        f"{where} holds no file: one whose lists are empty would say that nothing is meant"
                    )
                local += files
        paths = {**fetched, **{str(path): path for path in local}}
        identity = identity_of((name, _octets(name, path)) for name, path in paths.items())
        return SlurmFound(tuple((name, str(path)) for name, path in paths.items()), identity, tuple(fetched.values()))


def _octets(name: str, path: Path) -> bytes:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise SourceError(f"{name}: its name is not UTF-8, rename it") from None
    try:
        return fetch(path).take()
    except SourceError as error:
        raise SourceError(str(error).replace(str(path), name)) from error


def _files_of(path: Path) -> list[Path]:
    """The file itself, or the files of a folder in the order of their names."""
    try:
        if not path.is_dir():
            return [path]
        return sorted(entry for entry in path.iterdir() if not entry.name.startswith(".") and not entry.is_dir())
    except OSError:
        return [path]  # reading it says why
