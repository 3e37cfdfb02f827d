"""Generations of a fleet: none is committed here that did not get the next place on the stream."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec
import zstandard

from pyrtr.compiler.ledger import Ledger
from pyrtr.errors import FleetError, SupersededError
from pyrtr.fleet.record import Record, pack
from pyrtr.fleet.status import FleetStatus
from pyrtr.fleet.stream import Stream
from pyrtr.payload.history import History, Step
from pyrtr.payload.serial import SERIAL_MODULUS
from pyrtr.server.publisher import Publisher
from pyrtr.sources.follow.messages import Sessions
from pyrtr.store.archive import Story
from pyrtr.store.sessions import SessionIds, new_session_ids
from pyrtr.store.state import Generation, Store
from pyrtr.wire.enums import Version

# What a record needs beside its step; sources have little metadata.
_ROOM_BYTES = 2**17


class FleetLedger(Ledger):
    """The generations of a fleet, one after another.

    Args:
        store, publisher, max_steps, initial_serial: as for `Ledger`.
        stream: what all replicas agree on.
        status: what an operator is told of the fleet.
        is_filtered: whether SLURM files are wanted; what was made without them is no generation of ours then.

    Attributes:
        stream: as given.
        sequence: place of the current generation on the stream; None while that is not known.
        offered: name of the table that the others were given last.
    """

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        stream: Stream,
        status: FleetStatus,
        *,
        max_steps: int,
        initial_serial: int | None,
        is_filtered: bool,
    ) -> None:
        upstream = f"fleet {status.name}{', filtered' if is_filtered else ''}"
        super().__init__(store, publisher, max_steps=max_steps, initial_serial=initial_serial, upstream=upstream)
        self.stream = stream
        self.sequence: int | None = None
        self.offered = ""
        self._status = status
        self._is_filtered = is_filtered

    async def commit(
        self, generation: Generation, steps: Sequence[Step], cause: str, story: Story | None = None
    ) -> None:
        """Get the next place on the stream for it, if it is another one to routers; then store it.

        Raises:
            SupersededError: another replica has that place.
            FleetError: whether we have it is not known; if so, it comes back as one of the others'.
            StoreError: it can't be stored.
        """
        if self.current is not None and _state(self.current) == _state(generation):
            await super().commit(generation, steps, cause, story)
            return
        if (after := self.sequence) is None:  # which may be doubted anew while we wait
            raise FleetError("what the fleet has is not known yet: nothing new is published")
        if self.current is not None and self.current.session_ids == generation.session_ids:
            await self._check_place(after, self.current)
        packed = None
        if steps:
            (step,) = steps
            packed = await asyncio.to_thread(pack, step)
        if packed is None or len(packed) > self.stream.max_record_bytes - _ROOM_BYTES:
            packed = None
            await self.offer(generation)  # the others have to take it whole
        sequence = await self.stream.append(self._record(generation, packed, cause), after)
        self._status.made_count += 1
        await super().commit(generation, steps, cause, story)
        self.sequence = sequence

    async def take(
        self, generation: Generation, steps: Sequence[Step], cause: str, story: Story, sequence: int
    ) -> None:
        """Store what another replica made.

        Raises:
            StoreError: it can't be stored.
        """
        await super().commit(generation, steps, cause, story)
        self.sequence = sequence

    async def may_be_served(self, last: int) -> bool:
        """Whether the last record may be served from: where SLURM files are wanted, they were applied to it."""
        if self.sequence == last or not self._is_filtered:
            return True
        newest = await self.stream.record(last)
        return newest is None or newest.is_filtered

    async def find_place(self, last: int) -> bool:
        """Find where on the stream what we publish stands, if it is there: serials follow one another.

        Returns:
            False if the stream once said otherwise: it went back, to a backup of it. Serials that routers have heard of
            would be made a second time; whoever sees that has to prevent it.
        """
        current = self.current
        newest = await self.stream.record(last) if self.continues else None
        if current is None or newest is None:
            return True
        if newest.sessions != sessions_of(current.session_ids):
            return newest.published_at >= current.published_at
        ahead = (newest.serial - current.serial) % SERIAL_MODULUS
        if ahead == 0:
            is_ours = newest.content == current.content
        elif ahead >= SERIAL_MODULUS // 2:  # RFC 1982: it is before ours
            is_ours = False
        else:
            following = await self.stream.record(last - ahead + 1) if ahead <= last else None
            if following is None:  # what there was is gone
                return True
            is_ours = following.before == (current.serial, current.content)
        if is_ours:
            self.sequence = last - ahead
        return is_ours

    async def begin_anew(self, now: float, last: int) -> None:
        """Go on with the current payload in new sessions, since the stream does not have what led to it any more.

        Args:
            now: Unix time.
            last: the last place on the stream.

        Raises:
            SupersededError, FleetError, StoreError: as in `commit`.
        """
        assert self.current is not None
        self.sequence = last
        anew = dataclasses.replace(
            self.current,
            session_ids=_other_session_ids(self.current.session_ids),
            serial=secrets.randbelow(SERIAL_MODULUS),
            published_at=max(now, self.current.published_at),  # by which it is told from what a backup brings back
            history=History(),
        )
        await self.commit(anew, (), "fleet", Story("the fleet has lost its history: new sessions begin", ()))

    async def offer(self, generation: Generation) -> None:
        """Give the others its table, unless it is there: another one may have been put in its place, or all be lost.

        Raises:
            FleetError: that can't be done.
        """
        name = table_name(generation.content, generation.stored.digest)
        if await self.stream.has_table(name):
            self.offered = name
            return
        packed = self.store.path / "fleet-offer"
        try:
            if self.current is not None and generation.table_path == self.current.table_path:
                await asyncio.to_thread(self.mend_table)
            await asyncio.to_thread(_compress, generation.table_path, packed)
            await self.stream.put_table(name, packed)
        except OSError as error:
            raise FleetError(f"the table can't be given to the fleet: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(packed.unlink)
        self.offered = name

    async def _check_place(self, sequence: int, current: Generation) -> None:
        """Make sure that what is to be followed still stands where it stood.

        Raises:
            SupersededError: it is not.
            FleetError: that can't be told.
        """
        stands = await self.stream.record(sequence)
        state = None if stands is None else (stands.sessions, stands.serial, stands.content)
        if state not in (None, (*_state(current), current.content)):
            raise SupersededError("the stream went back, and on from there")

    def _record(self, generation: Generation, step: bytes | None, cause: str) -> Record:
        current = self.current
        continues = current is not None and current.session_ids == generation.session_ids
        return Record(
            member=self._status.member,
            sessions=sessions_of(generation.session_ids),
            serial=generation.serial,
            content=generation.content,
            before=(current.serial, current.content) if current is not None and continues else None,
            step=step,
            cause=cause,
            published_at=generation.published_at,
            built_at=generation.built_at,
            max_age_s=generation.max_age_s,
            is_withdrawn=generation.is_withdrawn,
            metadata=msgspec.json.encode(generation.metadata),
            is_filtered=self._is_filtered,
        )


def table_name(content: bytes, digest: bytes = b"") -> str:
    """What a table is kept under: by the digest of its payload, and that of its file."""
    return f"table-{content.hex()}-{digest.hex()[:16]}"


def sessions_of(session_ids: SessionIds) -> Sessions:
    """Session ids as others are told them."""
    return Sessions(session_ids[Version.V0], session_ids[Version.V1], session_ids[Version.V2])


def _state(generation: Generation) -> tuple[Sessions, int]:
    return sessions_of(generation.session_ids), generation.serial


def _other_session_ids(former: SessionIds) -> SessionIds:
    while True:
        chosen = new_session_ids()
        if not any(set(chosen[version]) & set(former[version]) for version in former):
            return chosen


def _compress(path: Path, packed: Path) -> None:
    with path.open("rb") as source, packed.open("wb") as file:
        zstandard.ZstdCompressor(level=1).copy_stream(source, file)
