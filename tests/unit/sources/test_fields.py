"""The spellings of single members, one row for each: what is taken, and what is not."""

from __future__ import annotations

import base64

import pytest
from tests.examples import MAX_ASN, SKI

from pyrtr.sources.records import fields, prefixes
from pyrtr.sources.records.fields import RejectedError
from pyrtr.sources.records.prefixes import ipv4_prefixes, ipv6_prefixes

ASNS = [
    (0, 0),
    (64496, 64496),
    (MAX_ASN, MAX_ASN),
    ("0", 0),
    ("64496", 64496),
    ("AS64496", 64496),
    ("as64496", 64496),
    ("aS64496", 64496),
    ("AS4294967295", MAX_ASN),
    ("AS0000064496", 64496),  # some pad
]
NO_ASNS = [
    *(-1, -2, MAX_ASN + 1, 2**63, 2**64, 10**30, -(10**30)),
    *("", "AS", "A64496", "ASAS1", "AS 1", " 1", "1 ", "1\n", "\n1", "+1", "-1", "1.0", "1.10", "1e3", "0x10", "1_0"),
    *("AS4294967296", "99999999999", "9" * 5000, "6449\u0666", "\uff11", "AS\0", "1\0", "true", "AS-1"),
    *("00000000001", "A\u017f1"),  # more digits than any ASN has; a long s, which is an S in lower case,
]


@pytest.mark.parametrize(("value", "asn"), ASNS)
def test_an_asn_is_read(value, asn):
    assert fields.asn(value) == asn


@pytest.mark.parametrize("value", NO_ASNS, ids=lambda value: ascii(value)[:20])
def test_what_is_no_asn_is_rejected(value):
    with pytest.raises(RejectedError, match=r"\Aasn\Z"):
        fields.asn(value)


SKIS = [
    SKI.hex(),
    SKI.hex().upper(),
    SKI.hex().title(),
    base64.b64encode(SKI).decode(),
    base64.b64encode(SKI).decode().rstrip("="),
    base64.urlsafe_b64encode(SKI).decode(),
    base64.urlsafe_b64encode(SKI).decode().rstrip("="),
]
NO_SKIS = [
    *("", SKI.hex()[:-1], SKI.hex()[:-2], SKI.hex() + "0", SKI.hex() + "00", "0x" + SKI.hex()[2:], SKI.hex(":")),
    *(" " + SKI.hex(), SKI.hex() + "\n", SKI.hex()[:-1] + "g", SKI.hex()[:-1] + "\u0661", "\0" * 40),
    *(base64.b64encode(SKI[:-1]).decode(), base64.b64encode(SKI + b"\0").decode(), "Zm9v"),
]


@pytest.mark.parametrize("value", SKIS)
def test_a_key_identifier_is_read(value):
    assert fields.ski(value) == SKI


@pytest.mark.parametrize("value", NO_SKIS, ids=ascii)
def test_what_is_no_key_identifier_is_rejected(value):
    with pytest.raises(RejectedError, match=r"\Aski\Z"):
        fields.ski(value)


PUBLIC_KEYS = [
    ("+/+/", b"\xfb\xff\xbf"),
    ("-_-_", b"\xfb\xff\xbf"),
    ("", b""),
    ("MA==", b"0"),
    ("MA", b"0"),
    ("MA=", b"0"),
]
NO_PUBLIC_KEYS = ["M", "MAMCA", "MA MC", "MA\nMC", "MA==MCAS", "=MA", "M\u00c4MC", "MAMC\0", "MAM*", "\ud800"]


@pytest.mark.parametrize(("value", "octets"), PUBLIC_KEYS)
def test_a_public_key_is_read(value, octets):
    assert fields.public_key(value) == octets


@pytest.mark.parametrize("value", NO_PUBLIC_KEYS, ids=ascii)
def test_what_is_no_base64_is_rejected(value):
    with pytest.raises(RejectedError, match=r"\Apublic_key\Z"):
        fields.public_key(value)


IPV4 = [
    ("0.0.0.0/0", "00000000", 0),
    ("192.0.2.0/24", "c0000200", 24),
    ("192.0.2.1/24", "c0000201", 24),  # host bits are another matter
    ("255.255.255.255/32", "ffffffff", 32),
    ("10.9.99.100/10", "0a096364", 10),
]
NO_IPV4 = [
    *("", "/", "/24", ".../", "192.0.2.0", "192.0.2.0/", "192.0.2/24", "192.0.2.0.0/24", "1.2.3.4/24/5", "1/2.3.4.0"),
    *("01.2.3.0/24", "1.2.3.00/24", "1.2.3.0/024", "00.0.0.0/0", "0.0.0.0/00"),
    *("256.0.2.0/24", "300.0.2.0/24", "999.0.2.0/24", "1000.0.2.0/24", "1.2.3.4294967296/24", "4294967297.0.0.0/8"),
    *(
        "1.2.3.0/33",
        "1.2.3.0/99",
        "1.2.3.0/256",
        "1.2.3.0/280",
        "1.2.3.0/1000",
        "1.2.3.0/-1",
        "1.2.3.0/+24",
        "-1.2.3.0/8",
    ),
    *(" 1.2.3.0/24", "1.2.3.0/24 ", "1.2.3.0/ 24", "1.2.3.0 /24", "1. 2.3.0/24", "1.2.3.0\t/24"),
    *("1.2.3.0/24\n", "\n1.2.3.0/24", "1.2.3.0\n/24", "\n", "\n\n", "1.2.3.0/24\r", "1.2.3.0/24\n1.2.4.0/24"),
    *(
        "1.2.3.0/24\0",
        "1.2.3.0\0/24",
        "\0",
        "1.2.3.0/2\u0664",
        "\uff11.2.3.0/24",
        "1.2.3.0\u2044\u0032\u0034",
        "\u00e9",
    ),
    *("a.2.3.0/24", "0x1.2.3.0/24", "1,2,3,0/24", "1.2.3.0/a", "1.2.3.0/24.", "1.2.3.0//24", "..../24", "1.2..0/24"),
    *("2001:db8::/32", "1:2:3:0/24", ";.<.=.>/?", "\U0001f600", "\ud800"),
]
IPV6 = [
    ("::/0", "00" * 16, 0),
    ("2001:db8::/32", "20010db8" + "00" * 12, 32),
    ("2001:DB8::/32", "20010db8" + "00" * 12, 32),
    ("2001:0db8:0000::/32", "20010db8" + "00" * 12, 32),
    ("2001:db8:0:0:0:0:0:0/32", "20010db8" + "00" * 12, 32),
    ("2001:db8::1/32", "20010db8" + "00" * 11 + "01", 32),  # host bits are another matter
    ("::ffff:192.0.2.0/120", "00" * 10 + "ffffc0000200", 120),
    ("::192.0.2.0/120", "00" * 12 + "c0000200", 120),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "ff" * 16, 128),
]
NO_IPV6 = [
    *(
        "",
        ":",
        "::",
        "/",
        "::/",
        "/0",
        ":/0",
        ":::/0",
        "::/129",
        "::/256",
        "::/00",
        "::/032",
        "::/-1",
        "::/+1",
        "::/ 1",
    ),
    *("::/1 ", " ::/1", ":: /1", "::/1\n", "::\n/1", "::\0/1", "::/1\0", "::/1/1", "::/\u0661", "\uff11::/16", "::/a"),
    *("fe80::%1/64", "fe80::%eth0/64", "[::]/0", "1:2:3:4:5:6:7:8:9/64", "1:2:3:4:5:6:7/64", "1::2::/64", "00001::/16"),
    *(
        "g::/16",
        "::1.2.3/128",
        "::01.2.3.4/128",
        "::1.2.3.256/128",
        "1.2.3.4::/128",
        "192.0.2.0/24",
        "::ffff/1/::",
        "\ud800",
    ),
]


@pytest.mark.parametrize(("read", "good", "bad"), [(ipv4_prefixes, IPV4, NO_IPV4), (ipv6_prefixes, IPV6, NO_IPV6)])
def test_prefixes_are_read_whatever_stands_beside_them(read, good, bad, monkeypatch):
    """In one column, in several pieces, and each alone: no text moves what is read from the next."""
    pairs = zip([text for text, _, _ in good] * len(bad), bad * len(good), strict=True)
    mixed = [text for pair in pairs for text in pair]
    whole = [(column, 2**16) for column in ([text for text, _, _ in good], bad, mixed, mixed[1:])]
    for column, chunk in (*whole, *((mixed, chunk) for chunk in (1, 2, 3)), *(([text], 1) for text in mixed)):
        monkeypatch.setattr(prefixes, "_CHUNK", chunk)
        addresses, lengths, is_good = read(column)
        expected = [next((row for row in good if row[0] == text), None) for text in column]
        assert is_good.tolist() == [row is not None for row in expected]
        for address, length, row in zip(addresses, lengths, expected, strict=True):
            assert row is None or (address.tobytes().hex(), length) == row[1:]


@pytest.mark.parametrize("read", [ipv4_prefixes, ipv6_prefixes])
def test_an_empty_column_is_read(read):
    addresses, lengths, is_good = read([])
    assert (addresses.shape[0], lengths.tolist(), is_good.tolist()) == (0, [], [])
