"""Two sets side by side, against plain sets as the oracle."""

from __future__ import annotations

from ipaddress import ip_network

import numpy as np
import pytest
from hypothesis import given
from tests.examples import aspa, key, vrp
from tests.property.strategies import payload_lists

from pyrtr.cli.sets import Comparison, Side, not_compared, worded
from pyrtr.payload.order import vrps_of
from pyrtr.payload.serial import State
from pyrtr.payload.table import Facts, PayloadTable, endless
from pyrtr.payload.values import VRP, Aspa, RouterKey
from pyrtr.session.router import Held
from pyrtr.wire.enums import Version
from pyrtr.wire.pdu import Timing

Value = VRP | RouterKey | Aspa


def document(*values: Value) -> Side:
    table = PayloadTable.of(values)
    return Side("file", table, endless(table, "ripe"))


def cache(version: Version, *values: Value) -> Side:
    table = PayloadTable.of(values)
    return Side("cache", table, held=Held(version, State(7, 8), table, Timing(), 0.0))


def values_of(change: dict[str, object]) -> object:
    match change["kind"]:
        case "vrp":
            return VRP(ip_network(str(change["prefix"])), int(str(change["max_length"])), int(str(change["asn"])))
        case "router_key":
            return change["asn"], change["ski"]
        case _:
            return change["customer_asn"]


@given(payload_lists, payload_lists)
def test_each_difference_is_told_once(old, new):
    old, new = document(*old), document(*new)
    comparison = Comparison(old, new)
    changes = [*comparison.changes()]
    counts = comparison.counts
    assert len(changes) == len(comparison.delta) == sum(sum(kinds.values()) for kinds in counts.values())

    def vrps(side: Side) -> set[VRP]:
        return {value for value in values(side) if isinstance(value, VRP)}

    for action, expected in (("withdraw", vrps(old) - vrps(new)), ("announce", vrps(new) - vrps(old))):
        told = [values_of(change) for change in changes if (change["kind"], change["action"]) == ("vrp", action)]
        assert (set(told), len(told)) == (expected, len(expected))
    before, after = ({aspa.customer_asn: aspa for aspa in side.table.aspas} for side in (old, new))
    assert counts["replaced"]["aspas"] == sum(before[asn] != after[asn] for asn in before.keys() & after.keys())
    assert counts["announced"]["aspas"] == len(after.keys() - before.keys())
    assert counts["announced"]["router_keys"] == len({*new.table.router_keys} - {*old.table.router_keys})
    assert sum(sum(actions.values()) for actions in comparison.counts_by_anchor.values()) == (
        counts["withdrawn"]["vrps"] + counts["announced"]["vrps"]
    )
    assert all(worded(change) for change in changes)


def values(side: Side) -> list[object]:
    return [*vrps_of(side.table.ipv4), *vrps_of(side.table.ipv6), *side.table.router_keys, *side.table.aspas]


ALL = (vrp("192.0.2.0/24", 24, 64496), key(), aspa(64496, 64497))


@pytest.mark.parametrize(
    ("version", "lacking"), [(Version.V0, ["aspas", "router_keys"]), (Version.V1, ["aspas"]), (Version.V2, [])]
)
def test_what_a_version_does_not_carry_is_not_compared(version, lacking):
    carried = ALL[: 3 - len(lacking)]
    comparison = Comparison(document(*ALL), cache(version, *carried))
    assert (comparison.left_out, len(comparison.delta)) == (lacking, 0)
    assert len(Comparison(document(*ALL), cache(version)).delta) == len(carried)
    assert not_compared([document(), cache(version), cache(Version.V1)]) == sorted({*lacking, "aspas"})


def test_differences_name_the_trust_anchors_that_are_known():
    table = PayloadTable.of([vrp("192.0.2.0/24", 24, 1), vrp("198.51.100.0/24", 24, 1), vrp("2001:db8::/32", 32, 1)])
    never = np.zeros(0, np.int64)
    facts = Facts(never, never, never, never, np.array([1, 0], np.uint16), np.array([1], np.uint16), ("arin", "ripe"))
    comparison = Comparison(Side("a", table, facts), cache(Version.V2, vrp("203.0.113.0/24", 25, 0)))
    assert [worded(change) for change in comparison.changes()] == [
        "- VRP 192.0.2.0/24 up to /24 of AS1 (ripe)",
        "- VRP 198.51.100.0/24 up to /24 of AS1 (arin)",
        "+ VRP 203.0.113.0/24 up to /25 of AS0",
        "- VRP 2001:db8::/32 up to /32 of AS1 (ripe)",
    ]
    assert comparison.counts_by_anchor == {
        "arin": {"withdrawn": 1, "announced": 0},
        "ripe": {"withdrawn": 2, "announced": 0},
    }


def test_other_kinds_in_words():
    changes = Comparison(document(key(), aspa(1, 2), aspa(3, 4)), document(aspa(1, 2, 5), aspa(6, 7))).changes()
    assert [worded(change) for change in changes] == [
        "- router key 00112233445566778899aabbccddeeff01234567 of AS64496",
        "~ ASPA of AS1: AS2 -> AS2 AS5",
        "- ASPA of AS3: AS4",
        "+ ASPA of AS6: AS7",
    ]
