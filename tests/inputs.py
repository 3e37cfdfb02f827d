"""Input files for tests: payload as plain tuples, as `tests.model_router` holds it, written as rpki-client's JSON.

Documentation prefixes and ASNs only (RFC 5737, RFC 3849, RFC 5398).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from ipaddress import IPv6Address

Payload = tuple[object, ...]  # ("vrp", prefix, max length, ASN), ("key", SKI, ASN, SPKI), ("aspa", customer, providers)

NEVER = 4102444800  # 2100-01-01
BUILD_TIME = "2026-11-23T10:00:00Z"
P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")  # a SubjectPublicKeyInfo, but the point


def vrp(prefix: str, asn: int = 64496, max_length: int | None = None) -> Payload:
    return ("vrp", prefix, int(prefix.partition("/")[2]) if max_length is None else max_length, asn)


def router_key(number: int, asn: int = 64496) -> Payload:
    return ("key", bytes([number]) * 20, asn, P256 + bytes([number]) * 64)


def aspa(customer: int, *providers: int) -> Payload:
    return ("aspa", customer, providers)


SMALL = (
    vrp("192.0.2.0/24"),
    vrp("198.51.100.0/24", 64497, 26),
    vrp("203.0.113.0/24", 0),
    vrp("2001:db8::/32", 64496, 48),
    router_key(1),
    aspa(64496, 64497, 64498),
)


def many(count: int) -> list[Payload]:
    """So many VRPs, all different, ascending; up to 2^32."""
    first = int(IPv6Address("2001:db8::"))
    return [vrp(f"{IPv6Address(first + (number << 64))}/64") for number in range(count)]


def bulky(count: int) -> list[Payload]:
    """So many router keys, ascending, of 60,000 octets each: fills buffers without taking a test's time."""
    spki = b"\x30\x82\xea\x5c" + bytes(59_996)
    return [("key", number.to_bytes(20), 64496, spki) for number in range(count)]


def visible(version: int, payload: Iterable[Payload]) -> set[Payload]:
    """What a router of this version is to hold."""
    kinds = {0: {"vrp"}, 1: {"vrp", "key"}, 2: {"vrp", "key", "aspa"}}[version]
    return {value for value in payload if value[0] in kinds}


def rpki_client_json(
    payload: Iterable[Payload], *, expires: int = NEVER, build_time: str = BUILD_TIME
) -> dict[str, object]:
    """The document that rpki-client 9 writes for this payload.

    Args:
        payload: in any order; what stands there twice is written twice.
        expires: Unix seconds, of every record.
        build_time: when the validator says it wrote it.
    """
    roas: list[dict[str, object]] = []
    keys: list[dict[str, object]] = []
    aspas: list[dict[str, object]] = []
    for value in payload:
        match value:
            case ("vrp", prefix, max_length, asn):
                record = {"asn": asn, "prefix": prefix, "maxLength": max_length, "ta": "example", "expires": expires}
                roas.append(record)
            case ("key", bytes(ski), asn, bytes(spki)):
                pubkey = base64.b64encode(spki).decode()
                ski_text = ski.hex().upper()
                keys.append({"asn": asn, "ski": ski_text, "pubkey": pubkey, "ta": "example", "expires": expires})
            case ("aspa", customer, providers):
                aspas.append({"customer_asid": customer, "expires": expires, "providers": providers})
            case _:
                raise ValueError(f"no payload: {value}")
    metadata = {"buildmachine": "tests", "buildtime": build_time, "vrps": len(roas), "vaps": len(aspas)}
    return {"metadata": metadata, "roas": roas, "bgpsec_keys": keys, "aspas": aspas}


def rpki_client_bytes(payload: Iterable[Payload], *, expires: int = NEVER, build_time: str = BUILD_TIME) -> bytes:
    """The same as the octets of a file."""
    return json.dumps(rpki_client_json(payload, expires=expires, build_time=build_time)).encode()
