"""What is usable of a document's records, as a table: sorted, unique, and what was dropped counted by reason.

A record can be dropped as prefix, host_bits, asn, max_length, ski, public_key, customer or providers, after the member
that is at fault; as expired; as duplicate of one that is kept; and as malformed if it is of another shape altogether.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrtr.errors import PayloadError
from pyrtr.payload.order import IPV4_ROW, IPV6_ROW, Rows, has_host_bits
from pyrtr.payload.table import NEVER, Anchors, Facts, PayloadTable, Times, sort_unique
from pyrtr.payload.values import MAX_ASN, MAX_PROVIDERS, Aspa, RouterKey, provider_union
from pyrtr.sources.base import Loaded
from pyrtr.sources.records.fields import Flags, Octets

ABSENT = -1
"""The max length of a record that has none: it is the prefix length then."""
OUT_OF_RANGE = -2
"""Stands for a number that is not in any range here, and may not fit into 64 bits."""

Columns = tuple[Rows, Times, Anchors]


@dataclass(frozen=True, slots=True)
class VrpRecords:
    """The VRPs of one address family as they stand in a document, an element of each column for one.

    Attributes:
        addresses: n x 4 or n x 16 octets.
        lengths: prefix lengths.
        is_good: whether the prefix is well-formed; where it is not, the two above mean nothing.
        asns: any number, or `OUT_OF_RANGE`.
        max_lengths: any number, `ABSENT`, or `OUT_OF_RANGE`.
        expires: Unix seconds; `NEVER` for no end.
        anchors: which trust anchor each comes from, as an index.
    """

    addresses: Octets
    lengths: Octets
    is_good: Flags
    asns: NDArray[np.int64]
    max_lengths: NDArray[np.int64]
    expires: Times
    anchors: Anchors


def max_length(value: int | None) -> int:
    """What stands in `max_lengths` for that of a record."""
    if value is None:
        return ABSENT
    return value if 0 <= value <= 128 else OUT_OF_RANGE


class Builder:
    """Gathers what is usable of one document at Unix time `now`, and counts what is `dropped`."""

    def __init__(self, now: float) -> None:
        self.dropped: Counter[str] = Counter()
        self._now = now
        self._router_keys: dict[RouterKey, int] = {}
        self._aspas: dict[int, tuple[set[int], int]] = {}

    def vrps(self, *parts: VrpRecords) -> Columns:
        """Sort the usable VRPs of one address family; of two that are the same, the later end counts."""
        row_type = IPV4_ROW if parts[0].addresses.shape[1] == 4 else IPV6_ROW
        columns = []
        for records in parts:
            rows, is_kept = self._rows(records)
            columns.append((rows.view(row_type).reshape(-1), records.expires[is_kept], records.anchors[is_kept]))
        del parts, records  # 20 MB of a million VRPs, which are not needed while they are sorted
        rows_of, expires_of, anchors_of = zip(*columns, strict=True)
        all_rows = np.concatenate(rows_of)
        unique = sort_unique(all_rows, np.concatenate(expires_of), np.concatenate(anchors_of))
        if duplicates := len(all_rows) - len(unique[0]):
            self.dropped["duplicate"] += duplicates
        return unique

    def _rows(self, records: VrpRecords) -> tuple[Octets, Flags]:
        """Lay out the usable VRPs as rows (see `payload.order`); also says which they are."""
        addresses, lengths = records.addresses, records.lengths
        size = addresses.shape[1]
        max_lengths = np.where(records.max_lengths == ABSENT, lengths, records.max_lengths)
        is_kept = np.ones(len(addresses), np.bool_)
        for reason, is_bad in (
            ("prefix", ~records.is_good),
            ("host_bits", has_host_bits(addresses, np.where(records.is_good, lengths, 0))),
            ("asn", (records.asns < 0) | (records.asns > MAX_ASN)),
            ("max_length", (max_lengths < lengths) | (max_lengths > size * 8)),
            ("expired", records.expires <= self._now),
        ):
            is_first = is_bad & is_kept
            if count := int(is_first.sum()):
                self.dropped[reason] += count
                is_kept &= ~is_first
        rows = np.empty((int(is_kept.sum()), size + 6), np.uint8)
        rows[:, :size] = addresses[is_kept]
        rows[:, size] = max_lengths[is_kept]
        rows[:, size + 1] = lengths[is_kept]
        rows[:, size + 2 :] = records.asns[is_kept].astype(">u4").view(np.uint8).reshape(-1, 4)
        return rows, is_kept

    def add_router_key(self, ski: bytes, asn: int, spki: bytes, expires: int = NEVER) -> None:
        """Add a router key; of two that are the same, the later end counts."""
        try:
            key = RouterKey(ski, asn, spki)
        except PayloadError:
            self.dropped["public_key"] += 1
            return
        if expires <= self._now:
            self.dropped["expired"] += 1
            return
        if key in self._router_keys:
            self.dropped["duplicate"] += 1
        self._router_keys[key] = max(expires, self._router_keys.get(key, 0))

    def add_aspa(self, customer: int, providers: set[int], expires: int = NEVER) -> None:
        """Add an ASPA to its customer's: 8210bis §5.12 wants one a customer, the union of its records.

        It ends when the first of them does, since nothing tells which providers came from which.
        """
        if not providers:
            self.dropped["providers"] += 1
        elif expires <= self._now:
            self.dropped["expired"] += 1
        else:
            known, known_expires = self._aspas.get(customer, (set(), NEVER))
            self._aspas[customer] = (known | providers, min(expires, known_expires))

    def _unions(self) -> list[tuple[Aspa, int]]:
        """The ASPAs, ascending by customer, and when each ends."""
        aspas = []
        for customer, (union, expires) in sorted(self._aspas.items()):
            providers = provider_union((union,))
            if len(providers) > MAX_PROVIDERS:  # such an ASPA can't be sent, and a cut one would be false
                self.dropped["providers"] += 1
                continue
            aspas.append((Aspa(customer, providers), expires))
        return aspas

    def build(
        self,
        ipv4: Columns,
        ipv6: Columns,
        anchors: tuple[str, ...],
        *,
        metadata: dict[str, Any],
        build_time: float | None,
        records: dict[str, int],
    ) -> Loaded:
        """All of it, with the VRPs that `vrps` returned, the names of their trust anchors, and what else is known."""
        keys = sorted(self._router_keys.items(), key=lambda item: item[0].sort_key)
        aspas = self._unions()
        return Loaded(
            table=PayloadTable(ipv4[0], ipv6[0], tuple(key for key, _ in keys), tuple(aspa for aspa, _ in aspas)),
            facts=Facts(
                ipv4[1],
                ipv6[1],
                np.array([expires for _, expires in keys], np.int64),
                np.array([expires for _, expires in aspas], np.int64),
                ipv4[2],
                ipv6[2],
                anchors,
            ),
            metadata=metadata,
            build_time=build_time,
            records=records,
            dropped=dict(self.dropped),
        )
