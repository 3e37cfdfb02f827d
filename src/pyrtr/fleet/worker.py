"""The fleet process: it makes the table that others have published, and proves it.

It lives as long as the serving process. What it knows it is told with each order.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import zstandard

from pyrtr import processes
from pyrtr.errors import DeltaError, SourceError, StoreError
from pyrtr.payload.delta import contains
from pyrtr.payload.history import Step
from pyrtr.payload.order import Rows
from pyrtr.payload.table import NEVER, Anchors, Facts, PayloadTable, Times
from pyrtr.sources.follow.copy import forward, proved
from pyrtr.sources.follow.exchange import RawStep, steps_of
from pyrtr.store.table_file import StoredTable, content_digest, read_table, write_table

# The trust anchor of what came by a step, until the table of who made it is there.
UNKNOWN = "unknown"
# The steps before a table are proved one by one, some 30 ms each with a million VRPs. What is not proved in this time
# is not served from.
PROOF_S = 30.0
_COPY_BYTES = 2**20


class Base(msgspec.Struct, frozen=True):
    """Where to go on from: a table file, its serial, and the digest of its payload."""

    table: str
    serial: int
    content: bytes


class Order(msgspec.Struct, frozen=True):
    """Make a table.

    Attributes:
        base: what the steps lead from; None to take the whole table.
        steps: in order. With `whole` they are those before it.
        whole: path of a table file, compressed by zstd.
        serial, content: of the table that is to be made.
        table: path to write it to.
    """

    base: Base | None
    steps: list[RawStep]
    whole: str | None
    serial: int
    content: bytes
    table: str


class Made(msgspec.Struct, frozen=True):
    """What came of an order.

    Attributes:
        digest: BLAKE2b-256 of the table file; None if what there is leads to another payload.
        mismatch: how it differs; None if it does not.
        proved_count: how many of the last steps hold, and may be served from.
    """

    digest: bytes | None
    mismatch: str | None
    proved_count: int


def make(order: Order) -> Made:
    """Carry out an order.

    Raises:
        SourceError: a file of the order can't be read.
        StoreError: the table can't be written.
    """
    steps = steps_of(order.steps)
    try:
        if order.base is not None:
            return _onward(order, order.base, steps)
        return _whole(order, steps)
    except DeltaError as error:
        return Made(None, str(error), 0)


def _onward(order: Order, base: Base, steps: Sequence[Step]) -> Made:
    """Go on from a base."""
    try:
        stored = read_table(Path(base.table), is_mapped=True)
    except StoreError as error:
        raise DeltaError(str(error)) from error
    table = forward(stored.table, (base.serial, base.content), steps, (order.serial, order.content))
    if content_digest(table) != order.content:
        raise DeltaError(f"serial {order.serial} differs from what it says it is")
    digest = write_table(Path(order.table), table, carried(stored, table))
    return Made(digest, None, len(steps))


def _whole(order: Order, steps: Sequence[Step]) -> Made:
    """Take a whole table, and as many of the steps to it as hold."""
    assert order.whole is not None
    try:
        with Path(order.whole).open("rb") as packed, Path(order.table).open("wb") as file:
            zstandard.ZstdDecompressor().copy_stream(packed, file, write_size=_COPY_BYTES)
            file.flush()
            os.fsync(file.fileno())
        stored = read_table(Path(order.table), is_mapped=True)
    except (OSError, zstandard.ZstdError, StoreError) as error:
        raise SourceError(f"the table of serial {order.serial} can't be read: {error}") from error
    if content_digest(stored.table) != order.content:
        raise DeltaError(f"the table of serial {order.serial} is not what the stream says it is")
    started = time.perf_counter()
    try:
        kept = proved(stored.table, order.serial, steps, lambda: time.perf_counter() > started + PROOF_S)
    except DeltaError:  # without them, routers that are behind take the whole table
        kept = ()
    return Made(stored.digest, None, len(kept))


def carried(stored: StoredTable, table: PayloadTable) -> Facts:
    """What is known of the entries of `table` from one before it; nothing of those that are new."""
    old, facts = stored.table, stored.facts
    anchors = facts.anchors if UNKNOWN in facts.anchors else (*facts.anchors, UNKNOWN)
    unknown = anchors.index(UNKNOWN)
    ipv4 = _carried_rows(old.ipv4, facts.ipv4_expires, facts.ipv4_anchors, table.ipv4, unknown)
    ipv6 = _carried_rows(old.ipv6, facts.ipv6_expires, facts.ipv6_anchors, table.ipv6, unknown)
    keys = dict(zip(old.router_keys, facts.router_keys_expires.tolist(), strict=True))
    aspas = dict(zip(old.aspas, facts.aspas_expires.tolist(), strict=True))
    return Facts(
        ipv4[0],
        ipv6[0],
        np.array([keys.get(key, NEVER) for key in table.router_keys], np.int64),
        np.array([aspas.get(aspa, NEVER) for aspa in table.aspas], np.int64),
        ipv4[1],
        ipv6[1],
        anchors,
    )


def _carried_rows(old: Rows, expires: Times, codes: Anchors, new: Rows, unknown: int) -> tuple[Times, Anchors]:
    is_known = contains(old, new)
    places = np.searchsorted(old, new[is_known])
    new_expires, new_codes = np.full(len(new), NEVER, np.int64), np.full(len(new), unknown, np.uint16)
    new_expires[is_known], new_codes[is_known] = expires[places], codes[places]
    return new_expires, new_codes


if __name__ == "__main__":
    processes.answer_all(Order, make)
