"""Routinator's json and jsonext, and what else is written as an export of VRPs.

    document                                   written by
    {roas, routerKeys, aspas, metadata}        Routinator: json; jsonext has `source` in the place of `ta`
    {roas, metadata}                           GoRTR, OctoRPKI, Cloudflare: metadata.generated is the age of the data,
                                               and the file is refused when metadata.valid has passed
    {roas}, {roas, aspas}                      RIPE NCC's validator 3, RTRTR; FORT
    {router-keys}, {aspa}                      FORT, in files of their own; aspa is {"customer": [provider, ...]}
    [VRP, ...]                                 rpki-prover's /api/vrps; exports that others make, as for BGPalerter
    [{customer, providers}, ...]               rpki-prover's /api/aspa
    [{ski, asns, subjectPublicKeyInfo}, ...]   rpki-prover's /api/bgpsec: a router key for each of the asns

What holds router keys or ASPAs alone is of use beside a source of VRPs. An array in which no record can be told is
refused, an empty one too: nothing says what it is the whole of.

`records.document` has the rules by which records are used, which are those of every JSON reader.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec

from pyrtr.errors import SourceError
from pyrtr.sources.base import Loaded
from pyrtr.sources.records import document, metadata
from pyrtr.sources.records.builder import Builder
from pyrtr.sources.records.document import Asn, AspaRecord, Decoded, KeyRecord, RoaRecord

_WHITE_SPACE = b" \t\r\n"
_REQUIRED = ("roas", "router-keys", "aspa")


class CertificateRecord(msgspec.Struct, gc=False):
    """A router certificate of rpki-prover."""

    ski: str
    asns: list[Asn]
    subjectPublicKeyInfo: str  # noqa: N815 - the member's own spelling


def read(body: bytes, *, now: float) -> Loaded:
    """Read a document. `now` is Unix time: records that have expired by then are dropped.

    Raises:
        SourceError: the document is refused whole.
    """
    builder = Builder(now)
    with document.refusals("Routinator's JSON, or another export of VRPs"):
        if body[:64].lstrip(_WHITE_SPACE).startswith(b"["):
            decoded = _decode_array(body, builder.dropped)
        else:
            decoded = document.decode(body, builder.dropped, _REQUIRED)
    del body  # 100 MB that are not needed beside the columns
    _check_valid(decoded.metadata, now)
    return document.load(decoded, builder)


def _check_valid(dates: dict[str, Any], now: float) -> None:
    valid = metadata.number(dates, "valid")
    if valid is not None and valid <= now:
        moment = f"{datetime.fromtimestamp(valid, UTC):%Y-%m-%dT%H:%M:%SZ}"
        raise SourceError(f"metadata.valid={valid:.0f}: the file was good until {moment} only; fetch a newer one")


def _decode_array(body: bytes, dropped: Counter[str]) -> Decoded:
    """Decode an array of records, and count those that are of no kind in `dropped`."""
    document.check_text(body)
    with contextlib.suppress(msgspec.ValidationError):  # all of them are VRPs: the usual case, decoded in one go
        if roas := msgspec.json.decode(body, type=list[RoaRecord]):
            return Decoded(roas, [], [], {}, {"vrps": len(roas), "router_keys": 0, "aspas": 0})
    found = Decoded([], [], [], {}, {"vrps": 0, "router_keys": 0, "aspas": 0})
    kinds: tuple[type[RoaRecord | AspaRecord | CertificateRecord], ...] = (RoaRecord, AspaRecord, CertificateRecord)
    decoders = [msgspec.json.Decoder(kind) for kind in kinds]
    raws = msgspec.json.decode(body, type=list[msgspec.Raw])
    for raw in raws:
        for decoder in decoders:
            with contextlib.suppress(msgspec.ValidationError):
                _take(decoder.decode(raw), found)
                break
        else:
            dropped["malformed"] += 1
    if not any(found.counts.values()):
        raise SourceError(f"an array of {len(raws)} records, none of which is a VRP, an ASPA or a router key")
    # Nothing tells what a malformed record was meant to be: it counts as what there is most of.
    found.counts[max(found.counts, key=found.counts.__getitem__)] += dropped["malformed"]
    return found


def _take(record: RoaRecord | AspaRecord | CertificateRecord, found: Decoded) -> None:
    match record:
        case RoaRecord():
            found.roas.append(record)
            found.counts["vrps"] += 1
        case AspaRecord():
            found.aspas.append(record)
            found.counts["aspas"] += 1
        case CertificateRecord(ski, asns, spki):
            found.router_keys += [KeyRecord(asn, ski=ski, spki=spki) for asn in asns]
            found.counts["router_keys"] += len(asns)
