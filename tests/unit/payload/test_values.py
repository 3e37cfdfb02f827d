"""The limits of each payload type, from both sides."""

from dataclasses import FrozenInstanceError

import pytest
from tests.examples import MAX_ASN, SKI, SPKI, aspa, key, vrp

from pyrtr.errors import PayloadError
from pyrtr.payload.values import ProviderListError, is_der_sequence


def der(size: int) -> bytes:
    """A SEQUENCE of so many octets of contents."""
    if size < 0x80:
        return bytes((0x30, size)) + bytes(size)
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((0x30, 0x80 | len(length))) + length + bytes(size)


@pytest.mark.parametrize(
    ("prefix", "max_length", "asn"),
    [
        ("0.0.0.0/0", 0, 0),
        ("0.0.0.0/0", 32, MAX_ASN),
        ("192.0.2.0/24", 24, 64496),
        ("192.0.2.1/32", 32, 64496),
        ("::/0", 0, 0),
        ("::/0", 128, MAX_ASN),
        ("2001:db8::/32", 64, 64496),
        ("2001:db8::1/128", 128, 64496),
    ],
)
def test_vrp_within_the_limits(prefix, max_length, asn):
    value = vrp(prefix, max_length, asn)
    assert (str(value.prefix), value.max_length, value.asn) == (prefix, max_length, asn)


@pytest.mark.parametrize(
    ("prefix", "max_length", "asn"),
    [
        ("192.0.2.0/24", 23, 64496),
        ("192.0.2.0/24", 33, 64496),
        ("192.0.2.0/24", -1, 64496),
        ("2001:db8::/32", 31, 64496),
        ("2001:db8::/32", 129, 64496),
        ("192.0.2.0/24", 24, -1),
        ("192.0.2.0/24", 24, MAX_ASN + 1),
    ],
)
def test_vrp_outside_the_limits(prefix, max_length, asn):
    with pytest.raises(PayloadError, match=prefix):
        vrp(prefix, max_length, asn)


@pytest.mark.parametrize("asn", [0, 64496, MAX_ASN])
@pytest.mark.parametrize("spki", [SPKI, der(1000)], ids=len)
def test_router_key_within_the_limits(asn, spki):
    assert key(asn, spki=spki).spki == spki


@pytest.mark.parametrize(
    ("ski", "asn", "spki"),
    [
        (SKI[:-1], 64496, SPKI),
        (SKI + b"\0", 64496, SPKI),
        (SKI, -1, SPKI),
        (SKI, MAX_ASN + 1, SPKI),
        (SKI, 64496, b""),
        (SKI, 64496, SPKI + b"\0"),
        (SKI, 64496, der(1000)[:-1]),
    ],
)
def test_router_key_outside_the_limits(ski, asn, spki):
    with pytest.raises(PayloadError):
        key(asn, ski=ski, spki=spki)


def test_a_router_key_fits_a_pdu_of_65535_octets():
    assert len(key(spki=der(65499)).spki) == 65535 - 32
    with pytest.raises(PayloadError, match="at most 65503"):
        key(spki=der(65500))


@pytest.mark.parametrize(
    ("customer_asn", "provider_asns"),
    [
        (1, (0,)),
        (64496, (64497,)),
        (64496, (64496, 64497)),
        (MAX_ASN, (1, 2, MAX_ASN)),
        (64496, tuple(range(1, 16381))),
    ],
    ids=["AS0 alone", "one", "itself", "highest", "16380"],
)
def test_aspa_within_the_limits(customer_asn, provider_asns):
    assert aspa(customer_asn, *provider_asns).provider_asns == provider_asns


@pytest.mark.parametrize("customer_asn", [-1, 0, MAX_ASN + 1])
def test_aspa_of_an_impossible_customer(customer_asn):
    with pytest.raises(PayloadError) as caught:
        aspa(customer_asn, 64497)
    assert not isinstance(caught.value, ProviderListError)


@pytest.mark.parametrize(
    "provider_asns",
    [(), (64498, 64497), (64497, 64497), (0, 64497), (-1,), (MAX_ASN + 1,), tuple(range(1, 16382))],
    ids=["none", "descending", "twice", "AS0 in company", "negative", "33 bits", "16381"],
)
def test_aspa_with_an_impossible_provider_list(provider_asns):
    with pytest.raises(ProviderListError, match="AS64496"):
        aspa(64496, *provider_asns)


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000])
def test_a_der_sequence_fits_to_the_octet(size):
    assert is_der_sequence(der(size))
    assert not is_der_sequence(der(size) + b"\0")
    assert not is_der_sequence(der(size)[:-1])


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "30",
        "3103020100",  # a SET
        "30800000",  # indefinite length
        "308103020100",  # long form where the short one would do
        "3081",
        "30820080" + 128 * "00",  # leading zero in the length
        "3085010000000000",  # a length of five octets
    ],
)
def test_not_a_der_sequence(octets):
    assert not is_der_sequence(bytes.fromhex(octets))


@pytest.mark.parametrize("value", [vrp("192.0.2.0/24", 24, 64496), key(), aspa(64496, 64497)])
def test_values_are_frozen(value):
    field = type(value).__slots__[0]
    with pytest.raises(FrozenInstanceError):
        setattr(value, field, None)
