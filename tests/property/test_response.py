"""A response applied as columns is what it is one by one, in every outcome: a set, or a refusal."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from tests.examples import NASTY, Payload, aspa, key, vrp
from tests.property.oracle import Router, assert_total_order, payload_of
from tests.property.strategies import payload_lists

from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import Aspa, RouterKey
from pyrtr.wire.codec import encode
from pyrtr.wire.enums import ErrorCode, Version
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.pdu import AspaAnnounce, AspaWithdraw, Key, Pdu, Prefix
from pyrtr.wire.response import Outcome, Response

few = st.sampled_from([*NASTY[:3], vrp("2001:db8::/32", 32, 0), key(0), aspa(64496, 0), aspa(64496, 64497)])


def to_pdu(value: Payload, announce: bool) -> Pdu:
    match value:
        case Aspa(customer_asn):
            return AspaAnnounce(value) if announce else AspaWithdraw(customer_asn)
        case RouterKey():
            return Key(value, announce)
        case _:
            return Prefix(value, announce)


def turns(value: Payload, *announce: bool) -> list[Pdu]:
    return [to_pdu(value, each) for each in announce]


ONE = vrp("0.0.0.0/0", 0, 0)
changes = st.lists(st.builds(to_pdu, few, st.booleans()), max_size=10)


def applied(base: PayloadTable | None, pdus: list[Pdu]) -> Outcome | ProtocolError:
    response = Response(Version.V2)
    data = bytearray(b"".join(encode(Version.V2, pdu) for pdu in pdus))
    assert response.consume(data, 0) == len(data)
    try:
        return response.apply(base)
    except ProtocolError as error:
        return error


def one_by_one(base: PayloadTable | None, pdus: list[Pdu]) -> Router | None:
    """What a router holds by it; None if it refuses."""
    router = Router(() if base is None else payload_of(base))
    announced = set()
    for pdu in pdus:
        try:
            assert base is not None or not isinstance(pdu, AspaWithdraw)
            assert base is not None or getattr(pdu, "announce", True)
            if isinstance(pdu, AspaAnnounce):
                assert pdu.aspa.customer_asn not in announced
                announced.add(pdu.aspa.customer_asn)
            router.receive(pdu)
        except AssertionError:
            return None
    return router


def is_ordered(pdus: list[Pdu]) -> bool:
    try:
        assert_total_order(pdus)
    except AssertionError:
        return False
    return True


@given(st.none() | st.lists(few, max_size=4) | payload_lists, changes)
@example([ONE], turns(ONE, False, True, False))
@example([], turns(key(0), True, False))
@example(None, turns(key(0), True, False))
@example([], turns(aspa(64496, 0), True, False))
@example([aspa(64496, 0)], turns(aspa(64496, 0), False, False))
def test_a_response_is_what_it_is_one_by_one(values, pdus):
    base = None if values is None else PayloadTable.of(values)
    outcome, router = applied(base, pdus), one_by_one(base, pdus)
    if router is None:
        assert isinstance(outcome, ProtocolError)
        assert outcome.code in (ErrorCode.DUPLICATE_ANNOUNCEMENT_RECEIVED, ErrorCode.WITHDRAWAL_OF_UNKNOWN_RECORD)
        assert outcome.erroneous_pdu in [encode(Version.V2, pdu) for pdu in pdus]
    else:
        assert isinstance(outcome, Outcome)
        assert outcome.table == PayloadTable.of(router.payload)
        assert (len(outcome.delta) == 0) == (outcome.table == (PayloadTable.of() if base is None else base))
        assert outcome.is_ordered == is_ordered(pdus)


def test_turns_are_told_apart_among_many_others():
    """Few rows are sorted in another way than many."""
    vrps = [vrp(f"192.0.2.{number}/32", 32, 0) for number in range(100)]
    pdus = [to_pdu(value, announce) for announce in (True, False, True) for value in vrps]
    outcome = applied(PayloadTable.of(), pdus)
    assert isinstance(outcome, Outcome)
    assert outcome.table == PayloadTable.of(vrps)


def test_the_first_fault_is_reported():
    pdus = [pdu for number in (9, 5, 7) for pdu in turns(vrp(f"192.0.2.{number}/32", 32, 0), True, True)]
    outcome = applied(None, pdus)
    assert isinstance(outcome, ProtocolError)
    assert outcome.erroneous_pdu == encode(Version.V2, pdus[0])
    assert outcome.text == "Duplicate announcement received: 192.0.2.9/32 up to /32 of AS0"
