"""What a document of validated payload holds, as sets and dicts tell it, one record after the other."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from tests.property.oracle import payload_of

from pyrtr.errors import PayloadError
from pyrtr.payload.table import NEVER, count_by_anchor
from pyrtr.payload.values import MAX_ASN, VRP, RouterKey
from pyrtr.sources.base import Loaded

PREFIX = re.compile(r"([^/%\n]+)/(0|[1-9][0-9]{0,2})", re.ASCII)


class Dropped(Exception):  # noqa: N818 - an outcome
    """A record can't be used, for this reason."""


def is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def require(condition: object, reason: str) -> None:
    if not condition:
        raise Dropped(reason)


def read_address(text: str) -> tuple[IPv4Address | IPv6Address, int] | None:
    """Address and prefix length of a well-formed prefix, host bits or not."""
    match = PREFIX.fullmatch(text)
    if match is None:
        return None
    try:
        address = IPv6Address(match[1]) if ":" in text else IPv4Address(match[1])
    except AddressValueError:
        return None
    length = int(match[2])
    return (address, length) if length <= address.max_prefixlen else None


def read_asn(value: int | str, reason: str = "asn") -> int:
    match = re.fullmatch("(?:[Aa][Ss])?([0-9]{1,10})", str(value), re.ASCII)
    require(match, reason)
    assert match
    asn = int(match[1])
    require(asn <= MAX_ASN, reason)
    return asn


def read_expires(record: dict[str, Any], choose: Callable[[list[float]], float] = max) -> int:
    """When a record ends: by its own word, and by its last source, or whichever `choose` says."""
    expires = record.get("expires", NEVER)
    require(is_number(expires) or (isinstance(expires, float) and math.isfinite(expires)), "malformed")
    if ends := [read_end(source) for source in read_sources(record)]:
        expires = min(expires, choose(ends))
    return int(min(max(expires, 0), NEVER))


def read_sources(record: dict[str, Any]) -> list[dict[str, Any]]:
    sources = record.get("source", [])
    require(isinstance(sources, list) and all(isinstance(source, dict) for source in sources), "malformed")
    require(all(isinstance(source.get("tal", ""), str) for source in sources), "malformed")
    assert isinstance(sources, list)
    return sources


def read_end(source: dict[str, Any]) -> float:
    validity = source.get("chainValidity")
    if validity is None:
        return NEVER
    require(isinstance(validity, dict) and isinstance(validity.get("notAfter"), str), "malformed")
    try:
        end = datetime.fromisoformat(validity["notAfter"])
    except ValueError:
        raise Dropped("malformed") from None
    require(end.tzinfo, "malformed")
    return end.timestamp()


def anchor_of(record: dict[str, Any]) -> str:
    if sources := read_sources(record):
        return next((source["tal"] for source in sources if source.get("tal")), "N/A")
    ta: str = record.get("ta", "")
    return ta


def read_base64(text: str) -> bytes | None:
    text = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    if not re.fullmatch("[A-Za-z0-9+/]*", text):
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None


def require_types(record: object, types: dict[str, tuple[type, ...]], *required: str) -> None:
    """Whatever else is wrong with a record, members of other types come first: it is "malformed"."""
    require(isinstance(record, dict), "malformed")
    assert isinstance(record, dict)
    require(all(name in record for name in required), "malformed")
    for name, allowed in types.items():
        require(name not in record or type(record[name]) in allowed, "malformed")
    read_expires(record)


def read_vrp(record: Any) -> VRP:
    types = {"prefix": (str,), "asn": (int, str), "maxLength": (int, type(None)), "ta": (str,)}
    require_types(record, types, "prefix", "asn")
    prefix = read_address(record["prefix"])
    require(prefix, "prefix")
    assert prefix
    address, length = prefix
    network = (IPv4Network if address.version == 4 else IPv6Network)((address, length), strict=False)
    require(network.network_address == address, "host_bits")
    asn = read_asn(record["asn"])
    max_length = record.get("maxLength")
    max_length = length if max_length is None else max_length
    require(length <= max_length <= address.max_prefixlen, "max_length")
    return VRP(network, max_length, asn)


def read_router_key(record: Any) -> RouterKey:
    names = ("ski", "SKI", "pubkey", "routerPublicKey", "spki", "subjectPublicKeyInfo")
    require_types(record, {"asn": (int, str)} | dict.fromkeys(names, (str, type(None))), "asn")
    text = record.get("ski") or record.get("SKI") or ""
    ski = bytes.fromhex(text) if re.fullmatch("[0-9A-Fa-f]{40}", text) else read_base64(text)
    require(ski is not None and len(ski) == 20, "ski")
    asn = read_asn(record["asn"])
    spki = read_base64(next((record[name] for name in names[2:] if record.get(name)), ""))
    try:
        return RouterKey(ski or b"", asn, spki or b"")
    except PayloadError:
        raise Dropped("public_key") from None


def read_aspa(record: Any) -> tuple[int, set[int]]:
    names = ("customer_asid", "customer", "customerAsn")
    types: dict[str, tuple[type, ...]] = dict.fromkeys(names, (int, str, type(None)))
    types["providers"] = (list,)
    require_types(record, types, "providers")
    require(all(type(provider) in (int, str) for provider in record["providers"]), "malformed")
    given = [record[name] for name in names if record.get(name) is not None]
    require(given, "customer")
    customer = read_asn(given[0], "customer")
    require(customer, "customer")
    providers = {read_asn(provider) for provider in record["providers"]}
    require(providers, "providers")
    return customer, providers


@dataclass
class Content:
    """What a reader has to make of a document."""

    vrps: dict[VRP, int] = field(default_factory=dict)
    router_keys: dict[RouterKey, int] = field(default_factory=dict)
    aspas: dict[int, tuple[set[int], int]] = field(default_factory=dict)
    records: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    vrps_by_ta: Counter[str] = field(default_factory=Counter)


def aspa_records(document: dict[str, Any]) -> Iterator[Any]:
    yield from document.get("aspas", [])
    for family in document.get("provider_authorizations", {}).values():
        yield from family
    for customer, providers in document.get("aspa", {}).items():
        yield {"customer": customer, "providers": providers}


def key_records(document: dict[str, Any]) -> list[Any]:
    return [record for name in ("bgpsec_keys", "routerKeys", "router-keys") for record in document.get(name, [])]


def fits(record: Any, reader: Callable[[Any], object]) -> bool:
    """Whether a record is of the kind that `reader` reads, if not of use."""
    try:
        reader(record)
    except Dropped as reason:
        return str(reason) != "malformed"
    return True


def is_certificate(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and all(isinstance(record.get(name), str) for name in ("ski", "subjectPublicKeyInfo"))
        and isinstance(record.get("asns"), list)
        and all(type(asn) in (int, str) for asn in record["asns"])
    )


def sorted_by_kind(records: list[Any]) -> dict[str, Any]:
    """The document that a bare array stands for."""
    document: dict[str, list[Any]] = {"roas": [], "routerKeys": [], "aspas": []}
    unknown = 0
    for record in records:
        if fits(record, read_vrp):
            document["roas"].append(record)
        elif fits(record, read_aspa):
            document["aspas"].append(record)
        elif is_certificate(record):
            document["routerKeys"] += [
                {"asn": asn, "ski": record["ski"], "spki": record["subjectPublicKeyInfo"]} for asn in record["asns"]
            ]
        else:
            unknown += 1
    kinds = ("roas", "routerKeys", "aspas")
    document[max(kinds, key=lambda kind: len(document[kind]))] += [
        None
    ] * unknown  # malformed, whatever it is taken for
    return document


def read(body: bytes | str, now: float) -> Content:
    document = json.loads(body)
    if isinstance(document, list):
        document = sorted_by_kind(document)
    content = Content()
    sources: tuple[tuple[str, list[Any], Any], ...] = (
        ("vrps", document.get("roas", []), read_vrp),
        ("router_keys", key_records(document), read_router_key),
        ("aspas", list(aspa_records(document)), read_aspa),
    )
    for kind, records, reader in sources:
        for record in records:
            content.records[kind] += 1
            try:
                value = reader(record)
                expires = read_expires(record, min if kind == "aspas" else max)
                require(expires > now, "expired")
            except Dropped as reason:
                content.dropped[str(reason)] += 1
                continue
            if kind == "aspas":
                known, earliest = content.aspas.get(value[0], (set(), NEVER))
                content.aspas[value[0]] = (known | value[1], min(expires, earliest))
                continue
            values = getattr(content, kind)
            content.dropped["duplicate"] += value in values
            if kind == "vrps" and value not in values:
                content.vrps_by_ta[anchor_of(record)] += 1
            values[value] = max(expires, values.get(value, 0))
    for customer, (providers, expires) in list(content.aspas.items()):
        providers = providers - {0} or {0}
        content.aspas[customer] = (providers, expires)
        if len(providers) > 16380:
            del content.aspas[customer]
            content.dropped["providers"] += 1
    return content


def assert_holds(loaded: Loaded, content: Content) -> None:
    table, facts = loaded.table, loaded.facts
    times = [
        time
        for column in (facts.ipv4_expires, facts.ipv6_expires, facts.router_keys_expires)
        for time in column.tolist()
    ]
    records = [value for value in payload_of(table) if not hasattr(value, "customer_asn")]
    assert dict(zip(records, times, strict=True)) == dict([*content.vrps.items(), *content.router_keys.items()])
    assert len(records) == len(set(records))
    assert {
        aspa.customer_asn: (set(aspa.provider_asns), time)
        for aspa, time in zip(table.aspas, facts.aspas_expires.tolist(), strict=True)
    } == content.aspas
    assert {kind: count for kind, count in loaded.records.items() if count} == +content.records
    assert loaded.dropped == +content.dropped
    assert {name: count for name, count in count_by_anchor(facts).items() if count} == content.vrps_by_ta
