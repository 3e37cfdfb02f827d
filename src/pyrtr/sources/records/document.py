"""JSON documents of validators, and the rules by which their records are used (a tolerant reader).

Every reader of JSON goes by this one table. A record that can't be used is dropped, and counted by a reason. Members
that are missing without a word below, and values of other JSON types, fractions and bools among them, are malformed.

    member                          taken                                        else dropped as
    asn                             0..2^32-1; "64496"; "AS64496" in any case    asn
    prefix                          "192.0.2.0/24", no zeros that lead; for      prefix; host_bits if any is set
                                    IPv6 what inet_pton takes, so no zone id
    maxLength                       prefix length..32 or 128; where missing      max_length
                                    or null, the prefix length
    ski, SKI                        40 hexadecimal digits, base64 of 20 octets   ski
    pubkey, routerPublicKey, spki,  base64 or base64url, padded or not, of       public_key
    subjectPublicKeyInfo            one DER SEQUENCE
    customer_asid, customer,        as asn, without 0                            customer
    customerAsn
    providers                       ASNs in any order, each counts once, AS 0    providers if none or over 16380;
                                    only alone; those of one customer joined     asn if one of them is none
    expires                         a number, of seconds; missing is never       expired
    source                          a VRP or key ends with its last              expired
                                    chainValidity, an ASPA with its first; the
                                    first tal is the trust anchor
    ta                              any text

A document that is cut short, is no JSON, or has no list of VRPs is refused whole: what is missing from it would
otherwise be withdrawn. Members that are not in the table, in records and in documents, are ignored.
"""

from __future__ import annotations

import contextlib
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from pyrtr.errors import SourceError
from pyrtr.payload.table import NEVER, Anchors, Times
from pyrtr.sources.base import Loaded
from pyrtr.sources.records import fields, metadata
from pyrtr.sources.records.builder import OUT_OF_RANGE, Builder, Columns, VrpRecords, max_length
from pyrtr.sources.records.fields import Flags, Octets, RejectedError
from pyrtr.sources.records.layout import Listed
from pyrtr.sources.records.prefixes import ipv4_prefixes, ipv6_prefixes

Asn = int | str
Seconds = int | float

MAX_ANCHORS = 256
OTHER_ANCHORS = "other"
NO_ANCHOR = "N/A"  # as Routinator writes it


class Validity(msgspec.Struct, gc=False):
    """A span of time, of which only the end counts here."""

    notAfter: Annotated[datetime, msgspec.Meta(tz=True)]  # noqa: N815 - the member's own spelling


class Source(msgspec.Struct, gc=False):
    """Where Routinator's jsonext says that a record comes from; a local exception has neither member."""

    tal: str = ""
    chainValidity: Validity | None = None  # noqa: N815


class RoaRecord(msgspec.Struct, gc=False):
    """One VRP, under the name that rpki-client gives it."""

    prefix: str
    asn: Asn
    maxLength: int | None = None  # noqa: N815
    ta: str = ""
    expires: Seconds = NEVER
    source: tuple[Source, ...] = ()


class KeyRecord(msgspec.Struct, gc=False):
    """One router key."""

    asn: Asn
    ski: str | None = None
    SKI: str | None = None
    pubkey: str | None = None
    routerPublicKey: str | None = None  # noqa: N815
    spki: str | None = None
    subjectPublicKeyInfo: str | None = None  # noqa: N815
    expires: Seconds = NEVER
    source: tuple[Source, ...] = ()


class AspaRecord(msgspec.Struct, gc=False):
    """One ASPA."""

    providers: list[Asn]
    customer_asid: Asn | None = None
    customer: Asn | None = None
    customerAsn: Asn | None = None  # noqa: N815
    expires: Seconds = NEVER
    source: tuple[Source, ...] = ()


Roa = TypeVar("Roa")
Key = TypeVar("Key")
AspaOf = TypeVar("AspaOf")
Providers = TypeVar("Providers")


class Document(msgspec.Struct, Generic[Roa, Key, AspaOf, Providers], gc=False):
    """The members that hold payload, as rpki-client, Routinator and FORT name them, and what dates it."""

    roas: list[Roa] | UnsetType = UNSET
    metadata: msgspec.Raw = msgspec.Raw(b"null")
    bgpsec_keys: list[Key] = []
    routerKeys: list[Key] = []  # noqa: N815
    router_keys: list[Key] | UnsetType = msgspec.field(default=UNSET, name="router-keys")
    aspas: list[AspaOf] = []
    provider_authorizations: dict[str, list[AspaOf]] = {}
    aspa: dict[str, Providers] | UnsetType = UNSET


Typed = Document[RoaRecord, KeyRecord, AspaRecord, list[Asn]]
Loose = Document[msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw]


@dataclass(slots=True)
class Decoded:
    """The records of a document that have the right types, and how many there were of each kind, whatever their types.

    Attributes:
        roas, router_keys, aspas: the records.
        metadata: the document's own.
        counts: by kind: vrps, router_keys, aspas.
    """

    roas: list[RoaRecord]
    router_keys: list[KeyRecord]
    aspas: list[AspaRecord]
    metadata: dict[str, Any]
    counts: dict[str, int]


@contextlib.contextmanager
def refusals(name: str) -> Iterator[None]:
    """Refuse what is no document of this `name`, in words."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise SourceError(f"not {name}: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"not a whole JSON document: {error}") from error


def decode(body: bytes, dropped: Counter[str], required: tuple[str, ...] = ("roas",)) -> Decoded:
    """Decode an object that has one of the `required` members, and count records of another shape in `dropped`.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: see `refusals`.
    """
    check_text(body)
    document: Typed | Loose
    try:
        document = typed = msgspec.json.decode(body, type=Typed)
    except msgspec.ValidationError:  # one record, or the document itself, is of another shape
        document = msgspec.json.decode(body, type=Loose)
        typed = _typed(document, dropped)
    members = {"roas": document.roas, "router-keys": document.router_keys, "aspa": document.aspa}
    if all(members[name] is UNSET for name in required):
        raise msgspec.ValidationError(f"Object missing required field `{'` or `'.join(required)}`")
    aspas = [*typed.aspas, *(record for family in typed.provider_authorizations.values() for record in family)]
    aspas += [AspaRecord(providers, customer=customer) for customer, providers in (typed.aspa or {}).items()]
    return Decoded(
        typed.roas or [],
        [*typed.bgpsec_keys, *typed.routerKeys, *(typed.router_keys or [])],
        aspas,
        metadata.read(document.metadata),
        _counts(document),
    )


def check_text(body: bytes) -> None:
    """Insist on UTF-8 all over: msgspec does not look at the text in members that it skips.

    Raises:
        UnicodeDecodeError: it is none.
    """
    if not body.isascii():
        body.decode()


def _typed(loose: Loose, dropped: Counter[str]) -> Typed:
    """The records one by one, so that a bad one does not take the others with it."""
    return Document(
        roas=_each(loose.roas or [], RoaRecord, dropped),
        bgpsec_keys=_each(loose.bgpsec_keys, KeyRecord, dropped),
        routerKeys=_each(loose.routerKeys, KeyRecord, dropped),
        router_keys=_each(loose.router_keys or [], KeyRecord, dropped),
        aspas=_each(loose.aspas, AspaRecord, dropped),
        provider_authorizations={
            family: _each(records, AspaRecord, dropped) for family, records in loose.provider_authorizations.items()
        },
        aspa={
            customer: providers
            for customer, raw in (loose.aspa or {}).items()
            for providers in _each([raw], list[Asn], dropped)
        },
    )


Record = TypeVar("Record")


def _each(raws: Iterable[msgspec.Raw], record_type: type[Record], dropped: Counter[str]) -> list[Record]:
    """Decode records one by one; those of another type are dropped."""
    decoder = msgspec.json.Decoder(record_type)
    records = []
    for raw in raws:
        try:
            records.append(decoder.decode(raw))
        except msgspec.ValidationError:
            dropped["malformed"] += 1
    return records


def _counts(document: Typed | Loose) -> dict[str, int]:
    by_family = document.provider_authorizations.values()
    return {
        "vrps": len(document.roas or []),
        "router_keys": len(document.bgpsec_keys) + len(document.routerKeys) + len(document.router_keys or []),
        "aspas": len(document.aspas) + len(document.aspa or {}) + sum(map(len, by_family)),
    }


def load(decoded: Decoded, builder: Builder, listed: Listed | None = None) -> Loaded:
    """Make payload of the records; of `listed`, if there is any, in the place of `decoded.roas`."""
    if listed is None:
        ipv4, ipv6, anchors = _vrps(decoded.roas, builder)
    else:
        ipv4, ipv6, anchors = builder.vrps(*listed.ipv4), builder.vrps(*listed.ipv6), listed.anchors
    for key in decoded.router_keys:
        _add_router_key(key, builder)
    for aspa in decoded.aspas:
        _add_aspa(aspa, builder)
    return builder.build(
        ipv4,
        ipv6,
        anchors,
        metadata=decoded.metadata,
        build_time=metadata.build_time(decoded.metadata),
        records=decoded.counts,
    )


def _vrps(records: list[RoaRecord], builder: Builder) -> tuple[Columns, Columns, tuple[str, ...]]:
    """The usable VRPs of both families, and the names of the trust anchors."""
    prefixes = [record.prefix for record in records]
    asns = _numbers([record.asn for record in records], _asn)
    max_lengths = _numbers([record.maxLength for record in records], max_length)
    if any(record.source for record in records):
        expires = _times([_end(record, max) for record in records])
        names, anchors = _anchors([_anchor(record) for record in records])
    else:  # without a call for each, which is a tenth of the time
        expires = _times([record.expires for record in records])
        names, anchors = _anchors([record.ta for record in records])
    is_ipv6 = np.fromiter((":" in prefix for prefix in prefixes), np.bool_, len(prefixes))

    def family(is_family: Flags, read: Callable[[list[str]], tuple[Octets, Octets, Flags]]) -> Columns:
        return builder.vrps(
            VrpRecords(
                *read(list(compress(prefixes, is_family.tolist()))),
                asns[is_family],
                max_lengths[is_family],
                expires[is_family],
                anchors[is_family],
            )
        )

    return family(~is_ipv6, ipv4_prefixes), family(is_ipv6, ipv6_prefixes), names


def _end(record: RoaRecord | KeyRecord | AspaRecord, choose: Callable[[list[Seconds]], Seconds]) -> Seconds:
    """When a record ends, of whose sources the last (`max`) or the first (`min`) to end counts."""
    ends = [
        NEVER if source.chainValidity is None else source.chainValidity.notAfter.timestamp() for source in record.source
    ]
    return min(record.expires, choose(ends)) if ends else record.expires


def _anchor(record: RoaRecord) -> str:
    for source in record.source:
        if source.tal:
            return source.tal
    return NO_ANCHOR if record.source else record.ta


def _times(values: list[Seconds]) -> Times:
    return np.minimum(_numbers(values, _seconds), NEVER)


def _anchors(values: list[str]) -> tuple[tuple[str, ...], Anchors]:
    """The names of the trust anchors, and an index into them for each record. There are five in the world."""
    names = sorted(set(values))
    if len(names) > MAX_ANCHORS:
        names = [*names[: MAX_ANCHORS - 1], OTHER_ANCHORS]
    codes = dict.fromkeys(values, len(names) - 1) | {name: code for code, name in enumerate(names)}
    return tuple(names), np.fromiter(map(codes.__getitem__, values), np.uint16, len(values))


def _numbers(values: Sequence[Any], convert: Callable[[Any], int]) -> NDArray[np.int64]:
    """A column of integers; what is not plainly one goes through `convert`, each value once."""
    try:
        numbers = np.frombuffer(array("q", values), np.int64)
    except (TypeError, OverflowError):  # texts, fractions, None, or more than 64 bits
        converted = {value: convert(value) for value in set(values)}
        return np.fromiter(map(converted.__getitem__, values), np.int64, len(values))
    return np.where(numbers < 0, OUT_OF_RANGE, numbers)  # negative numbers must not be taken for `ABSENT`


def _asn(value: Asn) -> int:
    try:
        return fields.asn(value)
    except RejectedError:
        return OUT_OF_RANGE


def _seconds(value: Seconds) -> int:
    """Unix seconds within 64 bits; what lies beyond is as good as never, or long ago."""
    return math.floor(min(max(value, 0), NEVER))


def _add_router_key(record: KeyRecord, builder: Builder) -> None:
    text = record.pubkey or record.routerPublicKey or record.spki or record.subjectPublicKeyInfo or ""
    try:
        ski = fields.ski(record.ski or record.SKI or "")
        asn = fields.asn(record.asn)
        spki = fields.public_key(text)
    except RejectedError as error:
        builder.dropped[str(error)] += 1
    else:
        builder.add_router_key(ski, asn, spki, _seconds(_end(record, max)))


def _add_aspa(record: AspaRecord, builder: Builder) -> None:
    try:
        customer = _customer(record)
        providers = {fields.asn(provider) for provider in record.providers}
    except RejectedError as error:
        builder.dropped[str(error)] += 1
    else:
        builder.add_aspa(customer, providers, _seconds(_end(record, min)))


def _customer(record: AspaRecord) -> int:
    for value in (record.customer_asid, record.customer, record.customerAsn):
        if value is not None:
            try:
                customer = fields.asn(value)
            except RejectedError:
                break
            if customer != 0:
                return customer
            break
    raise RejectedError("customer")
