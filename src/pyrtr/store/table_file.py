"""Tables and deltas as files of columns: VRPs as they are packed, router keys and ASPAs as MessagePack."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pyrtr.errors import StoreError
from pyrtr.payload.delta import AspaChange, Delta, KeyChanges, RowChanges
from pyrtr.payload.order import IPV4_ROW, IPV6_ROW
from pyrtr.payload.provenance import Origin, OriginKind, Provenance, parts
from pyrtr.payload.table import Facts, PayloadTable
from pyrtr.payload.values import Aspa, RouterKey
from pyrtr.store import columns

_KeyTuples = list[tuple[bytes, int, bytes]]
_AspaTuples = list[tuple[int, tuple[int, ...]]]
_ChangeTuples = list[tuple[int, tuple[int, ...], tuple[int, ...]]]


_OCTETS = np.dtype(np.uint8)
_FACTS: dict[str, np.dtype[Any]] = {
    "ipv4_expires": np.dtype(np.int64),
    "ipv6_expires": np.dtype(np.int64),
    "router_keys_expires": np.dtype(np.int64),
    "aspas_expires": np.dtype(np.int64),
    "ipv4_anchors": np.dtype(np.uint16),
    "ipv6_anchors": np.dtype(np.uint16),
}
_TABLE_COLUMNS: dict[str, np.dtype[Any]] = {
    "ipv4": IPV4_ROW,
    "ipv6": IPV6_ROW,
    "router_keys": _OCTETS,
    "aspas": _OCTETS,
    **_FACTS,
}
_DELTA_COLUMNS = {
    "ipv4_announce": IPV4_ROW,
    "ipv4_withdraw": IPV4_ROW,
    "ipv6_announce": IPV6_ROW,
    "ipv6_withdraw": IPV6_ROW,
    "router_keys_announce": _OCTETS,
    "router_keys_withdraw": _OCTETS,
    "aspas": _OCTETS,
}


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table, what is known of its entries, and the digest of its file."""

    table: PayloadTable
    facts: Facts
    digest: bytes


def write_table(path: Path, table: PayloadTable, facts: Facts) -> bytes:
    """Write a table; returns the digest of the file.

    Raises:
        StoreError: as in `columns.write`.
    """
    data = {**_payload_columns(table), **{name: getattr(facts, name) for name in _FACTS}}
    return columns.write(path, data, {"anchors": facts.anchors})


def read_table(path: Path, *, is_mapped: bool = False) -> StoredTable:
    """Read a table.

    Args:
        path: its file.
        is_mapped: map it instead. A file that is cut or overwritten in place then takes the table with it, so this is
            for a process that ends when it is done.

    Raises:
        StoreError: as in `columns.read`, or the file holds something else.
    """
    data, meta, digest = columns.read(path, is_mapped=is_mapped)
    if {name: column.dtype for name, column in data.items()} != _TABLE_COLUMNS:
        raise StoreError(f"{path} holds other columns than it should: {', '.join(data)}")
    aspas = msgspec.msgpack.decode(data["aspas"].data, type=_AspaTuples)
    return StoredTable(
        PayloadTable(
            data["ipv4"], data["ipv6"], _octets_to_keys(data["router_keys"]), tuple(Aspa(*aspa) for aspa in aspas)
        ),
        Facts(anchors=tuple(meta["anchors"]), **{name: data[name] for name in _FACTS}),
        digest,
    )


def content_digest(table: PayloadTable) -> bytes:
    """BLAKE2b-256 of the payload alone: the same for the same set, whatever is known of it besides."""
    state = hashlib.blake2b(digest_size=columns.DIGEST_BYTES)
    for column in _payload_columns(table).values():
        state.update(len(column).to_bytes(8, "little"))
        state.update(np.ascontiguousarray(column).view(np.uint8).data)
    return state.digest()


def write_delta(path: Path, delta: Delta, provenance: Provenance | None = None) -> None:
    """Write a delta, and what brought about its changes.

    Raises:
        StoreError: as in `columns.write`.
    """
    columns.write(path, *_delta_columns(delta, provenance))


def encode_delta(delta: Delta, provenance: Provenance | None) -> bytes:
    """The octets that `write_delta` writes."""
    return b"".join(columns.encode(*_delta_columns(delta, provenance)))


def _delta_columns(delta: Delta, provenance: Provenance | None) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    changes = [(change.customer_asn, change.old_provider_asns, change.new_provider_asns) for change in delta.aspas]
    data = {
        "ipv4_announce": delta.ipv4.announce,
        "ipv4_withdraw": delta.ipv4.withdraw,
        "ipv6_announce": delta.ipv6.announce,
        "ipv6_withdraw": delta.ipv6.withdraw,
        "router_keys_announce": _keys_to_octets(delta.router_keys.announce),
        "router_keys_withdraw": _keys_to_octets(delta.router_keys.withdraw),
        "aspas": _octets(changes),
    }
    if provenance is None:
        return data, {}
    known = {f"{name}_by": codes for name, codes in provenance.by.items()}
    known |= {f"{name}_anchors": codes for name, codes in provenance.anchors.items()}
    return {**data, **known}, {"origins": provenance.origins, "anchors": provenance.anchor_names}


def read_delta(path: Path) -> Delta:
    """Read a delta, without what brought about its changes.

    Raises:
        StoreError: as in `columns.read`, or the file holds something else.
    """
    data, _, _ = columns.read(path, is_mapped=False)
    return _delta_of(data, str(path))


def decode_delta(octets: bytes, name: str) -> tuple[Delta, Provenance | None]:
    """A delta, and what brought about its changes, from octets that `encode_delta` made.

    Args:
        octets: all of them.
        name: what errors call them.

    Raises:
        StoreError: they are damaged, or something else.
    """
    data, meta, _ = columns.decode(memoryview(octets), name)
    delta = _delta_of(data, name)
    if not meta:
        return delta, None
    return delta, Provenance(
        by={part: data[f"{part}_by"] for part in parts(delta)},
        origins=tuple(Origin(OriginKind(kind), origin) for kind, origin in meta["origins"]),
        anchors={part: data[column] for part in parts(delta) if (column := f"{part}_anchors") in data},
        anchor_names=tuple(meta["anchors"]),
    )


def _delta_of(data: Mapping[str, NDArray[Any]], name: str) -> Delta:
    if {column: data[column].dtype for column in _DELTA_COLUMNS if column in data} != _DELTA_COLUMNS:
        raise StoreError(f"{name} holds other columns than it should: {', '.join(data)}")
    changes = msgspec.msgpack.decode(data["aspas"].data, type=_ChangeTuples)
    return Delta(
        RowChanges(data["ipv4_announce"], data["ipv4_withdraw"]),
        RowChanges(data["ipv6_announce"], data["ipv6_withdraw"]),
        KeyChanges(_octets_to_keys(data["router_keys_announce"]), _octets_to_keys(data["router_keys_withdraw"])),
        tuple(AspaChange(*change) for change in changes),
    )


def _payload_columns(table: PayloadTable) -> dict[str, NDArray[Any]]:
    return {
        "ipv4": table.ipv4,
        "ipv6": table.ipv6,
        "router_keys": _keys_to_octets(table.router_keys),
        "aspas": _octets([(aspa.customer_asn, aspa.provider_asns) for aspa in table.aspas]),
    }


def _octets(value: object) -> NDArray[np.uint8]:
    return np.frombuffer(msgspec.msgpack.encode(value), np.uint8)


def _keys_to_octets(keys: tuple[RouterKey, ...]) -> NDArray[np.uint8]:
    return _octets([(key.ski, key.asn, key.spki) for key in keys])


def _octets_to_keys(octets: NDArray[np.uint8]) -> tuple[RouterKey, ...]:
    return tuple(RouterKey(*key) for key in msgspec.msgpack.decode(octets.data, type=_KeyTuples))
