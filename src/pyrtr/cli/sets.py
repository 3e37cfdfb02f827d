"""Sets of payload side by side: where each comes from, what of them can be compared, and how they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyrtr.cli.writers import vrp_fields
from pyrtr.payload.delta import AspaChange, Delta, difference
from pyrtr.payload.order import Rows
from pyrtr.payload.table import Anchors, Facts, PayloadTable
from pyrtr.session.router import Held
from pyrtr.wire.enums import PDU_TYPES, PduType

# What the lowest versions lack, by the names that the API has for it.
_OPTIONAL = {"router_keys": PduType.ROUTER_KEY, "aspas": PduType.ASPA}
_SIGNS = {"withdraw": "-", "announce": "+", "replace": "~"}

Change = dict[str, Any]
"""One difference, as the API shows changes."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A set, and where it comes from.

    Attributes:
        name: as it may be shown.
        table: the set.
        facts: what is known of its entries besides; None of what a cache has.
        held: what the cache said; None of a document.
    """

    name: str
    table: PayloadTable
    facts: Facts | None = None
    held: Held | None = None

    @property
    def lacks(self) -> frozenset[str]:
        """The kinds of payload that its RTR version does not have."""
        if self.held is None:
            return frozenset()
        return frozenset(kind for kind, pdu in _OPTIONAL.items() if pdu not in PDU_TYPES[self.held.version])

    def describe(self) -> dict[str, object]:
        """What it is, for JSON."""
        told: dict[str, object] = {"location": self.name, **self.table.counts}
        if self.held is not None:
            state = self.held.state
            told |= {"version": self.held.version.name, "session": state.session_id, "serial": state.serial}
        return told


def not_compared(sides: Sequence[Side]) -> list[str]:
    """The kinds of payload that one of the sets can't have."""
    return sorted(frozenset[str]().union(*(side.lacks for side in sides)))


def reduced(table: PayloadTable, without: Sequence[str]) -> PayloadTable:
    """The set without some kinds of payload."""
    keys = () if "router_keys" in without else table.router_keys
    return replace(table, router_keys=keys, aspas=() if "aspas" in without else table.aspas)


class Comparison:
    """What takes one set to another, as far as both can have it.

    Attributes:
        old, new: the sets.
        left_out: the kinds of payload that are not compared.
        delta: what only the old one has, and what only the new one has.
    """

    def __init__(self, old: Side, new: Side) -> None:
        self.old, self.new = old, new
        self.left_out = not_compared((old, new))
        self.delta: Delta = difference(reduced(old.table, self.left_out), reduced(new.table, self.left_out))

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many differences there are, by what happens and the kind of payload."""
        delta, aspas = self.delta, [_aspa_action(change) for change in self.delta.aspas]
        return {
            "withdrawn": {
                "vrps": len(delta.ipv4.withdraw) + len(delta.ipv6.withdraw),
                "router_keys": len(delta.router_keys.withdraw),
                "aspas": aspas.count("withdraw"),
            },
            "announced": {
                "vrps": len(delta.ipv4.announce) + len(delta.ipv6.announce),
                "router_keys": len(delta.router_keys.announce),
                "aspas": aspas.count("announce"),
            },
            "replaced": {"aspas": aspas.count("replace")},
        }

    @property
    def counts_by_anchor(self) -> dict[str, dict[str, int]]:
        """How many VRPs come and go of each trust anchor, where that is known."""
        counts: dict[str, dict[str, int]] = {}
        for action, side in (("withdrawn", self.old), ("announced", self.new)):
            if side.facts is None:
                continue
            rows = (self.delta.ipv4, self.delta.ipv6)
            changed = [part.withdraw if action == "withdrawn" else part.announce for part in rows]
            codes = np.concatenate([_anchors(side, part) for part in changed])
            for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
                by_action = counts.setdefault(side.facts.anchors[code], {"withdrawn": 0, "announced": 0})
                by_action[action] = int(count)
        return dict(sorted(counts.items()))

    def changes(self) -> Iterator[Change]:
        """The differences one by one: VRPs, router keys, ASPAs; what goes before what comes."""
        for part in (self.delta.ipv4, self.delta.ipv6):
            yield from _vrp_changes("withdraw", self.old, part.withdraw)
            yield from _vrp_changes("announce", self.new, part.announce)
        for action, keys in (
            ("withdraw", self.delta.router_keys.withdraw),
            ("announce", self.delta.router_keys.announce),
        ):
            for key in keys:
                yield {"action": action, "kind": "router_key", "asn": key.asn, "ski": key.ski.hex()}
        for change in self.delta.aspas:
            yield {
                "action": _aspa_action(change),
                "kind": "aspa",
                "customer_asn": change.customer_asn,
                "old_provider_asns": list(change.old_provider_asns),
                "new_provider_asns": list(change.new_provider_asns),
            }


def worded(change: Change) -> str:
    """A difference as one line."""
    sign = _SIGNS[change["action"]]
    match change["kind"]:
        case "vrp":
            anchor = "" if change["ta"] is None else f" ({change['ta']})"
            return f"{sign} VRP {change['prefix']} up to /{change['max_length']} of AS{change['asn']}{anchor}"
        case "router_key":
            return f"{sign} router key {change['ski']} of AS{change['asn']}"
        case _:
            old, new = (" ".join(f"AS{asn}" for asn in change[f"{age}_provider_asns"]) for age in ("old", "new"))
            return f"{sign} ASPA of AS{change['customer_asn']}: " + " -> ".join(filter(None, (old, new)))


def _aspa_action(change: AspaChange) -> str:
    if not change.old_provider_asns:
        return "announce"
    return "replace" if change.new_provider_asns else "withdraw"


def _vrp_changes(action: str, side: Side, rows: Rows) -> Iterator[Change]:
    names = () if side.facts is None else side.facts.anchors
    anchors = iter(_anchors(side, rows).tolist())
    for prefix, max_length, asn in vrp_fields(rows):
        anchor = None if side.facts is None else names[next(anchors)]
        yield {
            "action": action, "kind": "vrp", "prefix": prefix, "max_length": max_length, "asn": asn, "ta": anchor,
        }  # fmt: skip


def _anchors(side: Side, rows: Rows) -> Anchors:
    """The trust anchors of some of the VRPs of a set, of one address family; none where they are not known."""
    if side.facts is None:
        return np.empty(0, np.uint16)
    is_ipv4 = rows.dtype == side.table.ipv4.dtype
    held, anchors = (
        (side.table.ipv4, side.facts.ipv4_anchors) if is_ipv4 else (side.table.ipv6, side.facts.ipv6_anchors)
    )
    return anchors[np.searchsorted(held, rows)]
