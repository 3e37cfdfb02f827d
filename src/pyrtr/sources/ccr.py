"""rpki-client's and rpki-prover's Canonical Cache Representation (draft-ietf-sidrops-rpki-ccr), in DER.

    component            becomes
    producedAt           the age of the data
    vrps (required)      VRPs, a set of them for each ASN
    vaps                 ASPAs
    rks                  router keys
    mfts, tas            checked, and nothing more

Each component carries a hash of its payload. All of them are checked, and the document is refused whole where one does
not hold. Single entries are used by the rules of `records.document`: one that can't be used is dropped and counted.

A CCR names neither trust anchors nor times at which entries end: MAX_AGE alone takes old data out of service.
"""

from __future__ import annotations

import hashlib
from datetime import UTC
from typing import Annotated, TypeVar

import numpy as np
from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from pyrtr.errors import SourceError
from pyrtr.payload.table import NEVER
from pyrtr.payload.values import MAX_ASN, SKI_BYTES
from pyrtr.sources.base import Loaded
from pyrtr.sources.records.builder import OUT_OF_RANGE, Builder, Columns, VrpRecords, max_length

_CCR = ObjectIdentifier("1.2.840.113549.1.9.16.1.54")
_SHA_256 = ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_IPV4, _IPV6 = b"\0\1", b"\0\2"  # RFC 9582 section 4.3.1


@asn1.sequence
class _State:
    """A component: its payload, not looked into, and the hash of that."""

    payload: asn1.TLV
    hash: bytes


@asn1.sequence
class _ManifestState:
    payload: asn1.TLV
    most_recent_update: asn1.GeneralizedTime
    hash: bytes


@asn1.sequence
class _Algorithm:
    algorithm: ObjectIdentifier


@asn1.sequence
class _Content:
    """RpkiCanonicalCacheRepresentation."""

    version: Annotated[int, asn1.Explicit(0), asn1.Default(0)]
    hash_algorithm: _Algorithm
    produced_at: asn1.GeneralizedTime
    mfts: Annotated[_ManifestState | None, asn1.Explicit(1)]
    vrps: Annotated[_State | None, asn1.Explicit(2)]
    vaps: Annotated[_State | None, asn1.Explicit(3)]
    tas: Annotated[_State | None, asn1.Explicit(4)]
    rks: Annotated[_State | None, asn1.Explicit(5)]


@asn1.sequence
class _ContentInfo:
    content_type: ObjectIdentifier
    content: Annotated[asn1.TLV, asn1.Explicit(0)]


@asn1.sequence
class _Address:
    address: asn1.BitString
    max_length: int | None


@asn1.sequence
class _AddressFamily:
    family: bytes
    addresses: list[_Address]


@asn1.sequence
class _RoaPayloadSet:
    asn: int
    families: list[_AddressFamily]


@asn1.sequence
class _RoaPayloadState:
    payload: list[_RoaPayloadSet]
    hash: bytes


@asn1.sequence
class _AspaPayloadSet:
    customer: int
    providers: list[int]


@asn1.sequence
class _AspaPayloadState:
    payload: list[_AspaPayloadSet]
    hash: bytes


@asn1.sequence
class _RouterKey:
    ski: bytes
    spki: asn1.TLV


@asn1.sequence
class _RouterKeySet:
    asn: int
    router_keys: list[_RouterKey]


@asn1.sequence
class _RouterKeyState:
    payload: list[_RouterKeySet]
    hash: bytes


def read(body: bytes, *, now: float) -> Loaded:
    """Read a document; nothing in it ends, so that `now` does not matter.

    Raises:
        SourceError: the document is refused whole.
    """
    builder = Builder(now)
    try:
        content = _content(body)
        del body
        roa_sets = _open("vrps", content.vrps, _RoaPayloadState).payload
        aspa_sets = [] if content.vaps is None else _open("vaps", content.vaps, _AspaPayloadState).payload
        key_sets = [] if content.rks is None else _open("rks", content.rks, _RouterKeyState).payload
    except ValueError as error:
        raise SourceError(f"not a whole CCR: {error}") from error
    produced_at = content.produced_at.as_datetime().replace(tzinfo=UTC)
    del content
    unknown_family = sum(
        len(family.addresses)
        for roa_set in roa_sets
        for family in roa_set.families
        if family.family not in (_IPV4, _IPV6)
    )
    if unknown_family:
        builder.dropped["malformed"] += unknown_family
    for aspa_set in aspa_sets:
        _add_aspa(aspa_set, builder)
    for key_set in key_sets:
        for router_key in key_set.router_keys:
            _add_router_key(key_set.asn, router_key, builder)
    return builder.build(
        _vrps(roa_sets, _IPV4, 4, builder),
        _vrps(roa_sets, _IPV6, 16, builder),
        ("",),
        metadata={"producedAt": f"{produced_at:%Y-%m-%dT%H:%M:%SZ}"},
        build_time=produced_at.timestamp(),
        records={
            "vrps": sum(len(family.addresses) for roa_set in roa_sets for family in roa_set.families),
            "router_keys": sum(len(key_set.router_keys) for key_set in key_sets),
            "aspas": len(aspa_sets),
        },
    )


def _content(body: bytes) -> _Content:
    """The components, with their hashes checked."""
    info = asn1.decode_der(_ContentInfo, body)
    if info.content_type != _CCR:
        raise SourceError(f"content type {info.content_type.dotted_string}: a CCR has {_CCR.dotted_string}")
    content = info.content.parse(_Content)
    assert isinstance(content, _Content)
    if content.version != 0:
        raise SourceError(f"CCR version {content.version}: only version 0 is known")
    if content.hash_algorithm.algorithm != _SHA_256:
        algorithm = content.hash_algorithm.algorithm.dotted_string
        raise SourceError(f"hash algorithm {algorithm}: a CCR has {_SHA_256.dotted_string}, SHA-256")
    for name in ("mfts", "vrps", "vaps", "tas", "rks"):
        state: _State | _ManifestState | None = getattr(content, name)
        if state is not None and hashlib.sha256(asn1.encode_der(state.payload)).digest() != state.hash:
            raise SourceError(f"{name}: the payload does not fit its hash: the file is damaged")
    return content


State = TypeVar("State")


def _open(name: str, state: _State | None, state_type: type[State]) -> State:
    """Look into the payload of a component."""
    if state is None:
        raise SourceError(f"no {name} in this CCR: what is missing would be withdrawn")
    return asn1.decode_der(state_type, asn1.encode_der(state))


def _vrps(roa_sets: list[_RoaPayloadSet], family: bytes, size: int, builder: Builder) -> Columns:
    """The usable VRPs of the address family whose addresses have `size` octets."""
    blocks = [
        (roa_set.asn, block.addresses) for roa_set in roa_sets for block in roa_set.families if block.family == family
    ]
    records = [record for _, addresses in blocks for record in addresses]
    octets = [record.address.as_bytes() for record in records]
    sizes = np.fromiter(map(len, octets), np.int64, len(octets))
    unused_bits = np.fromiter((record.address.padding_bits() for record in records), np.int64, len(records))
    is_good = sizes <= size
    asns = np.array([asn if 0 <= asn <= MAX_ASN else OUT_OF_RANGE for asn, _ in blocks], np.int64)
    return builder.vrps(
        VrpRecords(
            addresses=np.frombuffer(
                b"".join([address[:size].ljust(size, b"\0") for address in octets]), np.uint8
            ).reshape(len(records), size),
            lengths=np.where(is_good, sizes * 8 - unused_bits, 0).astype(np.uint8),
            is_good=is_good,
            asns=np.repeat(asns, np.array([len(addresses) for _, addresses in blocks], np.int64)),
            max_lengths=np.fromiter((max_length(record.max_length) for record in records), np.int64, len(records)),
            expires=np.full(len(records), NEVER, np.int64),
            anchors=np.zeros(len(records), np.uint16),
        )
    )


def _add_aspa(aspa_set: _AspaPayloadSet, builder: Builder) -> None:
    if not 0 < aspa_set.customer <= MAX_ASN:
        builder.dropped["customer"] += 1
    elif not all(0 <= provider <= MAX_ASN for provider in aspa_set.providers):
        builder.dropped["asn"] += 1
    else:
        builder.add_aspa(aspa_set.customer, set(aspa_set.providers))


def _add_router_key(asn: int, router_key: _RouterKey, builder: Builder) -> None:
    if len(router_key.ski) != SKI_BYTES:
        builder.dropped["ski"] += 1
    elif not 0 <= asn <= MAX_ASN:
        builder.dropped["asn"] += 1
    else:
        builder.add_router_key(router_key.ski, asn, asn1.encode_der(router_key.spki))
