"""8210bis §5.3, §5.5, §5.9 to §5.12 (RFC 8210 §5): deltas are minimal, and what makes a payload the same."""

from itertools import product

import pytest
from tests.conformance.harness import FIRST_SERIAL, SAMPLE, Pair, Value, aspa, key, seen_by, vrp
from tests.model_core import Sync
from tests.model_pdus import MAX_PDU_BYTES

from pyrtr.errors import PayloadError
from pyrtr.payload.values import MAX_PROVIDERS, Aspa

A, B, C = vrp("192.0.2.0/24"), vrp("192.0.2.0/25", 64497), vrp("2001:db8::/32")
SPKI = b"\x30\x81\x80" + bytes(128)


def changes(sync: Sync) -> object:
    """What is announced and what is withdrawn."""
    return frozenset(sync.announced), frozenset(sync.withdrawn)


def test_several_steps_make_one_minimal_delta(version: int) -> None:
    """B42: over any number of steps, what cancels out is not mentioned, and nothing is mentioned twice."""
    pair = Pair(version, A, B, key(1), aspa(64496, 64497))
    pair.reset()
    pair.publish(B, C, aspa(64496, 64498))  # A and the key go, C comes
    pair.publish(A, C, key(2), aspa(64496, 64497, 64498))  # A comes back, B goes
    pair.publish(A, key(1), aspa(64496, 64497))  # C goes again; key and ASPA are what they were
    sync = pair.update()
    assert changes(sync) == (frozenset(), seen_by(version, B))


def test_every_path_between_small_sets_is_minimal(version: int) -> None:
    """B42: from any set over any other to any third, the delta is exactly the difference of the two ends."""
    sets: list[tuple[Value, ...]] = [(), (A,), (A, C), (key(1), aspa(1, 2)), (A, key(1), aspa(1, 2, 3)), (aspa(1, 3),)]
    for first, middle, last in product(sets, repeat=3):
        pair = Pair(version, *first)
        pair.reset()
        pair.publish(*middle)
        pair.publish(*last)
        sync = pair.update()
        old, new = seen_by(version, *first), seen_by(version, *last)
        kept = {payload[1] for payload in new if payload[0] == "aspa"}
        gone = {("aspa", payload[1], ()) if payload[0] == "aspa" else payload for payload in old - new}
        assert changes(sync) == (new - old, gone - {("aspa", customer, ()) for customer in kept})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (vrp("192.0.2.0/24"), vrp("192.0.2.0/24", 64497)),
        (vrp("192.0.2.0/24"), vrp("192.0.2.0/24", max_length=25)),
        (vrp("192.0.2.0/24", max_length=25), vrp("192.0.2.0/25", max_length=25)),
        (vrp("2001:db8::/32", 0), vrp("2001:db8::/32", 2**32 - 1)),
        (vrp("2001:db8::/32"), vrp("2001:db8::/32", max_length=33)),
    ],
)
def test_a_vrp_is_its_whole_tuple(version: int, old: Value, new: Value) -> None:
    """B43: a new max length or origin is an announcement of one VRP and the withdrawal of the other."""
    pair = Pair(version, old)
    pair.reset()
    pair.publish(new)
    assert changes(pair.update()) == (seen_by(version, new), seen_by(version, old))


def test_a_vrp_is_held_once(version: int) -> None:
    """B44: one VRP per tuple, whatever the number of sources behind it; losing one of two changes nothing."""
    pair = Pair(version, A, A, A)
    assert len(pair.reset().pdus) == 1
    assert pair.publish(A) == []
    assert pair.update().pdus == ()


@pytest.mark.parametrize("new", [key(2), key(1, 64497), key(1, spki=SPKI)], ids=["SKI", "ASN", "SPKI"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_router_key_is_its_ski_asn_and_spki(version: int, new: Value) -> None:
    """B45: keys that differ in SKI, ASN or SPKI are two keys; a withdrawal carries all three."""
    pair = Pair(version, key(1))
    pair.reset()
    pair.publish(new)
    assert changes(pair.update()) == (seen_by(version, new), seen_by(version, key(1)))
    pair.publish(key(1), new)
    assert changes(pair.update()) == (seen_by(version, key(1)), frozenset())


def test_a_changed_aspa_is_one_announcement() -> None:
    """B46, B48: a changed provider list is one announcement that replaces, with no withdrawal before it."""
    pair = Pair(2, aspa(64496, 64497, 64499))
    pair.reset()
    pair.publish(aspa(64496, 64497, 64498))
    assert changes(pair.update()) == ({("aspa", 64496, (64497, 64498))}, frozenset())
    assert pair.router.payload == {("aspa", 64496, (64497, 64498))}


def test_an_aspa_withdrawal_names_the_customer_only() -> None:
    """B47: an ASPA withdrawal is 12 octets: the customer and no providers (the model router insists on it)."""
    pair = Pair(2, aspa(64496, 64497, 64499))
    pair.reset()
    pair.publish()
    assert changes(pair.update()) == (frozenset(), {("aspa", 64496, ())})


@pytest.mark.parametrize("providers", [(0,), (1,), (2**32 - 1,), (1, 2**31, 2**32 - 1), tuple(range(1, 300))])
def test_provider_lists_are_sent_as_they_are(providers: tuple[int, ...]) -> None:
    """B49, B50: AS 0 alone stays; providers are ascending as unsigned numbers."""
    pair = Pair(2, aspa(64496, *providers))
    assert pair.reset().payload == {("aspa", 64496, providers)}


@pytest.mark.parametrize("providers", [(), (0, 1), (2, 1), (1, 1), tuple(range(1, MAX_PROVIDERS + 2))])
def test_a_provider_list_that_cannot_be_sent_is_no_aspa(providers: tuple[int, ...]) -> None:
    """B49, B50, B51: no empty list, no AS 0 in company, ascending, unique, and whole in one PDU or not at all."""
    with pytest.raises(PayloadError):
        Aspa(64496, providers)


def test_the_longest_aspa_is_sent_whole() -> None:
    """B4, B51: 16380 providers fit the 65535 octets of a PDU."""
    providers = tuple(range(1, MAX_PROVIDERS + 1))
    assert len(providers) == (MAX_PDU_BYTES - 12) // 4
    pair = Pair(2, aspa(64496, *providers), aspa(64497, 1))
    assert pair.reset().payload == {("aspa", 64496, providers), ("aspa", 64497, (1,))}


def test_a_reset_answer_only_announces(version: int) -> None:
    """B52: every payload PDU of a reset answer has the announce bit, also after withdrawals."""
    pair = Pair(version, *SAMPLE)
    pair.publish(*SAMPLE[2:])
    sync = pair.reset()
    assert sync.withdrawn == []
    assert sync.payload == seen_by(version, *SAMPLE[2:])


def test_the_empty_set_is_data(version: int) -> None:
    """B53: an empty set is Cache Response and End of Data, and not No Data Available."""
    pair = Pair(version)
    sync = pair.reset()
    assert (sync.pdus, sync.serial) == ((), FIRST_SERIAL)
    assert pair.update().pdus == ()
