"""8210bis §11.2: the order of payload PDUs, which version 2 demands and versions 0 and 1 are given, too (B61).

The model router checks it in every response; here the whole order is spelt out once for each type.
"""

import random

import pytest
from tests.conformance.harness import Pair, Value, aspa, key, seen_by, vrp
from tests.model_pdus import ASPA, IPV4, IPV6, ROUTER_KEY

from pyrtr.payload.values import VRP, Aspa, RouterKey

# In the order in which they are announced: address, max length, prefix length, ASN, each descending.
PREFIXES = [
    [
        vrp("203.0.113.0/24", 1),
        vrp("198.51.100.0/24", 64496, 32),
        vrp("198.51.100.0/25", 64496, 26),  # the longer max length goes before the longer prefix
        vrp("198.51.100.0/24", 64497, 26),
        vrp("198.51.100.0/24", 64496, 26),
        vrp("198.51.100.0/24", 0, 26),  # AS0 last
        vrp("198.51.100.0/25", 64496, 25),
        vrp("128.0.0.0/1", 64496),  # above 2^31, compared as unsigned
        vrp("127.0.0.0/8", 2**32 - 1),
        vrp("127.0.0.0/8", 2**31),
        vrp("127.0.0.0/8", 2**31 - 1),
        vrp("0.0.0.0/0", 64496, 32),
        vrp("0.0.0.0/0", 64496),
        vrp("0.0.0.0/0", 0),
    ],
    [
        vrp("8000::/1", 64496),
        vrp("2001:db8:ffff::/48", 64496),
        vrp("2001:db8::1/128", 64496),
        vrp("2001:db8::/32", 64497, 128),
        vrp("2001:db8::/48", 64496, 64),
        vrp("2001:db8::/32", 0, 64),
        vrp("::/0", 64496, 128),
        vrp("::/0", 0),
    ],
]
SHORT, LONG, LATE = b"\x30\x02\x05\x00", b"\x30\x03\x02\x01\x00", b"\x30\x03\x02\x01\xff"
# SKI, SPKI length, SPKI, ASN, each ascending.
KEYS = [
    key(1, 64497, SHORT),
    key(1, 1, LONG),
    key(1, 2**31, LONG),
    key(1, 2**32 - 1, LONG),
    key(1, 0, LATE),
    key(2, 1, SHORT),
    key(0x80, 1, SHORT),
    key(0xFF, 0, SHORT),
]
ASPAS = [aspa(customer, 64496) for customer in (1, 64496, 2**31 - 1, 2**31, 2**32 - 1)]

OLD: list[Value] = [*PREFIXES[0], *PREFIXES[1], *KEYS, *ASPAS]


def moved(value: Value) -> Value:
    """The same with another ASN, so that all of the old go and as many new ones come."""
    match value:
        case VRP(prefix, max_length, asn):
            return VRP(prefix, max_length, asn ^ 0x10000)
        case RouterKey(ski, asn, spki):
            return RouterKey(ski, asn ^ 0x10000, spki)
        case Aspa(customer, providers):
            return Aspa(customer ^ 0x10000, providers)


def shuffled(values: list[Value]) -> list[Value]:
    return random.Random(1).sample(values, len(values))


@pytest.mark.parametrize(
    ("values", "kind", "first_version"),
    [(PREFIXES[0], IPV4, 0), (PREFIXES[1], IPV6, 0), (KEYS, ROUTER_KEY, 1), (ASPAS, ASPA, 2)],
    ids=["IPv4", "IPv6", "keys", "ASPAs"],
)
def test_the_order_within_a_type(version: int, values: list[Value], kind: int, first_version: int) -> None:
    """B56, B57, B58, B59, B60: prefixes descending when announced, ascending when withdrawn; the rest ascending."""
    if version < first_version:
        return
    pair = Pair(version, *shuffled(values))
    announced = [next(iter(seen_by(version, value))) for value in values]
    assert pair.reset().announced == announced
    pair.publish()
    withdrawn = [(*payload[:2], ()) if kind == ASPA else payload for payload in announced]
    assert pair.update().withdrawn == (withdrawn[::-1] if kind in (IPV4, IPV6) else withdrawn)
    pair.publish(*shuffled(values))
    assert pair.update().announced == announced  # B62: the same in Serial answers


def test_types_ascend_and_announcements_come_before_withdrawals(version: int) -> None:
    """B54, B55, B61, B62: ascending type, and within a type announcements before withdrawals: make before break."""
    pair = Pair(version, *shuffled(OLD))
    full = [pdu.type for pdu in pair.reset().pdus]
    assert full == sorted(full)
    pair.publish(*shuffled([moved(value) for value in OLD]))
    sync = pair.update()
    sections = [(pdu.type, not pdu.announce) for pdu in sync.pdus]
    assert sections == sorted(sections)
    assert len(set(sections)) == {0: 4, 1: 6, 2: 8}[version]
