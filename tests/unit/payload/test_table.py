"""Tables: sorted, unique, compared by content."""

import numpy as np
import pytest
from tests.examples import NASTY, Payload, aspa, key, vrp
from tests.generations import facts_of

from pyrtr.payload.order import IPV4_ROW, IPV6_ROW, pack_vrp, vrps_of
from pyrtr.payload.table import NEVER, Facts, PayloadTable, count_by_anchor, merged, sort_unique, unexpired
from pyrtr.payload.values import MAX_PROVIDERS, Aspa, RouterKey

KEYS_ASCENDING = [  # 8210bis §11.2.2: SKI, SPKI length, SPKI, ASN
    key(9, ski=bytes(20), spki=bytes.fromhex("30050203010001")),
    key(9, ski=bytes(19) + b"\x01", spki=bytes.fromhex("3000")),
    key(9, ski=b"\x80" + bytes(19), spki=bytes.fromhex("3000")),
    key(9, ski=b"\x80" + bytes(19), spki=bytes.fromhex("3003020101")),
    key(1, ski=b"\x80" + bytes(19), spki=bytes.fromhex("3003020180")),
    key(2, ski=b"\x80" + bytes(19), spki=bytes.fromhex("3003020180")),
    key(0x100, ski=b"\x80" + bytes(19), spki=bytes.fromhex("3003020180")),
    key(0, ski=b"\x80" + bytes(19), spki=bytes.fromhex("300402020080")),
]


def test_router_keys_are_ascending():
    assert list(PayloadTable.of(reversed(KEYS_ASCENDING)).router_keys) == KEYS_ASCENDING


def test_aspas_are_ascending_by_customer_and_the_later_of_two_stays():
    table = PayloadTable.of([aspa(64511, 1), aspa(64496, 0), aspa(256, 2), aspa(64496, 64497)])
    assert table.aspas == (aspa(256, 2), aspa(64496, 64497), aspa(64511, 1))


def test_duplicates_count_once():
    table = PayloadTable.of([*NASTY, *NASTY])
    vrps, keys = len(vrps_of(table.ipv4)) + len(vrps_of(table.ipv6)), len(table.router_keys)
    assert table.vrp_count == vrps == 16
    assert keys == len([value for value in NASTY if isinstance(value, RouterKey)])
    assert len(table) == vrps + keys + len({value.customer_asn for value in NASTY if isinstance(value, Aspa)})


def test_an_empty_table_has_columns():
    table = PayloadTable.of()
    assert (len(table), table.vrp_count) == (0, 0)
    assert (table.ipv4.dtype, table.ipv6.dtype) == (IPV4_ROW, IPV6_ROW)
    assert table == PayloadTable.of([])


@pytest.mark.parametrize(
    "change",
    [vrp("198.51.100.0/24", 24, 0), vrp("2001:db8::/32", 32, 1), key(64511), aspa(64496, 64511)],
    ids=["IPv4", "IPv6", "router key", "ASPA"],
)
def test_tables_are_equal_by_content(change):
    payload = [value for value in NASTY if not isinstance(value, Aspa)] + [aspa(64496, 64497), aspa(64497, 0)]
    assert PayloadTable.of(payload) == PayloadTable.of(reversed(payload))
    assert PayloadTable.of(payload) != PayloadTable.of([*payload, change])
    assert PayloadTable.of(payload) != object()


def test_a_table_has_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(PayloadTable.of())


def test_equal_rows_expire_when_the_last_of_them_does():
    zero, one, other = vrp("0.0.0.0/0", 0, 0), vrp("0.0.0.0/0", 0, 0x100), vrp("192.0.2.0/24", 24, 64496)
    given = [(other, 50), (zero, 30), (one, 20), (zero, 10), (other, NEVER), (zero, 40)]
    rows, expires, anchors = sort_unique(
        np.frombuffer(b"".join(pack_vrp(value) for value, _ in given), IPV4_ROW),
        np.array([time for _, time in given], np.int64),
        np.arange(len(given), dtype=np.uint16),
    )
    assert vrps_of(rows) == [zero, one, other]
    assert expires.tolist() == [40, 20, NEVER]
    assert anchors.tolist() == [1, 2, 0]  # the first of each


def test_nothing_sorted_is_nothing():
    rows, expires, anchors = sort_unique(np.empty(0, IPV6_ROW), np.empty(0, np.int64), np.empty(0, np.uint16))
    assert (len(rows), rows.dtype, len(expires), len(anchors)) == (0, IPV6_ROW, 0, 0)


def test_what_has_expired_is_left_out():
    table = PayloadTable.of(NASTY)
    ends = [
        np.arange(100, 100 + size, dtype=np.int64)
        for size in (len(table.ipv4), len(table.ipv6), len(table.router_keys), len(table.aspas))
    ]
    anchors = [np.arange(len(column), dtype=np.uint16) for column in (table.ipv4, table.ipv6)]
    names = tuple(f"ta{number}" for number in range(max(map(len, anchors))))
    facts = Facts(*ends, *anchors, names)  # type: ignore[arg-type, call-arg]
    assert facts.next_expiry == 100
    left, left_facts = unexpired(table, facts, 101)  # an entry ends when its time is reached
    assert left == PayloadTable(table.ipv4[2:], table.ipv6[2:], table.router_keys[2:], table.aspas[2:])
    assert left_facts.next_expiry == 102
    assert left_facts.ipv4_anchors.tolist() == anchors[0][2:].tolist()
    assert count_by_anchor(left_facts)["ta1"] == 0
    assert count_by_anchor(left_facts)["ta2"] == 2
    assert unexpired(table, facts, 2**62)[1].next_expiry == NEVER


def ending(expires: int, *payload: Payload) -> tuple[PayloadTable, Facts]:
    """A table all of which ends at once, and what is known of it."""
    table = PayloadTable.of(payload)
    return table, facts_of(table, expires)


@pytest.mark.parametrize("order", [1, -1])
def test_what_two_tables_hold_ends_with_the_later_and_an_aspa_with_the_earlier(order):
    shared = (vrp("192.0.2.0/24", 24, 64496), vrp("2001:db8::/32", 32, 0), key())
    early, late = ending(100, *shared, aspa(64496, 64500)), ending(200, *shared, aspa(64496, 64501))
    table, facts, oversized = merged([early, late][::order])
    assert table == PayloadTable.of([*shared, aspa(64496, 64500, 64501)])
    ends = (facts.ipv4_expires, facts.ipv6_expires, facts.router_keys_expires, facts.aspas_expires)
    assert [column.tolist() for column in ends] == [[200], [200], [200], [100]]
    assert oversized == 0


def test_united_aspas_have_as_0_only_where_it_is_alone_and_are_left_out_where_no_pdu_holds_them():
    most = range(1, MAX_PROVIDERS + 1)
    tables = (
        [aspa(1, 0), aspa(2, 0), aspa(3, *most), aspa(4, 0)],
        [aspa(1, 0), aspa(2, 9), aspa(3, MAX_PROVIDERS + 1), aspa(4, *most)],
    )
    table, facts, oversized = merged([ending(100, *payload) for payload in tables])
    assert table.aspas == (aspa(1, 0), aspa(2, 9), aspa(4, *most))
    assert (facts.aspas_expires.tolist(), oversized) == ([100] * 3, 1)
