"""What the serving process asks of a compile process, and what that answers."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from pyrtr.compiler.guard import Losses


class Task(StrEnum):
    """What the new table is made of."""

    LOAD = "load"  # the source
    EXPIRE = "expire"  # the current table, without what has expired
    WITHDRAW = "withdraw"  # nothing: the current data may not be served any more


class Job(msgspec.Struct, frozen=True):
    """One compilation.

    Attributes:
        task: what the new table is made of.
        location: path of the source, for LOAD.
        now: Unix time that expiry is judged by.
        current: path of the table that is served now, None where there is none.
        table, delta: paths to write the new table and the delta to. The table is written in any case, since expiry
            times may have moved; the delta only if there is one (see `Report`).
    """

    task: Task
    location: str
    now: float
    current: str | None
    table: str
    delta: str


class Report(msgspec.Struct, frozen=True):
    """What a compilation made.

    Attributes:
        change_count: entries that differ from the current table, or all of them where there was none.
        has_delta: whether there is a delta: there was a table, it changed, and the delta was proved against both.
        is_proved: False if the delta failed its proof. The table is right all the same.
        digest: BLAKE2b-256 of the table file.
        next_expiry: Unix seconds at which the first entry of the new table ends.
        counts: unique payload by kind: ipv4, ipv6, router_keys, aspas.
        vrps_by_anchor: VRPs by trust anchor.
        losses: what the new table takes away from the current one; None where there was none.
        source: what was found in the source; None if it was not looked at.
        seconds: how long each part took.
    """

    change_count: int
    has_delta: bool
    is_proved: bool
    digest: bytes
    next_expiry: int
    counts: dict[str, int]
    vrps_by_anchor: dict[str, int]
    losses: Losses | None
    source: SourceReport | None
    seconds: dict[str, float]


class SourceReport(msgspec.Struct, frozen=True):
    """What was found in the source.

    Attributes:
        metadata, records, dropped: as `sources.rpki_client.Loaded` has them.
        built_at: Unix time from which the age of the data is counted: when the validator wrote it, as it says itself,
            or else when the source was last written to.
    """

    metadata: dict[str, Any]
    records: dict[str, int]
    dropped: dict[str, int]
    built_at: float
