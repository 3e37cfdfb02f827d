"""Prefixes as people write them: what is read, and why what is none is refused."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest

from pyrtr.web.api.parameters import read_prefix

FORM = "a prefix such as 192.0.2.0/24 or 2001:db8::/32"
ADDRESS = "a valid IPv4 or IPv6 address, as in 192.0.2.0/24 or 2001:db8::/32"
ZEROS = "numbers without leading zeros, which some programs take for octal"

READ = {
    "10.0.0.0/8": "10.0.0.0/8",
    "0.0.0.0/0": "0.0.0.0/0",
    "::/0": "::/0",
    "2001:DB8::/32": "2001:db8::/32",
    "2001:0db8:0000::/32": "2001:db8::/32",  # hexadecimal, where zeros mean nothing else
    "10.0.0.0": "10.0.0.0/32",  # an address is a prefix of its whole length
    "2001:db8::1": "2001:db8::1/128",
    "10.0.0.0/08": "10.0.0.0/8",
    "::ffff:192.0.2.0/120": "::ffff:c000:200/120",  # routes of IPv6, whatever they map
}
REFUSED = {
    "10.0.0.1/8": "no host bits: ask for 10.0.0.0/8",
    "2001:db8::1/32": "no host bits: ask for 2001:db8::/32",
    "10.0.0.0/33": "a length of at most 32",
    "10.0.0.1/33": "a length of at most 32",
    "2001:db8::/129": "a length of at most 128",
    "010.0.0.0/8": ZEROS,
    "10.0.0.00/8": ZEROS,
    "10.00.0.0": ZEROS,
    "::ffff:192.0.02.0/120": ZEROS,
    "10.0.0/8": ADDRESS,
    "10": ADDRESS,
    "10.0.0.256/32": ADDRESS,
    "10.0.0.0.0/8": ADDRESS,
    "1::2::3/64": ADDRESS,
    "2001:db8/32": ADDRESS,
    "2001:0db8/32": ADDRESS,
    "": FORM,
    "/8": FORM,
    "10.0.0.0/": FORM,
    "10.0.0.0/-8": FORM,
    "10.0.0.0/8/8": FORM,
    "10.0.0.0/255.0.0.0": FORM,
    " 10.0.0.0/8": FORM,
    "10.0.0.0/8\n": FORM,
    "10.0.0.0 /8": FORM,
    "fe80::%eth0/64": FORM,
    "[2001:db8::]/32": FORM,
    "١٠.0.0.0/8": FORM,  # digits of another script
    "10.0.0.0/٨": FORM,
    "AS64496": FORM,
}  # fmt: skip


@pytest.mark.parametrize(("text", "prefix"), READ.items())
def test_what_is_a_prefix_is_read(text, prefix):
    assert read_prefix(text) == ip_network(prefix)


@pytest.mark.parametrize(("text", "reason"), REFUSED.items())
def test_what_is_none_is_refused_for_the_right_reason(text, reason):
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        read_prefix(text)
