"""Payload to test with: documentation prefixes and ASNs (RFC 5737, 3849, 5398), and values that are easily lost."""

from __future__ import annotations

from ipaddress import ip_network

from pyrtr.payload.delta import Delta
from pyrtr.payload.order import vrps_of
from pyrtr.payload.values import VRP, Aspa, RouterKey

Payload = VRP | RouterKey | Aspa

MAX_ASN = 2**32 - 1
SKI = bytes.fromhex("00112233445566778899aabbccddeeff01234567")
SPKI = bytes.fromhex("300302012a")  # SEQUENCE { INTEGER 42 }: a small one; a P-256 key has 91 octets


def vrp(prefix: str, max_length: int, asn: int) -> VRP:
    return VRP(ip_network(prefix), max_length, asn)


def key(asn: int = 64496, *, ski: bytes = SKI, spki: bytes = SPKI) -> RouterKey:
    return RouterKey(ski, asn, spki)


def aspa(customer_asn: int, *provider_asns: int) -> Aspa:
    return Aspa(customer_asn, provider_asns)


# Values that differ in one place, or end in zero octets, which numpy strips when it hands out an element.
NASTY: tuple[Payload, ...] = (
    vrp("0.0.0.0/0", 0, 0),  # a row of zeros only
    vrp("0.0.0.0/0", 0, 0x100),
    vrp("0.0.0.0/0", 32, 0),
    vrp("0.0.0.0/1", 1, 0),
    vrp("192.0.2.0/24", 24, 0),
    vrp("192.0.2.0/24", 24, 64496),
    vrp("192.0.2.0/24", 24, 0xFB00),
    vrp("192.0.2.0/24", 25, 64496),
    vrp("192.0.2.0/25", 25, 64496),
    vrp("255.255.255.255/32", 32, MAX_ASN),
    vrp("::/0", 0, 0),
    vrp("::/0", 128, 0x10000),
    vrp("2001:db8::/32", 32, 0),
    vrp("2001:db8::/32", 48, 64496),
    vrp("2001:db8::/48", 48, 64496),
    vrp("2001:db8::1/128", 128, MAX_ASN),
    key(0, ski=bytes(20), spki=b"\x30\x00"),
    key(0),
    key(0x100),
    key(0, spki=bytes.fromhex("30050203010001")),
    key(0, spki=bytes.fromhex("3003020100")),
    aspa(64496, 0),
    aspa(64496, 64497),
    aspa(64496, 64497, 65536),
    aspa(0x100, 0x10000),
    aspa(64511, 64496),
    aspa(MAX_ASN, 1, MAX_ASN),
)


def announced(delta: Delta) -> list[Payload]:
    """What a delta announces, as values in its own order."""
    return [
        *vrps_of(delta.ipv4.announce),
        *vrps_of(delta.ipv6.announce),
        *delta.router_keys.announce,
        *(Aspa(change.customer_asn, change.new_provider_asns) for change in delta.aspas if change.new_provider_asns),
    ]


def withdrawn(delta: Delta) -> list[Payload | int]:
    """What a delta withdraws, as values in its own order; an ASPA is withdrawn by its customer."""
    return [
        *vrps_of(delta.ipv4.withdraw),
        *vrps_of(delta.ipv6.withdraw),
        *delta.router_keys.withdraw,
        *(change.customer_asn for change in delta.aspas if not change.new_provider_asns),
    ]
