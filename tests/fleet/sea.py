"""What replicas share, in memory, with faults: for members on clocks that are set by hand."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from pyrtr.errors import FleetError, SupersededError
from pyrtr.fleet import record as records
from pyrtr.fleet.record import Duty, Record
from pyrtr.fleet.stream import DUTY_S


class Sea:
    """The servers.

    Attributes:
        now: their clock.
        records: octets of each record, by its place.
        tables: name and path of each file that is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.folder = folder
        self.records: dict[int, bytes] = {}
        self.last = self.age = 0
        self.tables: dict[str, Path] = {}
        self.duty: tuple[Duty, float] | None = None
        self.members: dict[str, tuple[dict[str, str], float]] = {}
        self.listeners: dict[str, Callable[[str], None]] = {}

    def lose(self) -> None:
        """All of it."""
        self.records.clear()
        self.tables.clear()
        self.members.clear()
        self.last, self.duty = 0, None
        self.age += 1


class Boat:
    """One member's connection (see `pyrtr.fleet.stream.Stream`).

    Attributes:
        is_cut: whether nothing gets through.
        acks_to_lose: of so many records, whether they were appended is not heard.
    """

    max_record_bytes = 2**20

    def __init__(self, sea: Sea, member: str) -> None:
        self.changed = asyncio.Event()
        self.is_cut = False
        self.acks_to_lose = 0
        self._sea = sea
        self._member = member

    def _reach(self) -> Sea:
        if self.is_cut:
            raise FleetError("cut off")
        return self._sea

    async def open(self, on_word: Callable[[str], None]) -> None:
        self._reach().listeners[self._member] = on_word

    async def close(self) -> None:
        self._sea.listeners.pop(self._member, None)

    async def end(self) -> tuple[str, int]:
        sea = self._reach()
        return str(sea.age), sea.last

    async def record(self, sequence: int) -> Record | None:
        data = self._reach().records.get(sequence)
        return None if data is None else records.decode(data)

    async def append(self, record: Record, after: int) -> int:
        sea = self._reach()
        if after != sea.last:
            raise SupersededError("another was first")
        sea.last += 1
        sea.records[sea.last] = records.encode(record)
        if self.acks_to_lose:
            self.acks_to_lose -= 1
            raise FleetError("no answer")
        return sea.last

    async def put_table(self, name: str, path: Path) -> None:
        sea = self._reach()
        kept = sea.folder / name
        shutil.copyfile(path, kept)
        sea.tables = {name: kept}

    async def get_table(self, name: str, path: Path) -> bool:
        kept = self._reach().tables.get(name)
        if kept is not None:
            shutil.copyfile(kept, path)
        return kept is not None

    async def tables(self) -> list[str]:
        return [*self._reach().tables]

    async def on_duty(self) -> Duty | None:
        sea = self._reach()
        return sea.duty[0] if sea.duty is not None and sea.now < sea.duty[1] else None

    async def take_duty(self, duty: Duty) -> bool:
        sea = self._reach()
        holder = await self.on_duty()
        if holder is not None and holder.member != self._member:
            return False
        sea.duty = (duty, sea.now + DUTY_S)
        return True

    async def leave_duty(self) -> None:
        holder = await self.on_duty()
        if holder is not None and holder.member == self._member:
            self._sea.duty = None

    async def attend(self, settings: Mapping[str, str]) -> dict[str, dict[str, str]]:
        sea = self._reach()
        sea.members[self._member] = (dict(settings), sea.now + DUTY_S)
        return {name: theirs for name, (theirs, until) in sea.members.items() if sea.now < until}

    async def tell(self, word: str) -> None:
        for listener in [*self._reach().listeners.values()]:
            listener(word)
