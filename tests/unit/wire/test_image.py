"""Images: flags, the order written out by hand, sections, and what each version is shown."""

import pytest
from tests.examples import NASTY, SKI, Payload, aspa, key, vrp

from pyrtr.payload.delta import NO_CHANGE, Delta, difference
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import VRP
from pyrtr.wire.codec import encode
from pyrtr.wire.enums import Version
from pyrtr.wire.image import EMPTY_IMAGE, Image, encode_delta, encode_snapshot, is_visible
from pyrtr.wire.pdu import AspaAnnounce, AspaWithdraw, Key, Pdu, Prefix

# As they are announced: address, max length, prefix length and ASN descending; AS0 after its kin.
IPV4 = [
    vrp("203.0.113.0/24", 24, 64496),
    vrp("192.0.2.0/24", 26, 64496),
    vrp("192.0.2.0/25", 25, 64496),
    vrp("192.0.2.0/24", 25, 64511),
    vrp("192.0.2.0/24", 25, 64496),
    vrp("192.0.2.0/24", 25, 0),
    vrp("0.0.0.0/0", 0, 0x100),
    vrp("0.0.0.0/0", 0, 0),
]
IPV6 = [vrp("2001:db8:1::/48", 48, 0), vrp("2001:db8::/32", 48, 1), vrp("2001:db8::/32", 32, 2), vrp("::/0", 0, 0)]
KEYS = [key(1, ski=bytes(20)), key(0, spki=b"\x30\x00"), key(0), key(256)]
ASPAS = [aspa(256, 0), aspa(64496, 64497, 65536), aspa(65536, 1)]
PAYLOAD: list[Payload] = [*ASPAS, *KEYS, *IPV6, *IPV4]
TABLE = PayloadTable.of(PAYLOAD)
EMPTY = PayloadTable.of()


def prefixes(vrps: list[VRP], *, announce: bool) -> list[Pdu]:
    return [Prefix(value, announce) for value in vrps]


def joined(version: Version, pdus: list[Pdu]) -> bytes:
    return b"".join(encode(version, pdu) for pdu in pdus)


def sections(image: Image) -> list[bytes]:
    """The body by its section sizes: IPv4, IPv6, router keys, ASPAs."""
    ends = [0, image.ipv4_bytes, image.ipv6_bytes, image.router_key_bytes]
    starts = [sum(ends[: index + 1]) for index in range(4)]
    return [bytes(image.body[start:end]) for start, end in zip(starts, [*starts[1:], None], strict=True)]


@pytest.mark.parametrize("version", Version)
def test_a_snapshot_announces_everything_the_version_sees(version):
    assert sections(encode_snapshot(version, TABLE)) == [
        joined(version, prefixes(IPV4, announce=True)),
        joined(version, prefixes(IPV6, announce=True)),
        joined(version, [Key(value, announce=True) for value in KEYS]) if version >= 1 else b"",
        joined(version, [AspaAnnounce(value) for value in ASPAS]) if version >= 2 else b"",
    ]


@pytest.mark.parametrize("version", Version)
def test_a_delta_withdraws_ascending(version):
    assert sections(encode_delta(version, difference(TABLE, EMPTY))) == [
        joined(version, prefixes(IPV4[::-1], announce=False)),
        joined(version, prefixes(IPV6[::-1], announce=False)),
        joined(version, [Key(value, announce=False) for value in KEYS]) if version >= 1 else b"",
        joined(version, [AspaWithdraw(value.customer_asn) for value in ASPAS]) if version >= 2 else b"",
    ]


def test_a_delta_announces_before_it_withdraws():
    old: list[Payload] = [IPV4[0], IPV4[7], IPV6[1], KEYS[0], KEYS[2], aspa(1, 2), aspa(5, 6)]
    new: list[Payload] = [IPV4[1], IPV4[6], IPV6[0], KEYS[1], KEYS[3], aspa(3, 4), aspa(5, 0), aspa(9, 9)]
    expected: list[list[Pdu]] = [
        [*prefixes([IPV4[1], IPV4[6]], announce=True), *prefixes([IPV4[7], IPV4[0]], announce=False)],
        [*prefixes([IPV6[0]], announce=True), *prefixes([IPV6[1]], announce=False)],
        [Key(KEYS[1], True), Key(KEYS[3], True), Key(KEYS[0], False), Key(KEYS[2], False)],
        [AspaAnnounce(aspa(3, 4)), AspaAnnounce(aspa(5, 0)), AspaAnnounce(aspa(9, 9)), AspaWithdraw(1)],
    ]
    image = encode_delta(Version.V2, difference(PayloadTable.of(old), PayloadTable.of(new)))
    assert sections(image) == [joined(Version.V2, pdus) for pdus in expected]


@pytest.mark.parametrize("version", Version)
def test_a_delta_from_nothing_is_the_snapshot(version):
    table = PayloadTable.of(NASTY)
    assert encode_delta(version, difference(EMPTY, table)).body == encode_snapshot(version, table).body


@pytest.mark.parametrize("version", Version)
def test_nothing_is_empty(version):
    images = [EMPTY_IMAGE, encode_snapshot(version, EMPTY), encode_delta(version, NO_CHANGE)]
    assert [sections(image) for image in images] == [[b""] * 4] * 3


@pytest.mark.parametrize("version", Version)
def test_a_body_is_read_only_octets(version):
    for image in (encode_snapshot(version, TABLE), EMPTY_IMAGE):
        assert image.body.readonly
        assert (image.body.itemsize, image.body.ndim) == (1, 1)


VRP_COMES = difference(EMPTY, PayloadTable.of([vrp("192.0.2.0/24", 24, 0)]))
IPV6_GOES = difference(PayloadTable.of([vrp("2001:db8::/32", 32, 0)]), EMPTY)
KEY_COMES = difference(EMPTY, PayloadTable.of([key(64496, ski=SKI)]))
ASPA_GOES = difference(PayloadTable.of([aspa(64496, 0)]), EMPTY)


@pytest.mark.parametrize(
    ("delta", "versions"),
    [(VRP_COMES, {0, 1, 2}), (IPV6_GOES, {0, 1, 2}), (KEY_COMES, {1, 2}), (ASPA_GOES, {2}), (NO_CHANGE, set())],
    ids=["IPv4", "IPv6", "router key", "ASPA", "nothing"],
)
def test_a_delta_is_visible_where_its_image_is_not_empty(delta: Delta, versions: set[int]):
    assert {version for version in Version if is_visible(version, delta)} == versions
    assert {version for version in Version if encode_delta(version, delta).body} == versions
