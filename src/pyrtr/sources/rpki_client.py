"""rpki-client's JSON, all shapes since 7.0, and near relatives (a tolerant reader).

    member                   entries
    roas (required)          prefix, asn, maxLength, ta, expires
    bgpsec_keys, routerKeys  asn, ski or SKI, pubkey or routerPublicKey, expires
    aspas                    customer_asid, customer or customerAsn; providers, expires
    provider_authorizations  {"ipv4": [...], "ipv6": [...]}, entries as in aspas: 8.0 to 8.4; the families are merged
    aspa                     {"customer": [provider, ...]}
    metadata                 kept as it is; its buildtime is the age of the data

A record that can't be used is dropped and counted by reason, a document that is not such an object, or is cut short,
is refused whole: what is missing from it would otherwise be withdrawn.
"""

from __future__ import annotations

import contextlib
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import compress
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from pyrtr.errors import PayloadError, SourceError
from pyrtr.payload.order import IPV4_ROW, IPV6_ROW, Rows
from pyrtr.payload.table import NEVER, Anchors, Facts, PayloadTable, Times, sort_unique
from pyrtr.payload.values import MAX_ASN, MAX_PROVIDERS, Aspa, RouterKey
from pyrtr.sources.base import Loaded
from pyrtr.sources.records import fields
from pyrtr.sources.records.fields import Flags, Octets, RejectedError

Asn = int | str
_Prefixes = tuple[Octets, Octets, Flags]
Seconds = int | float


class RoaRecord(msgspec.Struct, gc=False):
    """One VRP, under the name that rpki-client gives it."""

    prefix: str
    asn: Asn
    maxLength: int | None = None  # noqa: N815 - the member's own spelling
    ta: str = ""
    expires: Seconds = NEVER


class KeyRecord(msgspec.Struct, gc=False):
    """One router key: rpki-client's spelling of the members, or Routinator's."""

    asn: Asn
    ski: str | None = None
    pubkey: str | None = None
    SKI: str | None = None
    routerPublicKey: str | None = None  # noqa: N815
    expires: Seconds = NEVER


class AspaRecord(msgspec.Struct, gc=False):
    """One ASPA."""

    providers: list[Asn]
    customer_asid: Asn | None = None
    customer: Asn | None = None
    customerAsn: Asn | None = None  # noqa: N815
    expires: Seconds = NEVER


class Document(msgspec.Struct, gc=False):
    """A document all of whose records have the right types: the usual case, decoded in one go."""

    roas: list[RoaRecord]
    metadata: msgspec.Raw = msgspec.Raw(b"null")
    bgpsec_keys: list[KeyRecord] = []
    routerKeys: list[KeyRecord] = []  # noqa: N815
    aspas: list[AspaRecord] = []
    provider_authorizations: dict[str, list[AspaRecord]] = {}
    aspa: dict[str, list[Asn]] = {}


class LooseDocument(msgspec.Struct, gc=False):
    """The same with records that are decoded one by one, so that a bad one does not take the others with it."""

    roas: list[msgspec.Raw]
    metadata: msgspec.Raw = msgspec.Raw(b"null")
    bgpsec_keys: list[msgspec.Raw] = []
    routerKeys: list[msgspec.Raw] = []  # noqa: N815
    aspas: list[msgspec.Raw] = []
    provider_authorizations: dict[str, list[msgspec.Raw]] = {}
    aspa: dict[str, msgspec.Raw] = {}


def read(body: bytes, *, now: float) -> Loaded:
    """Read a document. `now` is Unix time: records that have expired by then are dropped.

    Raises:
        SourceError: the document is refused whole.
    """
    dropped: Counter[str] = Counter()
    try:
        document, records = _decode(body, dropped)
        metadata = _metadata(document.metadata)
    except msgspec.ValidationError as error:
        raise SourceError(f"not rpki-client's JSON: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"not a whole JSON document: {error}") from error
    del body, document.metadata  # which is a view of it: 100 MB that are not needed beside the columns
    key_records = document.bgpsec_keys + document.routerKeys
    aspa_records = [
        *document.aspas,
        *(record for family in document.provider_authorizations.values() for record in family),
    ]
    aspa_records += [AspaRecord(providers, customer=customer) for customer, providers in document.aspa.items()]
    (ipv4, ipv4_expires, ipv4_anchors), (ipv6, ipv6_expires, ipv6_anchors), anchors = _vrps(document.roas, now, dropped)
    keys = _router_keys(key_records, now, dropped)
    aspas = _aspas(aspa_records, now, dropped)
    ordered_keys = sorted(keys, key=lambda key: key.sort_key)
    return Loaded(
        table=PayloadTable(ipv4, ipv6, tuple(ordered_keys), tuple(aspa for _, (aspa, _) in sorted(aspas.items()))),
        facts=Facts(
            ipv4_expires,
            ipv6_expires,
            np.array([keys[key] for key in ordered_keys], np.int64),
            np.array([expires for _, (_, expires) in sorted(aspas.items())], np.int64),
            ipv4_anchors,
            ipv6_anchors,
            anchors,
        ),
        metadata=metadata,
        build_time=_build_time(metadata.get("buildtime")),
        records=records,
        dropped=dict(dropped),
    )


def _decode(body: bytes, dropped: Counter[str]) -> tuple[Document, dict[str, int]]:
    """A document of records that have the right types, and how many there were of each kind, whatever their types."""
    if not body.isascii():
        body.decode()  # msgspec does not look at the text in members that it skips
    with contextlib.suppress(msgspec.ValidationError):  # one record, or the document itself, is of another shape
        document = msgspec.json.decode(body, type=Document)
        return document, _counts(document)
    loose = msgspec.json.decode(body, type=LooseDocument)
    usable = Document(
        roas=_each(loose.roas, RoaRecord, dropped),
        metadata=loose.metadata,
        bgpsec_keys=_each(loose.bgpsec_keys, KeyRecord, dropped),
        routerKeys=_each(loose.routerKeys, KeyRecord, dropped),
        aspas=_each(loose.aspas, AspaRecord, dropped),
        provider_authorizations={
            family: _each(records, AspaRecord, dropped) for family, records in loose.provider_authorizations.items()
        },
        aspa={
            customer: providers
            for customer, raw in loose.aspa.items()
            for providers in _each([raw], list[Asn], dropped)
        },
    )
    return usable, _counts(loose)


def _counts(document: Document | LooseDocument) -> dict[str, int]:
    by_family = document.provider_authorizations.values()
    return {
        "vrps": len(document.roas),
        "router_keys": len(document.bgpsec_keys) + len(document.routerKeys),
        "aspas": len(document.aspas) + len(document.aspa) + sum(map(len, by_family)),
    }


Record = TypeVar("Record")


def _each(raws: Iterable[msgspec.Raw], record_type: type[Record], dropped: Counter[str]) -> list[Record]:
    decoder = msgspec.json.Decoder(record_type)
    records = []
    for raw in raws:
        try:
            records.append(decoder.decode(raw))
        except msgspec.ValidationError:
            dropped["malformed"] += 1
    return records


_Columns = tuple[Rows, Times, Anchors]


def _vrps(records: list[RoaRecord], now: float, dropped: Counter[str]) -> tuple[_Columns, _Columns, tuple[str, ...]]:
    """The usable VRPs of both families, and the names of the trust anchors."""
    prefixes = [record.prefix for record in records]
    asns = _numbers([record.asn for record in records], _asn_or_bad)
    max_lengths = _numbers([record.maxLength for record in records], _max_length_or_bad)
    expires = np.minimum(_numbers([record.expires for record in records], _seconds), NEVER)
    names, anchors = _anchors([record.ta for record in records])
    is_ipv6 = np.fromiter((":" in prefix for prefix in prefixes), np.bool_, len(prefixes))

    def family(is_family: Flags, read: Callable[[list[str]], _Prefixes], row_type: np.dtype[np.bytes_]) -> _Columns:
        addresses, lengths, is_good = read(list(compress(prefixes, is_family.tolist())))
        has_expired = expires[is_family] <= now
        rows, is_kept = _rows(
            addresses, lengths, is_good, asns[is_family], max_lengths[is_family], has_expired, dropped
        )
        columns = sort_unique(rows.view(row_type).reshape(-1), expires[is_family][is_kept], anchors[is_family][is_kept])
        if duplicates := len(rows) - len(columns[0]):
            dropped["duplicate"] += duplicates
        return columns

    return (
        family(~is_ipv6, fields.ipv4_prefixes, IPV4_ROW),
        family(is_ipv6, fields.ipv6_prefixes, IPV6_ROW),
        names,
    )


def _anchors(values: list[str]) -> tuple[tuple[str, ...], Anchors]:
    """The names of the trust anchors, and an index into them for each record. There are five in the world."""
    names = sorted(set(values))
    if len(names) > MAX_ANCHORS:
        names = [*names[: MAX_ANCHORS - 1], OTHER_ANCHORS]
    codes = dict.fromkeys(values, len(names) - 1) | {name: code for code, name in enumerate(names)}
    return tuple(names), np.fromiter(map(codes.__getitem__, values), np.uint16, len(values))


def _rows(
    addresses: Octets,
    lengths: Octets,
    is_good: Flags,
    asns: NDArray[np.int64],
    max_lengths: NDArray[np.int64],
    has_expired: Flags,
    dropped: Counter[str],
) -> tuple[Octets, Flags]:
    """Lay out the usable VRPs of one family as rows (see `payload.order`); also says which they are."""
    size = addresses.shape[1]
    max_lengths = np.where(max_lengths == _ABSENT, lengths, max_lengths)
    is_kept = np.ones(len(addresses), np.bool_)
    for reason, is_bad in (
        ("prefix", ~is_good),
        ("host_bits", fields.has_host_bits(addresses, np.where(is_good, lengths, 0))),
        ("asn", (asns < 0) | (asns > MAX_ASN)),
        ("max_length", (max_lengths < lengths) | (max_lengths > size * 8)),
        ("expired", has_expired),
    ):
        is_first = is_bad & is_kept
        if count := int(is_first.sum()):
            dropped[reason] += count
            is_kept &= ~is_first
    rows = np.empty((int(is_kept.sum()), size + 6), np.uint8)
    rows[:, :size] = addresses[is_kept]
    rows[:, size] = max_lengths[is_kept]
    rows[:, size + 1] = lengths[is_kept]
    rows[:, size + 2 :] = asns[is_kept].astype(">u4").view(np.uint8).reshape(-1, 4)
    return rows, is_kept


MAX_METADATA_BYTES = 2**16
MAX_ANCHORS = 256
OTHER_ANCHORS = "other"

_ABSENT = -1
_BAD = -2


def _numbers(values: Sequence[Any], convert: Callable[[Any], int]) -> NDArray[np.int64]:
    """A column of integers; what is not plainly one goes through `convert`."""
    try:
        numbers = np.frombuffer(array("q", values), np.int64)
    except (TypeError, OverflowError):  # texts, fractions, None, or more than 64 bits
        return np.fromiter(map(convert, values), np.int64, len(values))
    return np.where(numbers < 0, _BAD, numbers)  # negative numbers must not be taken for the marks above


def _asn_or_bad(value: Asn) -> int:
    try:
        return fields.asn(value)
    except RejectedError:
        return _BAD


def _max_length_or_bad(value: int | None) -> int:
    if value is None:
        return _ABSENT
    return value if 0 <= value <= 128 else _BAD


def _seconds(value: Seconds) -> int:
    """Unix seconds within 64 bits; what lies beyond is as good as never, or long ago."""
    return math.floor(min(max(value, 0), NEVER))


def _router_keys(records: Iterable[KeyRecord], now: float, dropped: Counter[str]) -> dict[RouterKey, int]:
    keys: dict[RouterKey, int] = {}
    for record in records:
        expires = _seconds(record.expires)
        try:
            key = RouterKey(
                ski=fields.ski(record.ski or record.SKI or ""),
                asn=fields.asn(record.asn),
                spki=fields.public_key(record.pubkey or record.routerPublicKey or ""),
            )
        except RejectedError as error:
            dropped[str(error)] += 1
        except PayloadError:
            dropped["public_key"] += 1
        else:
            if expires <= now:
                dropped["expired"] += 1
                continue
            if key in keys:
                dropped["duplicate"] += 1
            keys[key] = max(expires, keys.get(key, 0))
    return keys


def _aspas(records: Iterable[AspaRecord], now: float, dropped: Counter[str]) -> dict[int, tuple[Aspa, int]]:
    """ASPAs by customer: 8210bis §5.12 wants one a customer, the union of its records.

    It ends when the first of them does, since nothing tells which providers came from which.
    """
    unions: dict[int, tuple[set[int], int]] = {}
    for record in records:
        try:
            customer = _customer(record)
            providers = {fields.asn(provider) for provider in record.providers}
        except RejectedError as error:
            dropped[str(error)] += 1
            continue
        expires = _seconds(record.expires)
        if not providers:
            dropped["providers"] += 1
        elif expires <= now:
            dropped["expired"] += 1
        else:
            known, known_expires = unions.get(customer, (set(), NEVER))
            unions[customer] = (known | providers, min(expires, known_expires))
    aspas: dict[int, tuple[Aspa, int]] = {}
    for customer, (union, expires) in unions.items():
        # 8210bis §5.12: AS 0 only stands alone.
        providers = union - {0} or {0}
        if len(providers) > MAX_PROVIDERS:  # such an ASPA can't be sent, and a cut one would be false
            dropped["providers"] += 1
            continue
        aspas[customer] = (Aspa(customer, tuple(sorted(providers))), expires)
    return aspas


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


class _BuildTime(msgspec.Struct):
    buildtime: Any = None


def _metadata(raw: msgspec.Raw) -> dict[str, Any]:
    """The metadata, or of a monstrous one only the build time: it is passed around, shown and stored."""
    if len(raw) > MAX_METADATA_BYTES:
        with contextlib.suppress(msgspec.ValidationError):
            return {"buildtime": msgspec.json.decode(raw, type=_BuildTime).buildtime}
        return {}
    metadata = msgspec.json.decode(raw)
    return metadata if isinstance(metadata, dict) else {}


def _build_time(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None
