"""What others made: their generations, proved by the fleet process before anything of them is committed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pyrtr import processes
from pyrtr.errors import DivergenceError, FleetError, LostError, StoreError
from pyrtr.fleet.ledger import FleetLedger, sessions_of, table_name
from pyrtr.fleet.record import Record, unpack
from pyrtr.fleet.worker import Base, Made, Order
from pyrtr.logs import get_logger
from pyrtr.payload.history import History, Step
from pyrtr.sources.follow.exchange import RawStep, steps_of
from pyrtr.store.state import Generation
from pyrtr.store.table_file import read_table
from pyrtr.wire.enums import Version

# A million VRPs take a second or two.
MAKE_S = 300.0
# Steps of records, compressed: a table of a million VRPs takes less.
MAX_STEPS_BYTES = 2**24


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A generation of the stream, with a table of our own at the ledger's new paths.

    Attributes:
        generation: it.
        steps: the last of its history, which are not stored yet.
        is_whole: whether the table had to be taken whole.
    """

    generation: Generation
    steps: tuple[Step, ...]
    is_whole: bool


class Taker:
    """Makes what others made: by their steps from what we have, or else by their table.

    Args:
        ledger: what we have, and the stream.
    """

    def __init__(self, ledger: FleetLedger) -> None:
        self._ledger = ledger
        self._stream = ledger.stream
        self._companion = processes.Companion("pyrtr.fleet.worker", "fleet", processes.Answer[Made])
        self._log = get_logger()

    async def stop(self) -> None:
        """End the fleet process."""
        await self._companion.stop()

    async def records(self, last: int) -> list[Record]:
        """The records that lead on from what we have to the last one, step by step.

        None at all if there is no such chain, or if it has more to it than the table.
        """
        current, place = self._ledger.current, self._ledger.sequence
        if current is None or place is None or not self._ledger.continues:
            return []
        records, size = [], 0
        for sequence in range(place + 1, last + 1):
            if (record := await self._stream.record(sequence)) is None or size > MAX_STEPS_BYTES:
                return []
            records.append(record)
            size += len(record.step or b"")
        return records if _is_chain(current, records) else []

    async def take(self, records: Sequence[Record], newest: Record, last: int) -> Taken:
        """Make the generation of a record.

        Args:
            records: as `records` found them.
            newest: the last one.
            last: its place.

        Raises:
            LostError: nobody has its table, or none that is whole.
            DivergenceError: its table is another one than it says.
            SourceError: the fleet process came to nothing.
            StoreError: it can't be written.
        """
        current = self._ledger.current
        if records and current is not None:
            steps = await asyncio.to_thread(lambda: [unpack(record.step or b"") for record in records])
            base = Base(str(current.table_path), current.serial, current.content)
            made = await self._make(base, steps, None, newest.serial, newest.content)
            if made.digest is not None:
                return await self._taken(newest, made.digest, current.history, steps, is_whole=False)
            self._log.warning("steps refused", source=self._ledger.upstream, reason=made.mismatch)
        made, steps = await self._whole(newest, last)
        if made.digest is not None:
            return await self._taken(newest, made.digest, History(), steps, is_whole=True)
        if made.is_damaged:
            raise LostError(str(made.mismatch))
        raise DivergenceError(f"{self._ledger.upstream}: {made.mismatch}")

    @contextlib.asynccontextmanager
    async def fetched(self, name: str) -> AsyncIterator[Path | None]:
        """A table that is kept, compressed, as long as it is of use here; None if it is not kept any more.

        Raises:
            FleetError: it does not come, or not in time.
        """
        packed = self._ledger.store.path / "fleet-fetched"
        try:
            yield packed if await self._stream.get_table(name, packed) else None
        finally:
            await asyncio.to_thread(_remove, packed)

    async def facts(self, current: Generation, packed: Path) -> Generation:
        """The current generation with what another member's table says of expiry and trust anchors.

        Args:
            current: whose payload that table has.
            packed: that table (see `fetched`).

        Raises:
            FleetError: it is another one.
            SourceError, StoreError: as for `take`.
        """
        made = await self._make(None, [], str(packed), current.serial, current.content)
        if made.digest is None:
            raise FleetError(str(made.mismatch))
        path = self._ledger.store.new_paths().table
        stored = await asyncio.to_thread(read_table, path)
        return dataclasses.replace(current, stored=stored, table_path=path, shares=(), slurm=None, next_expiry=None)

    async def _whole(self, newest: Record, last: int) -> tuple[Made, list[RawStep]]:
        """Take the whole table, and the steps before it that the stream still has."""
        packed = self._ledger.store.path / "fleet-taken"
        names = [name for name in await self._stream.tables() if name.startswith(table_name(newest.content))]
        try:
            if not names or not await self._stream.get_table(names[0], packed):
                raise LostError(f"the table of serial {newest.serial} is not there yet")
            steps: list[RawStep] = []
            record: Record | None = newest
            size = 0
            while record is not None and record.step is not None and len(steps) < self._ledger.max_steps:
                size += len(record.step)
                if size > MAX_STEPS_BYTES:
                    break
                steps.append(await asyncio.to_thread(unpack, record.step))
                last -= 1
                record = await self._stream.record(last) if last > 0 else None
            steps.reverse()
            made = await self._make(None, steps, str(packed), newest.serial, newest.content)
            return made, steps[len(steps) - made.proved_count :]
        finally:
            await asyncio.to_thread(_remove, packed)

    async def _make(
        self, base: Base | None, steps: list[RawStep], whole: str | None, serial: int, content: bytes
    ) -> Made:
        order = Order(base, steps, whole, serial, content, str(self._ledger.store.new_paths().table))
        return await self._companion.ask(order, timeout_s=MAKE_S)

    async def _taken(
        self, newest: Record, digest: bytes, before: History, raw_steps: list[RawStep], *, is_whole: bool
    ) -> Taken:
        path = self._ledger.store.new_paths().table
        stored = await asyncio.to_thread(read_table, path)
        if stored.digest != digest:
            raise StoreError(f"{path} is not what was written")
        history = await asyncio.to_thread(self._followed, before, raw_steps, len(stored.table))
        sessions = newest.sessions
        generation = Generation(
            session_ids={Version.V0: sessions.V0, Version.V1: sessions.V1, Version.V2: sessions.V2},
            serial=newest.serial,
            published_at=newest.published_at,
            stored=stored,
            table_path=path,
            history=history,
            built_at=newest.built_at,
            is_withdrawn=newest.is_withdrawn,
            metadata=msgspec.json.decode(newest.metadata),
            content=newest.content,
            max_age_s=newest.max_age_s,
            upstream=self._ledger.upstream,
        )
        return Taken(generation, history.steps[max(0, len(history.steps) - len(raw_steps)) :], is_whole)

    def _followed(self, history: History, raw_steps: list[RawStep], table_size: int) -> History:
        for step in steps_of(raw_steps):
            history = history.followed_by(step, max_steps=self._ledger.max_steps, table_size=table_size)
        return history


def _is_chain(current: Generation, records: Sequence[Record]) -> bool:
    """Whether records lead on from a generation, step by step."""
    at = current.serial, current.content
    for record in records:
        if record.before != at or record.step is None or record.sessions != sessions_of(current.session_ids):
            return False
        at = record.serial, record.content
    return bool(records)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
