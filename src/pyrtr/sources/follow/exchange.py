"""What the other pyRTR sends, as payload: bodies of `/generation/steps` and `/generation/table` (see `web.generation`).

What does not fit is a SourceError: it is damaged, or made by something else. Whether payload is what the other says
that it is, is for `copy` to find out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pyrtr.errors import PayloadError, SourceError, StoreError
from pyrtr.payload.delta import AspaChange, Delta, KeyChanges, RowChanges
from pyrtr.payload.history import Step
from pyrtr.payload.order import IPV4_ROW, IPV6_ROW, Rows, address_bytes, has_host_bits, octets
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import Aspa, RouterKey
from pyrtr.sources.follow.messages import Standing

_Keys = list[tuple[bytes, int, bytes]]
_Asns = tuple[int, ...]
_Changes = list[tuple[int, _Asns, _Asns]]
RawStep = tuple[int, bytes, tuple[bytes, bytes, bytes, bytes, _Keys, _Keys, _Changes]]
_RawTable = tuple[bytes, bytes, _Keys, list[tuple[int, _Asns]]]


def read_steps(body: bytes) -> tuple[Standing, list[RawStep]]:
    """The body of `/generation/steps`.

    Raises:
        SourceError: it is none.
    """
    try:
        return msgspec.msgpack.decode(body, type=tuple[Standing, list[RawStep]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"its steps can't be read: {error}") from error


def read_table(body: bytes) -> tuple[Standing, PayloadTable, list[RawStep]]:
    """The body of `/generation/table`.

    Raises:
        SourceError: it is none.
    """
    try:
        standing, raw, steps = msgspec.msgpack.decode(body, type=tuple[Standing, _RawTable, list[RawStep]])
        keys, aspas = _keys(raw[2]), tuple(itertools.starmap(Aspa, raw[3]))
        _require_ascending([aspa.customer_asn for aspa in aspas], "ASPA customers")
        table = PayloadTable(_rows(raw[0], IPV4_ROW), _rows(raw[1], IPV6_ROW), keys, aspas)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, PayloadError, ValueError) as error:
        raise SourceError(f"its table can't be read: {error}") from error
    return standing, table, steps


def steps_of(raw_steps: list[RawStep]) -> list[Step]:
    """The steps as values.

    Raises:
        SourceError: what they change is no payload.
    """
    try:
        return [Step(serial, _delta(*raw), content) for serial, content, raw in raw_steps]
    except (PayloadError, ValueError) as error:
        raise SourceError(f"its steps can't be read: {error}") from error


def raw_step(step: Step) -> RawStep:
    """A step as it is sent."""
    delta = step.delta
    changes = [(change.customer_asn, change.old_provider_asns, change.new_provider_asns) for change in delta.aspas]
    raw = (
        delta.ipv4.announce.tobytes(),
        delta.ipv4.withdraw.tobytes(),
        delta.ipv6.announce.tobytes(),
        delta.ipv6.withdraw.tobytes(),
        _raw_keys(delta.router_keys.announce),
        _raw_keys(delta.router_keys.withdraw),
        changes,
    )
    return step.from_serial, step.content, raw


def keep_steps(path: Path, raw_steps: list[RawStep]) -> None:
    """Write steps for `kept_steps` to read.

    Raises:
        StoreError: they can't be written.
    """
    try:
        path.write_bytes(msgspec.msgpack.encode(raw_steps))
    except OSError as error:
        raise StoreError(f"{path} can't be written: {error.strerror}") from error


def kept_steps(path: Path) -> list[Step]:
    """Read the steps that `keep_steps` wrote.

    Raises:
        StoreError: they can't be read.
    """
    try:
        return steps_of(msgspec.msgpack.decode(path.read_bytes(), type=list[RawStep]))
    except (OSError, msgspec.DecodeError, SourceError) as error:
        raise StoreError(f"{path} can't be read: {error}") from error


def _delta(
    ipv4_announce: bytes,
    ipv4_withdraw: bytes,
    ipv6_announce: bytes,
    ipv6_withdraw: bytes,
    keys_announce: _Keys,
    keys_withdraw: _Keys,
    changes: _Changes,
) -> Delta:
    _require_ascending([customer for customer, _, _ in changes], "ASPA customers")
    for customer, old, new in changes:
        if old == new:
            raise ValueError(f"ASPA of AS{customer} does not change")
        if new:
            Aspa(customer, new)  # raises what is wrong with it
    return Delta(
        RowChanges(_rows(ipv4_announce, IPV4_ROW), _rows(ipv4_withdraw, IPV4_ROW)),
        RowChanges(_rows(ipv6_announce, IPV6_ROW), _rows(ipv6_withdraw, IPV6_ROW)),
        KeyChanges(_keys(keys_announce), _keys(keys_withdraw)),
        tuple(itertools.starmap(AspaChange, changes)),
    )


def _raw_keys(keys: tuple[RouterKey, ...]) -> _Keys:
    return [(key.ski, key.asn, key.spki) for key in keys]


def _keys(raw: _Keys) -> tuple[RouterKey, ...]:
    keys = tuple(itertools.starmap(RouterKey, raw))
    _require_ascending([key.sort_key for key in keys], "router keys")
    return keys


def _require_ascending(order: Sequence[Any], what: str) -> None:
    """Otherwise routers would be sent duplicates, or an order that is not the draft's (8210bis §11.2).

    Raises:
        ValueError: it is not ascending, or not unique.
    """
    if any(low >= high for low, high in itertools.pairwise(order)):
        raise ValueError(f"its {what} are not ascending")


def _rows(data: bytes, row_type: np.dtype[np.bytes_]) -> Rows:
    """A column.

    Raises:
        ValueError: it is none of whole rows, ascending and unique, or one of them is no VRP.
    """
    rows = np.frombuffer(data, row_type)
    if not (rows[1:] > rows[:-1]).all():
        raise ValueError("its VRPs are not ascending")
    size = address_bytes(row_type)
    max_lengths, lengths = octets(rows)[:, size], octets(rows)[:, size + 1]
    if (lengths > max_lengths).any() or (max_lengths > size * 8).any():
        raise ValueError("a VRP has a prefix or max length that can't be")
    if has_host_bits(octets(rows)[:, :size], lengths).any():
        raise ValueError("a VRP has host bits")
    return rows
