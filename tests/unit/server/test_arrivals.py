"""Whose coming is logged: of each address so often, and no more."""

from __future__ import annotations

from ipaddress import ip_address

from pyrtr.server.arrivals import LOGGED_PER_WINDOW, WINDOW_S, Arrivals

ONE, OTHER = ip_address("192.0.2.1"), ip_address("192.0.2.2")


def test_every_address_has_room_of_its_own_in_every_window() -> None:
    now = 1000.0
    arrivals = Arrivals(lambda: now)
    for window in range(3):
        for address in (ONE, OTHER):
            answers = [arrivals.unlogged_before(address) for _ in range(LOGGED_PER_WINDOW + 5)]
            assert answers[1:] == [0] * (LOGGED_PER_WINDOW - 1) + [None] * 5
            assert answers[0] == (0 if (window, address) == (0, ONE) else 5)
        now += WINDOW_S


def test_the_addresses_of_one_owner_are_one() -> None:
    """A /64 of IPv6 may be had by anybody."""
    arrivals = Arrivals(lambda: 0.0)
    answers = [arrivals.unlogged_before(ip_address(f"2001:db8::{number:x}")) for number in range(1000)]
    assert answers.count(None) == 1000 - LOGGED_PER_WINDOW
    assert arrivals.unlogged_before(ip_address("2001:db8:0:1::")) == 1000 - LOGGED_PER_WINDOW


def test_what_is_counted_is_bounded_by_one_window() -> None:
    now = 1000.0
    arrivals = Arrivals(lambda: now)
    for number in range(1000):
        arrivals.unlogged_before(ip_address(number))
    now += WINDOW_S
    arrivals.unlogged_before(ONE)
    assert len(arrivals._counts) == 1
