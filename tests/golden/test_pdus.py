"""Every PDU in every version, as octets that were written by hand from the RFCs' figures."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.examples import MAX_ASN, aspa, vrp

from pyrtr.payload.values import RouterKey
from pyrtr.wire.codec import decode, encode
from pyrtr.wire.enums import ErrorCode, Version
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.framer import Framer
from pyrtr.wire.pdu import (
    AspaAnnounce,
    AspaWithdraw,
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorReport,
    Key,
    Pdu,
    Prefix,
    ResetQuery,
    SerialNotify,
    SerialQuery,
    Timing,
)

ALL, SINCE_V1, V2 = (0, 1, 2), (1, 2), (2,)

SKI = "00112233445566778899aabbccddeeff01234567"
P256 = (  # SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING of an uncompressed point }
    "3059 3013 06072a8648ce3d0201 06082a8648ce3d030107 034200 04"
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
)


@dataclass(frozen=True)
class Row:
    """A value and its octets in hex, where `vv` is the version."""

    name: str
    versions: tuple[int, ...]
    value: Pdu
    hex: str


def router_key(asn: int, spki: str) -> RouterKey:
    return RouterKey(bytes.fromhex(SKI), asn, bytes.fromhex(spki))


ROWS = [
    # RFC 8210 §5.2 to §5.5: version, type, session id or zero, length; serial
    Row("serial notify", ALL, SerialNotify(0x1234, 0x89ABCDEF), "vv 00 1234 0000000c 89abcdef"),
    Row("serial notify of zeros", ALL, SerialNotify(0, 0), "vv 00 0000 0000000c 00000000"),
    Row("serial query", ALL, SerialQuery(0x1234, 0x89ABCDEF), "vv 01 1234 0000000c 89abcdef"),
    Row("serial query of ones", ALL, SerialQuery(65535, 2**32 - 1), "vv 01 ffff 0000000c ffffffff"),
    Row("reset query", ALL, ResetQuery(), "vv 02 0000 00000008"),
    Row("cache response", ALL, CacheResponse(0x1234), "vv 03 1234 00000008"),
    # RFC 8210 §5.6: flags, prefix length, max length, zero; prefix; ASN
    Row(
        "ipv4 announced",
        ALL,
        Prefix(vrp("192.0.2.0/24", 28, 64496), announce=True),
        "vv 04 0000 00000014 01 18 1c 00 c0000200 0000fbf0",
    ),
    Row(
        "ipv4 withdrawn",
        ALL,
        Prefix(vrp("192.0.2.0/24", 28, 64496), announce=False),
        "vv 04 0000 00000014 00 18 1c 00 c0000200 0000fbf0",
    ),
    Row(
        "ipv4 of zeros",
        ALL,
        Prefix(vrp("0.0.0.0/0", 0, 0), announce=True),
        "vv 04 0000 00000014 01 00 00 00 00000000 00000000",
    ),
    Row(
        "ipv4 of zeros withdrawn",
        ALL,
        Prefix(vrp("0.0.0.0/0", 0, 0), announce=False),
        "vv 04 0000 00000014 00 00 00 00 00000000 00000000",
    ),
    Row(
        "ipv4 host of the highest asn",
        ALL,
        Prefix(vrp("203.0.113.7/32", 32, MAX_ASN), announce=True),
        "vv 04 0000 00000014 01 20 20 00 cb007107 ffffffff",
    ),
    Row(
        "ipv4 of an asn that ends in zeros",
        ALL,
        Prefix(vrp("198.51.100.128/25", 25, 65536), announce=True),
        "vv 04 0000 00000014 01 19 19 00 c6336480 00010000",
    ),
    # RFC 8210 §5.7: the same with a prefix of 16 octets
    Row(
        "ipv6 announced",
        ALL,
        Prefix(vrp("2001:db8::/32", 48, 64511), announce=True),
        "vv 06 0000 00000020 01 20 30 00 20010db8 00000000 00000000 00000000 0000fbff",
    ),
    Row(
        "ipv6 withdrawn",
        ALL,
        Prefix(vrp("2001:db8:ffff::/48", 128, 65551), announce=False),
        "vv 06 0000 00000020 00 30 80 00 20010db8 ffff0000 00000000 00000000 0001000f",
    ),
    Row(
        "ipv6 host",
        ALL,
        Prefix(vrp("2001:db8::1/128", 128, 64496), announce=True),
        "vv 06 0000 00000020 01 80 80 00 20010db8 00000000 00000000 00000001 0000fbf0",
    ),
    Row(
        "ipv6 of zeros",
        ALL,
        Prefix(vrp("::/0", 0, 0), announce=True),
        "vv 06 0000 00000020 01 00 00 00 00000000 00000000 00000000 00000000 00000000",
    ),
    # RFC 6810 §5.8: serial; RFC 8210 §5.8: and refresh, retry, expire
    Row("end of data", (0,), EndOfData(0x1234, 7, None), "vv 07 1234 0000000c 00000007"),
    Row(
        "end of data",
        SINCE_V1,
        EndOfData(0x1234, 7, Timing(3600, 600, 7200)),
        "vv 07 1234 00000018 00000007 00000e10 00000258 00001c20",
    ),
    Row(
        "end of data of the longest intervals",
        SINCE_V1,
        EndOfData(0, 2**32 - 1, Timing(86400, 7200, 172800)),
        "vv 07 0000 00000018 ffffffff 00015180 00001c20 0002a300",
    ),
    # RFC 8210 §5.9
    Row("cache reset", ALL, CacheReset(), "vv 08 0000 00000008"),
    # RFC 8210 §5.10: flags and zero in the header; SKI, ASN, SPKI
    Row(
        "router key announced",
        SINCE_V1,
        Key(router_key(64496, P256), announce=True),
        f"vv 09 01 00 0000007b {SKI} 0000fbf0 {P256}",
    ),
    Row(
        "router key withdrawn",
        SINCE_V1,
        Key(router_key(0, "3003 020100"), announce=False),
        f"vv 09 00 00 00000025 {SKI} 00000000 3003 020100",
    ),
    # RFC 8210 §5.11: error code in the header; length of the copy, copy, length of the text, text
    Row("error report without anything", ALL, ErrorReport(2, b"", ""), "vv 0a 0002 00000010 00000000 00000000"),
    Row(
        "error report with a copy",
        ALL,
        ErrorReport(3, bytes.fromhex("0103123400000008"), ""),
        "vv 0a 0003 00000018 00000008 01 03 1234 00000008 00000000",
    ),
    Row(
        "error report with copy and text",
        ALL,
        ErrorReport(0, bytes.fromhex("0102ffff00000008"), "cut"),
        "vv 0a 0000 0000001b 00000008 01 02 ffff 00000008 00000003 637574",
    ),
    Row(
        "error report in utf-8",
        ALL,
        ErrorReport(1, b"", "naïve"),
        "vv 0a 0001 00000016 00000000 00000006 6e61c3af7665",
    ),
    Row("error report of no known code", ALL, ErrorReport(65535, b"", ""), "vv 0a ffff 00000010 00000000 00000000"),
    # 8210bis §5.12: flags and zero in the header; customer ASN, provider ASNs
    Row(
        "aspa announced",
        V2,
        AspaAnnounce(aspa(64496, 64497, 65551)),
        "vv 0b 01 00 00000014 0000fbf0 0000fbf1 0001000f",
    ),
    Row("aspa of as0", V2, AspaAnnounce(aspa(64496, 0)), "vv 0b 01 00 00000010 0000fbf0 00000000"),
    Row(
        "aspa of the highest asns",
        V2,
        AspaAnnounce(aspa(MAX_ASN, 1, MAX_ASN)),
        "vv 0b 01 00 00000014 ffffffff 00000001 ffffffff",
    ),
    Row("aspa withdrawn", V2, AspaWithdraw(64496), "vv 0b 00 00 0000000c 0000fbf0"),
]

# What is reserved is ignored on receipt (RFC 8210 §5), and only the lowest flag counts.
TOLERATED = [
    Row("reset query", ALL, ResetQuery(), "vv 02 ffff 00000008"),
    Row("cache reset", ALL, CacheReset(), "vv 08 ffff 00000008"),
    Row(
        "ipv4 announced",
        ALL,
        Prefix(vrp("192.0.2.0/24", 24, 64496), announce=True),
        "vv 04 ffff 00000014 ff 18 18 ff c0000200 0000fbf0",
    ),
    Row(
        "ipv6 withdrawn",
        ALL,
        Prefix(vrp("2001:db8::/32", 32, 64496), announce=False),
        "vv 06 ffff 00000020 fe 20 20 ff 20010db8 00000000 00000000 00000000 0000fbf0",
    ),
    Row(
        "router key announced",
        SINCE_V1,
        Key(router_key(64496, "3000"), announce=True),
        f"vv 09 ff ff 00000022 {SKI} 0000fbf0 3000",
    ),
    Row(
        "router key withdrawn",
        SINCE_V1,
        Key(router_key(64496, "3000"), announce=False),
        f"vv 09 fe ff 00000022 {SKI} 0000fbf0 3000",
    ),
    Row("aspa announced", V2, AspaAnnounce(aspa(64496, 64497)), "vv 0b ff ff 00000010 0000fbf0 0000fbf1"),
    Row("aspa withdrawn", V2, AspaWithdraw(64496), "vv 0b fe ff 0000000c 0000fbf0"),
    Row(
        "error report in another encoding",
        ALL,
        ErrorReport(0, b"", "na\ufffdve"),
        "vv 0a 0000 00000015 00000000 00000005 6e61ef7665",
    ),
    Row(
        "error report that ends in a null",
        ALL,
        ErrorReport(0, b"", "no\0"),
        "vv 0a 0000 00000013 00000000 00000003 6e6f00",
    ),
    Row(
        "error report about an error report",
        ALL,
        ErrorReport(0, bytes.fromhex("010a000000000010"), ""),
        "vv 0a 0000 00000018 00000008 01 0a 0000 00000010 00000000",
    ),
]


def cases(rows: list[Row]):
    return [
        pytest.param(
            Version(version),
            row.value,
            bytes.fromhex(row.hex.replace("vv", f"{version:02x}")),
            id=f"{row.name}-v{version}",
        )
        for row in rows
        for version in row.versions
    ]


@pytest.mark.parametrize(("version", "value", "octets"), cases(ROWS))
def test_encode(version, value, octets):
    assert encode(version, value) == octets


@pytest.mark.parametrize(("version", "value", "octets"), cases(ROWS + TOLERATED))
def test_decode(version, value, octets):
    assert decode(octets) == (version, value)


@pytest.mark.parametrize(("_version", "_value", "octets"), cases(ROWS))
def test_a_framer_hands_it_out(_version, _value, octets):
    framer = Framer()
    framer.feed(octets + octets[:5])
    header = framer.header()
    assert header is not None
    assert framer.take(header.length) == octets
    assert len(framer) == 5


@pytest.mark.parametrize(("_version", "_value", "octets"), cases(ROWS))
def test_octets_too_few_or_too_many(_version, _value, octets):
    for damaged in (octets[:-1], octets + b"\0"):
        with pytest.raises(ProtocolError) as caught:
            decode(damaged)
        assert caught.value.code is ErrorCode.CORRUPT_DATA
