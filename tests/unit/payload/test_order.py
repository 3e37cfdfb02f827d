"""Rows: their octets, and that comparing them is comparing prefix, max length, prefix length and ASN."""

import numpy as np
import pytest
from tests.examples import NASTY, vrp

from pyrtr.payload.order import (
    IPV4_ROW,
    IPV6_ROW,
    address_bytes,
    has_host_bits,
    octets,
    pack_vrp,
    rows_of,
    unpack_vrp,
    vrps_of,
)
from pyrtr.payload.values import VRP

VRPS = [value for value in NASTY if isinstance(value, VRP)]


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (vrp("0.0.0.0/0", 0, 0), "00000000 00 00 00000000"),
        (vrp("192.0.2.0/24", 28, 64496), "c0000200 1c 18 0000fbf0"),
        (vrp("203.0.113.7/32", 32, 0x01000000), "cb007107 20 20 01000000"),
        (vrp("::/0", 128, 0), "00000000000000000000000000000000 80 00 00000000"),
        (vrp("2001:db8::/32", 48, 65536), "20010db8000000000000000000000000 30 20 00010000"),
    ],
    ids=lambda value: str(getattr(value, "prefix", "")),
)
def test_a_vrp_and_its_row(value, row):
    assert pack_vrp(value) == bytes.fromhex(row)
    assert unpack_vrp(bytes.fromhex(row)) == value


# 8210bis §11.2.1, ascending: each differs from the one before it in the field named, which weighs more than the later.
ASCENDING = [
    vrp("0.0.0.0/0", 0, 0),
    vrp("0.0.0.0/0", 0, 1),  # ASN
    vrp("0.0.0.0/0", 0, 0x80000000),  # ASN: unsigned
    vrp("0.0.0.0/0", 8, 0),  # max length
    vrp("0.0.0.0/8", 8, 0),  # prefix length
    vrp("0.0.0.0/0", 24, 0),  # max length before prefix length
    vrp("127.0.0.0/8", 8, 0),  # address
    vrp("128.0.0.0/8", 8, 0),  # address: unsigned
    vrp("255.255.255.255/32", 32, 0),
]


def test_rows_are_ascending_and_unique():
    rows = rows_of([*reversed(ASCENDING), *ASCENDING], IPV4_ROW)
    assert vrps_of(rows) == ASCENDING
    assert (rows[1:] > rows[:-1]).all()
    assert np.array_equal(np.sort(rows[::-1], kind="stable"), rows)


def test_a_column_takes_the_vrps_of_its_family():
    ipv4, ipv6 = rows_of(VRPS, IPV4_ROW), rows_of(VRPS, IPV6_ROW)
    assert {value.prefix.version for value in vrps_of(ipv4)} == {4}
    assert {value.prefix.version for value in vrps_of(ipv6)} == {6}
    assert {*vrps_of(ipv4), *vrps_of(ipv6)} == set(VRPS)


def test_zeros_at_the_end_of_a_row_stay():
    rows = rows_of([vrp("0.0.0.0/0", 0, 0)], IPV4_ROW)
    assert rows[0] == b""  # what numpy hands out, and why nobody reads rows this way
    assert octets(rows).tolist() == [[0] * 10]
    assert vrps_of(rows) == [vrp("0.0.0.0/0", 0, 0)]


def test_octets_share_the_memory_of_rows():
    rows = rows_of(VRPS, IPV6_ROW)
    assert np.shares_memory(octets(rows), rows)
    assert octets(rows).shape == (len(rows), 22)


@pytest.mark.parametrize(("row_type", "size"), [(IPV4_ROW, 4), (IPV6_ROW, 16)])
def test_an_empty_column(row_type, size):
    rows = rows_of([], row_type)
    assert (len(rows), rows.dtype, vrps_of(rows), octets(rows).shape) == (0, row_type, [], (0, row_type.itemsize))
    assert address_bytes(row_type) == size


@pytest.mark.parametrize(
    ("address", "length", "has"),
    [
        ("00000000", 0, False),
        ("80000000", 0, True),
        ("80000000", 1, False),
        ("00000001", 31, True),
        ("00000001", 32, False),
        ("c0000200", 24, False),
        ("c0000200", 22, True),
        ("ff800000", 9, False),
        ("ff800000", 8, True),
    ],
)
def test_host_bits_are_found(address, length, has):
    addresses = np.frombuffer(bytes.fromhex(address), np.uint8).reshape(1, 4)
    assert has_host_bits(addresses, np.array([length], np.uint8)).tolist() == [has]


@pytest.mark.parametrize("row_type", [IPV4_ROW, IPV6_ROW])
def test_an_empty_column_has_no_host_bits(row_type):
    addresses = np.empty((0, address_bytes(row_type)), np.uint8)
    assert has_host_bits(addresses, np.empty(0, np.uint8)).tolist() == []
