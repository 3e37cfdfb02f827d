"""CCR documents, put together octet by octet, so that a test can spoil any of them."""

from __future__ import annotations

import hashlib
from ipaddress import ip_network

from tests.examples import SKI, SPKI

CONTENT_TYPE = bytes.fromhex("060b2a864886f70d0109100136")  # 1.2.840.113549.1.9.16.1.54
SHA_256 = bytes.fromhex("300b0609608648016503040201")  # without parameters
PRODUCED_AT = b"20261123032235Z"


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    return der(0x30, *parts)


def integer(value: int) -> bytes:
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def octets(value: bytes) -> bytes:
    return der(0x04, value)


def time(value: bytes) -> bytes:
    return der(0x18, value)


def state(payload: bytes, *more: bytes) -> bytes:
    return sequence(payload, *more, octets(hashlib.sha256(payload).digest()))


def address(prefix: str, max_length: int | None = None) -> bytes:
    """A ROAIPAddress (RFC 9582 section 4.3)."""
    network = ip_network(prefix)
    size = (network.prefixlen + 7) // 8
    bits = bytes((size * 8 - network.prefixlen,)) + network.network_address.packed[:size]
    return sequence(der(0x03, bits), *([] if max_length is None else [integer(max_length)]))


def family(afi: int, *addresses: bytes) -> bytes:
    return sequence(octets(afi.to_bytes(2)), sequence(*addresses))


def roa_set(asn: int, *families: bytes) -> bytes:
    return sequence(integer(asn), sequence(*families))


def roa_state(ipv4: dict[int, list[bytes]]) -> bytes:
    return state(sequence(*[roa_set(asn, family(1, *addresses)) for asn, addresses in ipv4.items()]))


def aspa_set(customer: int, *providers: int) -> bytes:
    return sequence(integer(customer), sequence(*map(integer, providers)))


def key_set(asn: int, *keys: bytes) -> bytes:
    return sequence(integer(asn), sequence(*keys))


def router_key(ski: bytes = SKI, spki: bytes = SPKI) -> bytes:
    return sequence(octets(ski), spki)


def ccr(
    *,
    content_type: bytes = CONTENT_TYPE,
    version: bytes = b"",
    algorithm: bytes = SHA_256,
    produced_at: bytes = PRODUCED_AT,
    mfts: bytes | None = None,
    vrps: bytes | None = None,
    vaps: bytes | None = None,
    tas: bytes | None = None,
    rks: bytes | None = None,
) -> bytes:
    states = enumerate((mfts, vrps, vaps, tas, rks), start=0xA1)
    components = [der(tag, component) for tag, component in states if component is not None]
    content = sequence(version, algorithm, time(produced_at), *components)
    return sequence(content_type, der(0xA0, content))
