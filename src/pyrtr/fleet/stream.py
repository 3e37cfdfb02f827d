"""What a replica asks of what all of them share. `jetstream` answers it by NATS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from pyrtr.fleet.record import Duty, Record

# Who is on duty says so at least every `BEAT_S`, and is taken for gone after `DUTY_S` of silence.
BEAT_S = 2.0
DUTY_S = 10.0


class Stream(Protocol):
    """The records in one order for all, tables beside them, and who is on duty.

    Every method may raise FleetError: what is shared can't be reached, or not in time.

    Attributes:
        changed: set when there may be a new record, or a word; whoever waits clears it.
    """

    changed: asyncio.Event

    @property
    def max_record_bytes(self) -> int:
        """How large a record may be, in octets."""

    async def open(self, on_word: Callable[[str], None]) -> None:
        """Connect, if that is not done yet, and make what is missing; `on_word` is told what `tell` says."""

    async def close(self) -> None:
        """Let go."""

    async def end(self) -> tuple[str, int]:
        """What tells this stream from another that took its place, and the place of its last record: 0 without any."""

    async def record(self, sequence: int) -> Record | None:
        """One record; None if it is not there any more."""

    async def append(self, record: Record, after: int) -> int:
        """Append a record behind the one with sequence number `after`; returns its own.

        Raises:
            SupersededError: another one stands there already.
        """

    async def put_table(self, name: str, path: Path) -> None:
        """Keep a file, and let go of older ones."""

    async def get_table(self, name: str, path: Path) -> bool:
        """Write a file that is kept to `path`; False if it is not kept (any more)."""

    async def tables(self) -> list[str]:
        """Names of the files that are kept."""

    async def on_duty(self) -> Duty | None:
        """Who is on duty."""

    async def take_duty(self, duty: Duty) -> bool:
        """Be on duty for the next `DUTY_S` seconds, or go on being; False if another is."""

    async def leave_duty(self) -> None:
        """Let another be on duty."""

    async def attend(self, settings: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Be there for the next `DUTY_S` seconds; returns who is, ourselves included, with their settings."""

    async def tell(self, word: str) -> None:
        """Say a word to all members."""
