"""Who may come in: prefixes, the share of one address, and the version that is spoken with whom."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrtr.server.limits import Limits, PrefixMap
from pyrtr.server.peers import address_of
from pyrtr.server.refusals import Reason
from pyrtr.wire.enums import Version

addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@st.composite
def prefixes(draw: st.DrawFn):
    address = draw(addresses)
    return ip_network((address, draw(st.integers(0, address.max_prefixlen))), strict=False)


@given(st.dictionaries(prefixes(), st.integers(), max_size=20), addresses)
def test_the_longest_prefix_counts(entries, address) -> None:
    holding = [prefix for prefix in entries if address in prefix]
    wanted = entries[max(holding, key=lambda prefix: prefix.prefixlen)] if holding else None
    assert PrefixMap(entries.items()).longest(address) == wanted


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("192.0.2.1", True),
        ("::ffff:192.0.2.1", True),
        ("192.0.3.1", False),
        ("2001:db8::1%eth0", True),
        ("2001:db9::1", False),
        ("::c000:201", False),  # the same number as 192.0.2.1
    ],
)
def test_allow(address: str, is_allowed: bool) -> None:
    limits = Limits([ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")])
    assert limits.refusal(address_of(address)) is (None if is_allowed else Reason.NOT_ALLOWED)


def test_caps_lower_a_version_and_never_raise_it() -> None:
    limits = Limits(version_caps=[(ip_network("192.0.2.0/24"), Version.V1), (ip_network("192.0.2.7/32"), Version.V2)])
    assert limits.highest_version(ip_address("192.0.2.1"), Version.V2) is Version.V1
    assert limits.highest_version(ip_address("192.0.2.1"), Version.V0) is Version.V0
    assert limits.highest_version(ip_address("192.0.2.7"), Version.V2) is Version.V2
    assert limits.highest_version(ip_address("192.0.2.7"), Version.V1) is Version.V1
    assert limits.highest_version(ip_address("198.51.100.1"), Version.V2) is Version.V2


def fill(limits: Limits, address: str) -> int:
    """How many come in from one address until it is refused."""
    count = 0
    while limits.refusal(ip_address(address)) is None:
        limits.come_in(ip_address(address))
        count += 1
        assert count <= 100_000
    return count


def test_no_address_can_take_all() -> None:
    limits = Limits(max_routers=1000)
    counts = [fill(limits, f"192.0.2.{number}") for number in range(5)]
    assert counts == [750, 187, 47, 12, 3]
    assert limits.refusal(ip_address("192.0.2.0")) is Reason.TOO_MANY_OF_ONE
    assert limits.refusal(ip_address("198.51.100.1")) is None


def test_a_64_is_one_address() -> None:
    limits = Limits(max_routers=100)
    for number in range(75):
        assert limits.refusal(ip_address(f"2001:db8::{number:x}")) is None
        limits.come_in(ip_address(f"2001:db8::{number:x}"))
    assert limits.refusal(ip_address("2001:db8::ffff:ffff:ffff:ffff")) is Reason.TOO_MANY_OF_ONE
    assert limits.refusal(ip_address("2001:db8:0:1::")) is None


@pytest.mark.parametrize("max_routers", [1, 2, 3, 4, 5])
def test_the_last_place_is_given(max_routers: int) -> None:
    limits = Limits(max_routers=max_routers)
    for number in range(max_routers):
        assert limits.refusal(ip_address(f"192.0.2.{number}")) is None
        limits.come_in(ip_address(f"192.0.2.{number}"))
    assert limits.refusal(ip_address("198.51.100.1")) is Reason.TOO_MANY


def test_places_come_free_once() -> None:
    limits = Limits(max_routers=2)
    leave, _ = limits.come_in(ip_address("192.0.2.1")), limits.come_in(ip_address("192.0.2.2"))
    leave()
    leave()
    assert limits.refusal(ip_address("192.0.2.3")) is None
    limits.come_in(ip_address("192.0.2.3"))
    assert limits.refusal(ip_address("192.0.2.4")) is Reason.TOO_MANY
    assert limits._here == Counter({(4, int(ip_address("192.0.2.2"))): 1, (4, int(ip_address("192.0.2.3"))): 1})
