"""A response applied as columns is what it is one by one, in every outcome: a set, or a refusal."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from tests.examples import NASTY, aspa, key, vrp
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


def to_pdu(value: object, announce: bool) -> Pdu:
    match value:
        case Aspa(customer_asn):
            return AspaAnnounce(value) if announce else AspaWithdraw(customer_asn)
        case RouterKey():
            return Key(value, announce)
        case _:
            return Prefix(value, announce)  # type: ignore[arg-type]


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
@example([vrp("0.0.0.0/0", 0, 0)], [to_pdu(vrp("0.0.0.0/0", 0, 0), announce) for announce in (False, True, False)])
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
