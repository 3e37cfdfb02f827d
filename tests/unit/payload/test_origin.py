"""RFC 6811: which VRPs cover and match a route, and what follows from that."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import MAX_ASN, vrp
from tests.property.strategies import asns, vrps

from pyrtr.payload.order import octets, unpack_vrp
from pyrtr.payload.origin import Match, Validity, rows_for, search, span, validate
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import VRP

VALID, INVALID, NOT_FOUND = Validity

# The VRPs, a route, its state, and how many VRPs match, allow its prefix for others, and do not allow it.
CASES = {
    "no VRP at all": ([], "192.0.2.0/24", 64496, NOT_FOUND, (0, 0, 0)),
    "the very same prefix and ASN": ([vrp("192.0.2.0/24", 24, 64496)], "192.0.2.0/24", 64496, VALID, (1, 0, 0)),
    "another ASN": ([vrp("192.0.2.0/24", 24, 64497)], "192.0.2.0/24", 64496, INVALID, (0, 1, 0)),
    "within the max length": ([vrp("192.0.2.0/24", 25, 64496)], "192.0.2.128/25", 64496, VALID, (1, 0, 0)),
    "longer than the max length": ([vrp("192.0.2.0/24", 24, 64496)], "192.0.2.0/25", 64496, INVALID, (0, 0, 1)),
    "both are wrong": ([vrp("192.0.2.0/24", 24, 64497)], "192.0.2.0/25", 64496, INVALID, (0, 0, 1)),
    "shorter is not covered": ([vrp("192.0.2.0/24", 24, 64496)], "192.0.2.0/23", 64496, NOT_FOUND, (0, 0, 0)),
    "the neighbour is not covered": ([vrp("192.0.2.0/25", 32, 64496)], "192.0.2.128/25", 64496, NOT_FOUND, (0, 0, 0)),
    "one match among others is enough": (
        [vrp("192.0.0.0/16", 24, 64497), vrp("192.0.2.0/24", 24, 64496), vrp("192.0.0.0/8", 8, 64496)],
        "192.0.2.0/24", 64496, VALID, (1, 1, 1),
    ),
    "several match": (
        [vrp("192.0.0.0/16", 24, 64496), vrp("192.0.2.0/24", 24, 64496), vrp("192.0.2.0/24", 32, 64496)],
        "192.0.2.0/24", 64496, VALID, (3, 0, 0),
    ),
    # §2: no route can be matched by a VRP of AS 0, and it covers all the same.
    "AS 0 makes invalid": ([vrp("192.0.2.0/24", 32, 0)], "192.0.2.0/24", 64496, INVALID, (0, 1, 0)),
    "AS 0 does not match AS 0": ([vrp("192.0.2.0/24", 32, 0)], "192.0.2.0/24", 0, INVALID, (0, 1, 0)),
    "AS 0 beside a match": (
        [vrp("192.0.2.0/24", 24, 0), vrp("192.0.2.0/24", 24, 64496)], "192.0.2.0/24", 64496, VALID, (1, 1, 0),
    ),
    "the highest ASN": ([vrp("192.0.2.0/24", 24, MAX_ASN)], "192.0.2.0/24", MAX_ASN, VALID, (1, 0, 0)),
    "an ASN that ends in zero octets": ([vrp("192.0.2.0/24", 24, 0x10000)], "192.0.2.0/24", 0x10000, VALID, (1, 0, 0)),
    "the default route by itself": ([vrp("0.0.0.0/0", 0, 64496)], "0.0.0.0/0", 64496, VALID, (1, 0, 0)),
    "the default route covers all": ([vrp("0.0.0.0/0", 0, 64496)], "255.255.255.255/32", 64496, INVALID, (0, 0, 1)),
    "all of IPv4": ([vrp("0.0.0.0/0", 32, 64496)], "255.255.255.255/32", 64496, VALID, (1, 0, 0)),
    "a host route": ([vrp("192.0.2.1/32", 32, 64496)], "192.0.2.1/32", 64496, VALID, (1, 0, 0)),
    "another host": ([vrp("192.0.2.1/32", 32, 64496)], "192.0.2.3/32", 64496, NOT_FOUND, (0, 0, 0)),
    "the same address in IPv6 is another": ([vrp("0.0.0.0/0", 32, 64496)], "::/0", 64496, NOT_FOUND, (0, 0, 0)),
    "IPv6": ([vrp("2001:db8::/32", 48, 64496)], "2001:db8:1::/48", 64496, VALID, (1, 0, 0)),
    "IPv6, too long": ([vrp("2001:db8::/32", 48, 64496)], "2001:db8:1::/49", 64496, INVALID, (0, 0, 1)),
    "an IPv6 host": ([vrp("2001:db8::1/128", 128, 64496)], "2001:db8::1/128", 64496, VALID, (1, 0, 0)),
    "all of IPv6": ([vrp("::/0", 128, 64496)], "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 64496, VALID, (1, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_table_of_rfc_6811(name):
    payload, prefix, asn, state, counts = CASES[name]
    route = ip_network(prefix)
    verdict = validate(rows_for(PayloadTable.of(payload), route), route, asn)
    assert verdict.validity is state
    assert (len(verdict.matched), len(verdict.unmatched_as), len(verdict.unmatched_length)) == counts


# Few addresses, so that prefixes meet; and any.
narrow = st.builds(
    lambda length, bits, more, asn: VRP(
        ip_network((bits >> (32 - length) << (32 - length), length)), min(32, length + more), asn
    ),
    st.integers(0, 32),
    st.sampled_from((0, 0xC0000200, 0xC0000280, 0xC0000000, 0xFFFFFFFF, 0xC00002FF)),
    st.integers(0, 8),
    st.sampled_from((0, 64496, 64497, 0x10000)),
)
payloads = st.lists(narrow | vrps(), max_size=30)
routes = st.builds(lambda found, asn: (found.prefix, asn), narrow | vrps(), asns | st.sampled_from((64496, 64497)))


@given(payloads, routes)
def test_validation_agrees_with_looking_at_each_vrp(payload, route):
    prefix, asn = route
    rows = rows_for(PayloadTable.of(payload), prefix)
    covering = {each for each in payload if covers(each.prefix, prefix)}
    allowing = {each for each in covering if each.max_length >= prefix.prefixlen}
    matching = {each for each in allowing if each.asn == asn != 0}
    verdict = validate(rows, prefix, asn)
    assert values(rows, verdict.matched) == matching
    assert values(rows, verdict.unmatched_as) == allowing - matching
    assert values(rows, verdict.unmatched_length) == covering - allowing
    assert verdict.validity is (VALID if matching else INVALID if covering else NOT_FOUND)
    assert span(rows, prefix) >= len(covering)


@given(payloads, routes)
def test_search_agrees_with_looking_at_each_vrp(payload, route):
    prefix, _ = route
    rows = rows_for(PayloadTable.of(payload), prefix)
    expected = {
        Match.EXACT: {each for each in payload if each.prefix == prefix},
        Match.COVERING: {each for each in payload if covers(each.prefix, prefix)},
        Match.COVERED: {each for each in payload if covers(prefix, each.prefix)},
    }
    for match in Match:
        places = search(rows, prefix, match)
        assert values(rows, places) == expected[match]
        assert places.tolist() == sorted(set(places.tolist()))


def covers(outer, inner):
    return outer.version == inner.version and outer.supernet_of(inner)


def values(rows, places):
    return {unpack_vrp(row.tobytes()) for row in octets(rows)[places]}
