"""Tables and deltas against plain sets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import NASTY, Payload, announced, withdrawn
from tests.property.oracle import Router, payload_of
from tests.property.strategies import histories, payload_lists, uint32, vrps

from pyrtr.errors import DeltaError
from pyrtr.payload.delta import Delta, apply, compose, contains, difference, inverse
from pyrtr.payload.order import IPV4_ROW, IPV6_ROW, pack_vrp, rows_of, unpack_vrp, vrps_of
from pyrtr.payload.serial import is_newer
from pyrtr.payload.table import PayloadTable, sort_unique
from pyrtr.payload.values import VRP, Aspa

some_vrps = st.lists(st.sampled_from([value for value in NASTY if isinstance(value, VRP)]) | vrps(), max_size=20)


def numbers(value: VRP) -> tuple[int, int, int, int]:
    return (int(value.prefix.network_address), value.max_length, value.prefix.prefixlen, value.asn)


def of_family(values: list[VRP], version: int) -> list[VRP]:
    return sorted({value for value in values if value.prefix.version == version}, key=numbers)


def expected_changes(old: Router, new: Router) -> tuple[set[Payload], set[Payload | int]]:
    """What comes and what goes, an ASPA by its customer; a replaced ASPA only comes."""
    comes = new.payload - old.payload
    return comes, {*(old.records - new.records), *(old.aspas.keys() - new.aspas.keys())}


def assert_changes(delta: Delta, old: Router, new: Router) -> None:
    comes, goes = announced(delta), withdrawn(delta)
    assert (set(comes), set(goes)) == expected_changes(old, new)
    assert len(delta) == len(comes) + len(goes) == len(set(comes)) + len(set(goes))
    for rows in (delta.ipv4.announce, delta.ipv4.withdraw, delta.ipv6.announce, delta.ipv6.withdraw):
        assert (rows[1:] > rows[:-1]).all()


@given(vrps())
def test_a_row_goes_round(value):
    assert unpack_vrp(pack_vrp(value)) == value


@given(some_vrps)
def test_rows_are_a_sorted_set(values):
    assert vrps_of(rows_of(values, IPV4_ROW)) == of_family(values, 4)
    assert vrps_of(rows_of(values, IPV6_ROW)) == of_family(values, 6)


@given(some_vrps, some_vrps)
def test_contains_is_membership(values, wanted):
    for row_type, version in ((IPV4_ROW, 4), (IPV6_ROW, 6)):
        result = contains(rows_of(values, row_type), rows_of(wanted, row_type))
        assert result.tolist() == [value in values for value in of_family(wanted, version)]


@given(st.lists(st.tuples(st.sampled_from([value for value in NASTY if isinstance(value, VRP)]), uint32)))
def test_sort_unique_is_a_dict_of_latest_times(entries):
    latest: dict[VRP, int] = {}
    for value, time in entries:
        latest[value] = max(time, latest.get(value, 0))
    for row_type, version in ((IPV4_ROW, 4), (IPV6_ROW, 6)):
        chosen = [(value, time) for value, time in entries if value.prefix.version == version]
        packed = b"".join(pack_vrp(value) for value, _ in chosen)
        times = np.array([time for _, time in chosen], np.int64)
        places = np.arange(len(chosen), dtype=np.uint16)
        rows, expires, firsts = sort_unique(np.frombuffer(packed, row_type), times, places)
        values = vrps_of(rows)
        assert values == of_family([value for value, _ in chosen], version)
        assert expires.tolist() == [latest[value] for value in values]
        assert firsts.tolist() == [[value for value, _ in chosen].index(value) for value in values]


@given(payload_lists)
def test_a_table_is_a_set(payload):
    table, router = PayloadTable.of(payload), Router(payload)
    values = payload_of(table)
    assert set(values) == router.payload
    assert len(table) == len(values) == len(router.payload)
    assert table == PayloadTable.of(reversed(values))


@given(payload_lists, payload_lists)
def test_difference_and_apply(old, new):
    before, after = PayloadTable.of(old), PayloadTable.of(new)
    delta = difference(before, after)
    assert_changes(delta, Router(old), Router(new))
    assert apply(before, delta) == after
    assert apply(after, inverse(delta)) == before


@settings(max_examples=300)
@given(histories)
def test_composed_differences_are_the_difference(payloads):
    tables = [PayloadTable.of(payload) for payload in payloads]
    delta = compose([difference(old, new) for old, new in pairwise(tables)])
    assert_changes(delta, Router(payloads[0]), Router(payloads[-1]))
    assert apply(tables[0], delta) == tables[-1]


def fits(router: Router, old: Router, new: Router) -> bool:
    """Whether the way from `old` to `new` is one that `router` can go."""
    comes, goes = new.records - old.records, old.records - new.records
    changed = {aspa.customer_asn for aspa in old.payload ^ new.payload if isinstance(aspa, Aspa)}
    return (
        not comes & router.records
        and goes <= router.records
        and all(router.aspas.get(customer) == old.aspas.get(customer) for customer in changed)
    )


@settings(max_examples=300)
@given(st.lists(st.lists(st.sampled_from(NASTY), max_size=4), min_size=3, max_size=3))
def test_apply_refuses_exactly_what_does_not_fit(payloads):
    table, old, new = (PayloadTable.of(payload) for payload in payloads)
    router, before, after = (Router(payload) for payload in payloads)
    delta = difference(old, new)
    if not fits(router, before, after):
        with pytest.raises(DeltaError):
            apply(table, delta)
        return
    result = Router(payload_of(apply(table, delta)))
    assert result.records == (router.records - (before.records - after.records)) | (after.records - before.records)
    assert_changes(difference(table, apply(table, delta)), router, result)


@settings(max_examples=300)
@given(st.lists(st.lists(st.sampled_from(NASTY), max_size=3), min_size=4, max_size=6))
def test_compose_refuses_exactly_what_does_not_follow(payloads):
    """Pairs of tables that need not meet: each record's first change says what was before, each later one must fit."""
    pairs = list(zip(payloads[::2], payloads[1::2], strict=False))
    held: dict[object, object] = {}
    follows = True
    for old, new in pairs:
        before, after = Router(old), Router(new)
        changes: dict[object, tuple[object, object]] = {
            **{
                record: (record in before.records, record in after.records) for record in before.records ^ after.records
            },
            **{
                customer: (before.aspas.get(customer), after.aspas.get(customer))
                for customer in before.aspas.keys() | after.aspas.keys()
                if before.aspas.get(customer) != after.aspas.get(customer)
            },
        }
        for identity, (was, is_now) in changes.items():
            follows = follows and held.get(identity, was) == was
            held[identity] = is_now
    deltas = [difference(PayloadTable.of(old), PayloadTable.of(new)) for old, new in pairs]
    if follows:
        compose(deltas)
    else:
        with pytest.raises(DeltaError):
            compose(deltas)


@given(uint32, st.integers(1, 2**31 - 1))
def test_newer_is_less_than_half_way_round(serial, steps):
    later = (serial + steps) % 2**32
    assert is_newer(later, serial)
    assert not is_newer(serial, later)
