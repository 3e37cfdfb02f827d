"""One set of payload: sorted, unique, packed columns that are never changed after they are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from pyrtr.payload.order import IPV4_ROW, IPV6_ROW, Rows, rows_of
from pyrtr.payload.values import MAX_PROVIDERS, VRP, Aspa, RouterKey, provider_union

Times = NDArray[np.int64]
Anchors = NDArray[np.uint16]
NEVER = 2**62  # an expiry time later than any clock, for payload that comes without one


@dataclass(frozen=True, slots=True, eq=False)
class PayloadTable:
    """The payload of one snapshot.

    Attributes:
        ipv4, ipv6: VRPs as rows (see `order`), ascending, unique.
        router_keys: ascending by `RouterKey.sort_key`, unique.
        aspas: ascending by customer, one a customer.
    """

    ipv4: Rows
    ipv6: Rows
    router_keys: tuple[RouterKey, ...] = ()
    aspas: tuple[Aspa, ...] = ()

    @classmethod
    def of(cls, payload: Iterable[VRP | RouterKey | Aspa] = ()) -> PayloadTable:
        """A table of single values, in any order, duplicates allowed; of two ASPAs of a customer the later stays."""
        payload = list(payload)
        vrps = [value for value in payload if isinstance(value, VRP)]
        keys = {value for value in payload if isinstance(value, RouterKey)}
        aspas = {value.customer_asn: value for value in payload if isinstance(value, Aspa)}
        return cls(
            ipv4=rows_of(vrps, IPV4_ROW),
            ipv6=rows_of(vrps, IPV6_ROW),
            router_keys=tuple(sorted(keys, key=lambda key: key.sort_key)),
            aspas=tuple(aspas[customer] for customer in sorted(aspas)),
        )

    @property
    def vrp_count(self) -> int:
        """Unique VRPs of both address families."""
        return len(self.ipv4) + len(self.ipv6)

    @property
    def counts(self) -> dict[str, int]:
        """Unique payload by kind."""
        return {
            "ipv4": len(self.ipv4),
            "ipv6": len(self.ipv6),
            "router_keys": len(self.router_keys),
            "aspas": len(self.aspas),
        }

    def __len__(self) -> int:
        return self.vrp_count + len(self.router_keys) + len(self.aspas)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PayloadTable):
            return NotImplemented
        return (
            np.array_equal(self.ipv4, other.ipv4)
            and np.array_equal(self.ipv6, other.ipv6)
            and self.router_keys == other.router_keys
            and self.aspas == other.aspas
        )

    __hash__ = None  # type: ignore[assignment]  # compared by content, which is too large to hash


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What is known of a table's entries besides the payload, in the order of its columns.

    Attributes:
        ipv4_expires, ipv6_expires, router_keys_expires, aspas_expires: Unix seconds at which each entry ends.
        ipv4_anchors, ipv6_anchors: the trust anchor of each VRP, as an index into `anchors`.
        anchors: names of the trust anchors.
    """

    ipv4_expires: Times
    ipv6_expires: Times
    router_keys_expires: Times
    aspas_expires: Times
    ipv4_anchors: Anchors
    ipv6_anchors: Anchors
    anchors: tuple[str, ...] = ()

    @property
    def next_expiry(self) -> int:
        """When the first entry ends; `NEVER` if none does."""
        columns = (self.ipv4_expires, self.ipv6_expires, self.router_keys_expires, self.aspas_expires)
        return min((int(column.min()) for column in columns if len(column)), default=NEVER)


NOTHING = PayloadTable(np.empty(0, IPV4_ROW), np.empty(0, IPV6_ROW))
_NO_TIMES = np.empty(0, np.int64)
_NO_ANCHORS = np.empty(0, np.uint16)
NO_FACTS = Facts(_NO_TIMES, _NO_TIMES, _NO_TIMES, _NO_TIMES, _NO_ANCHORS, _NO_ANCHORS)


def endless(table: PayloadTable, anchor: str) -> Facts:
    """Facts of a table of which no more is known: no entry ends by itself, and all VRPs are of one trust anchor."""

    def never(count: int) -> Times:
        return np.full(count, NEVER, np.int64)

    return Facts(
        never(len(table.ipv4)),
        never(len(table.ipv6)),
        never(len(table.router_keys)),
        never(len(table.aspas)),
        np.zeros(len(table.ipv4), np.uint16),
        np.zeros(len(table.ipv6), np.uint16),
        (anchor,),
    )


def unexpired(table: PayloadTable, facts: Facts, now: float) -> tuple[PayloadTable, Facts]:
    """What is left of a table at Unix time `now`: an entry ends when its `expires` is reached."""
    ipv4, ipv6 = facts.ipv4_expires > now, facts.ipv6_expires > now
    keys, aspas = facts.router_keys_expires > now, facts.aspas_expires > now
    return (
        PayloadTable(
            table.ipv4[ipv4],
            table.ipv6[ipv6],
            tuple(compress(table.router_keys, keys)),
            tuple(compress(table.aspas, aspas)),
        ),
        Facts(
            facts.ipv4_expires[ipv4],
            facts.ipv6_expires[ipv6],
            facts.router_keys_expires[keys],
            facts.aspas_expires[aspas],
            facts.ipv4_anchors[ipv4],
            facts.ipv6_anchors[ipv6],
            facts.anchors,
        ),
    )


def count_by_anchor(facts: Facts) -> dict[str, int]:
    """VRPs of each trust anchor."""
    counts = np.bincount(np.concatenate((facts.ipv4_anchors, facts.ipv6_anchors)), minlength=len(facts.anchors))
    return {name: int(count) for name, count in zip(facts.anchors, counts, strict=True)}


def sort_unique(rows: Rows, expires: Times, anchors: Anchors) -> tuple[Rows, Times, Anchors]:
    """Sort rows ascending and merge equal ones, which then expire when the last of them does.

    Of the trust anchors of equal rows the first is kept.
    """
    if len(rows) == 0:
        return rows, expires, anchors
    order = np.argsort(rows, kind="stable")
    rows, expires = rows[order], expires[order]
    starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
    return rows[starts], np.maximum.reduceat(expires, starts), anchors[order][starts]


def merged(parts: Sequence[tuple[PayloadTable, Facts]]) -> tuple[PayloadTable, Facts, int]:
    """The union of tables, and how many ASPAs were left out because that of their providers does not fit a PDU.

    A VRP or router key that several hold ends when the last of them does, and has the trust anchor of the first. ASPAs
    of one customer become one with the providers of all of them (8210bis §5.12), AS 0 only where it is alone; it ends
    when the first of them does, since the union is another one then.
    """
    if len(parts) == 1:
        return (*parts[0], 0)
    names = tuple(dict.fromkeys(name for _, facts in parts for name in facts.anchors))
    keys: dict[RouterKey, int] = {}
    lists: dict[int, list[tuple[int, ...]]] = {}
    ends: dict[int, int] = {}
    for table, facts in parts:
        for key, expires in zip(table.router_keys, facts.router_keys_expires.tolist(), strict=True):
            keys[key] = max(expires, keys.get(key, 0))
        for aspa, expires in zip(table.aspas, facts.aspas_expires.tolist(), strict=True):
            lists.setdefault(aspa.customer_asn, []).append(aspa.provider_asns)
            ends[aspa.customer_asn] = min(expires, ends.get(aspa.customer_asn, NEVER))
    unions = {customer: provider_union(lists[customer]) for customer in sorted(lists)}
    # 8210bis §5.1: a larger ASPA does not fit a PDU, and a cut one would be false.
    aspas = [Aspa(customer, union) for customer, union in unions.items() if len(union) <= MAX_PROVIDERS]
    ordered_keys = sorted(keys, key=lambda key: key.sort_key)

    def anchors(codes: Anchors, facts: Facts) -> Anchors:
        return np.array([names.index(name) for name in facts.anchors], np.uint16)[codes]

    ipv4, ipv4_expires, ipv4_anchors = sort_unique(
        np.concatenate([table.ipv4 for table, _ in parts]),
        np.concatenate([facts.ipv4_expires for _, facts in parts]),
        np.concatenate([anchors(facts.ipv4_anchors, facts) for _, facts in parts]),
    )
    ipv6, ipv6_expires, ipv6_anchors = sort_unique(
        np.concatenate([table.ipv6 for table, _ in parts]),
        np.concatenate([facts.ipv6_expires for _, facts in parts]),
        np.concatenate([anchors(facts.ipv6_anchors, facts) for _, facts in parts]),
    )
    return (
        PayloadTable(ipv4, ipv6, tuple(ordered_keys), tuple(aspas)),
        Facts(
            ipv4_expires,
            ipv6_expires,
            np.array([keys[key] for key in ordered_keys], np.int64),
            np.array([ends[aspa.customer_asn] for aspa in aspas], np.int64),
            ipv4_anchors,
            ipv6_anchors,
            names,
        ),
        len(unions) - len(aspas),
    )
