"""Whatever serial a router comes from, in any version, what it is sent takes it to the current payload."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.oracle import Router, assert_total_order, read_pdus
from tests.property.strategies import histories, payload_lists

from pyrtr.payload.delta import compose, difference
from pyrtr.payload.history import History, Step
from pyrtr.payload.table import PayloadTable
from pyrtr.wire.enums import Version
from pyrtr.wire.image import encode_delta, encode_snapshot, is_visible
from pyrtr.wire.pdu import AspaAnnounce, AspaWithdraw, Key, Pdu, Prefix

first_serials = st.sampled_from((0, 1, 2**31 - 3, 2**32 - 4, 2**32 - 2, 2**32 - 1)) | st.integers(0, 2**32 - 1)


def assert_minimal(pdus: list[Pdu], old: Router, new: Router) -> None:
    """8210bis §5.3: "the minimum set of changes": nothing is announced that was there, nothing goes that stays."""
    for pdu in pdus:
        match pdu:
            case Prefix(record, announce=True) | Key(record, announce=True):
                assert record in new.records - old.records
            case Prefix(record, announce=False) | Key(record, announce=False):
                assert record in old.records - new.records
            case AspaAnnounce(aspa):
                assert aspa in new.payload - old.payload
            case AspaWithdraw(customer_asn):
                assert customer_asn in old.aspas.keys() - new.aspas.keys()
            case _:
                raise AssertionError(f"{pdu} is no payload")


@settings(max_examples=400)
@given(payloads=histories, first=first_serials, max_steps=st.integers(0, 7))
def test_every_kept_serial_leads_to_the_current_payload(payloads, first, max_steps):
    history = History()
    tables = [PayloadTable.of(payload) for payload in payloads]
    held_at = {(first + index) % 2**32: payload for index, payload in enumerate(payloads)}
    *older, current = held_at
    for serial, (old, new) in zip(older, pairwise(tables), strict=True):
        step = Step(serial, difference(old, new))
        history = history.followed_by(step, max_steps=max_steps, table_size=len(new))

    assert history.serials == tuple(older)[max(0, len(older) - max_steps) :]
    for serial, payload in held_at.items():
        deltas = history.since(serial)
        assert (deltas is not None) is (serial in history.serials)
        if deltas is None:
            continue
        delta = compose(deltas)
        for version in Version:
            router, goal = Router(payload, version), Router(held_at[current], version)
            pdus = read_pdus(version, encode_delta(version, delta).body)
            assert_minimal(pdus, router, goal)
            assert_total_order(pdus)
            assert bool(pdus) is is_visible(version, delta)
            for pdu in pdus:
                router.receive(pdu)
            assert router == goal


@given(payload_lists)
def test_a_snapshot_is_the_payload_announced_in_order(payload):
    table = PayloadTable.of(payload)
    for version in Version:
        router, goal = Router(), Router(payload, version)
        pdus = read_pdus(version, encode_snapshot(version, table).body)
        assert_minimal(pdus, router, goal)
        assert_total_order(pdus)
        for pdu in pdus:
            router.receive(pdu)
        assert router == goal
