"""`/copies`: the payload in memory, PDU by PDU, as MessagePack.

    version -> serial -> {"timestamp", "hash", "serialized": ELEMENTS, "diffs": ELEMENTS, "content": {"metadata": …}}
    ELEMENTS = {"vrps": [PDU, …], "router_keys": [PDU, …], "aspas": [PDU, …]}

The current serial, which comes first, carries `serialized`; an older one carries, in `diffs`, what takes a router
from it to the current serial. A response is made on a thread, slice by slice while it is read, from one published
record. So it costs kilobytes a reader and fills no cache; the table is encoded twice, for its hash and to be sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from pyrtr.logs import printable
from pyrtr.payload.delta import Delta, compose
from pyrtr.payload.order import Rows
from pyrtr.payload.table import PayloadTable
from pyrtr.server.publisher import Published
from pyrtr.web.context import Context
from pyrtr.web.messagepack import CHUNK_BYTES, array_head, frame_each, frame_equal, in_chunks, map_head
from pyrtr.web.replies import METHODS, json_reply, stream
from pyrtr.wire.enums import PDU_TYPES, PduType, Version
from pyrtr.wire.image import IPV4_PDU_BYTES, IPV6_PDU_BYTES, Image, encode_delta, encode_snapshot

MEDIA_TYPE = "application/msgpack"
# Router keys and ASPAs are encoded one by one: so many take a millisecond or two.
SLICE = 1000

_pack = msgspec.msgpack.encode
_NO_PAYLOAD = PayloadTable.of()


def routes(context: Context) -> APIRouter:
    """The endpoints."""
    router = APIRouter()
    by_name = {str(int(version)): version for version in context.versions}

    @router.api_route("/copies", methods=METHODS)
    async def copies(request: Request) -> Response:
        return stream(request, in_chunks(_copies(context.publisher.current, context.versions)), MEDIA_TYPE)

    @router.api_route("/copies/{version}", methods=METHODS)
    async def copies_of_version(request: Request, version: str) -> Response:
        if version not in by_name:
            text = f"version {printable(version)} is not served: expected {', '.join(by_name)}"
            return json_reply({"error": text}, 404)
        return stream(request, in_chunks(_serials(context.publisher.current, by_name[version])), MEDIA_TYPE)

    return router


@dataclass(frozen=True, slots=True)
class Kind:
    """The elements of one kind: how many, and their octets in any pieces."""

    count: int = 0
    octets: Iterable[bytes] = ()


@dataclass(frozen=True, slots=True)
class Elements:
    """The elements of a snapshot or a delta, and the hash over its PDUs in the order of a response."""

    hash: str
    vrps: Kind
    router_keys: Kind
    aspas: Kind


def _copies(published: Published, versions: Sequence[Version]) -> Iterator[bytes]:
    yield map_head(len(versions))
    for version in versions:
        yield _pack(int(version))
        yield from _serials(published, version)


def _serials(published: Published, version: Version) -> Iterator[bytes]:
    """The map of one version."""
    if published.table is None:
        yield map_head(0)
        return
    yield map_head(1 + len(published.history.steps))
    yield _pack(published.serial)
    metadata = pack_metadata(published.metadata)
    yield from _copy(published.published_at, metadata, _snapshot(version, published.table), is_current=True)
    delta: Delta | None = None
    # From the newest to the oldest each delta follows from the one before: all of them cost little more than one.
    for step in reversed(published.history.steps):
        delta = step.delta if delta is None else compose((step.delta, delta))
        yield _pack(step.from_serial)
        # When an older serial was published, and with which metadata, is not kept.
        yield from _copy(None, map_head(0), _delta(version, delta), is_current=False)


def _copy(timestamp: float | None, metadata: bytes, elements: Elements, *, is_current: bool) -> Iterator[bytes]:
    """The map of one serial."""
    nothing = Elements("", Kind(), Kind(), Kind())
    yield map_head(5)
    yield _pack("timestamp") + _pack(timestamp)
    yield _pack("hash") + _pack(elements.hash)
    yield _pack("serialized")
    yield from _kinds(elements if is_current else nothing)
    yield _pack("diffs")
    yield from _kinds(nothing if is_current else elements)
    yield _pack("content") + map_head(1) + _pack("metadata") + metadata


def _kinds(elements: Elements) -> Iterator[bytes]:
    yield map_head(3)
    for name, kind in (("vrps", elements.vrps), ("router_keys", elements.router_keys), ("aspas", elements.aspas)):
        yield _pack(name) + array_head(kind.count)
        yield from kind.octets


def _snapshot(version: Version, table: PayloadTable) -> Elements:
    def images(pieces: Iterable[PayloadTable]) -> Iterator[Image]:
        return (encode_snapshot(version, piece) for piece in pieces)

    digest = hashlib.sha256()
    for pieces in (_vrps_of(table), _router_keys_of(table), _aspas_of(table)):
        for image in images(pieces):
            digest.update(image.body)
    return Elements(
        digest.hexdigest(),
        Kind(table.vrp_count, (part for image in images(_vrps_of(table)) for part in _frame_vrps(image))),
        Kind(
            _visible(version, PduType.ROUTER_KEY, len(table.router_keys)),
            (part for image in images(_router_keys_of(table)) for part in _frame_router_keys(image)),
        ),
        Kind(
            _visible(version, PduType.ASPA, len(table.aspas)),
            (part for image in images(_aspas_of(table)) for part in _frame_aspas(image)),
        ),
    )


def _delta(version: Version, delta: Delta) -> Elements:
    image = encode_delta(version, delta)
    return Elements(
        hashlib.sha256(image.body).hexdigest(),
        Kind(len(delta.ipv4) + len(delta.ipv6), _frame_vrps(image)),
        Kind(_visible(version, PduType.ROUTER_KEY, len(delta.router_keys)), _frame_router_keys(image)),
        Kind(_visible(version, PduType.ASPA, len(delta.aspas)), _frame_aspas(image)),
    )


def _visible(version: Version, kind: PduType, count: int) -> int:
    return count if kind in PDU_TYPES[version] else 0


def _frame_vrps(image: Image) -> Iterator[bytes]:
    end = image.ipv4_bytes
    yield from frame_equal(image.body[:end], IPV4_PDU_BYTES)
    yield from frame_equal(image.body[end : end + image.ipv6_bytes], IPV6_PDU_BYTES)


def _frame_router_keys(image: Image) -> Iterator[bytes]:
    start = image.ipv4_bytes + image.ipv6_bytes
    return frame_each(image.body[start : start + image.router_key_bytes])


def _frame_aspas(image: Image) -> Iterator[bytes]:
    return frame_each(image.body[image.ipv4_bytes + image.ipv6_bytes + image.router_key_bytes :])


# Slices of a table whose images, one after another, are the image of the table.


def _vrps_of(table: PayloadTable) -> Iterator[PayloadTable]:
    for rows in _from_the_end(table.ipv4, CHUNK_BYTES // IPV4_PDU_BYTES):
        yield PayloadTable(rows, _NO_PAYLOAD.ipv6)
    for rows in _from_the_end(table.ipv6, CHUNK_BYTES // IPV6_PDU_BYTES):
        yield PayloadTable(_NO_PAYLOAD.ipv4, rows)


def _from_the_end(rows: Rows, size: int) -> Iterator[Rows]:
    """Slices, the last rows first: rows are stored ascending and announced descending (8210bis §11.2.1)."""
    for end in range(len(rows), 0, -size):
        yield rows[max(0, end - size) : end]


def _router_keys_of(table: PayloadTable) -> Iterator[PayloadTable]:
    for start in range(0, len(table.router_keys), SLICE):
        keys = table.router_keys[start : start + SLICE]
        yield PayloadTable(_NO_PAYLOAD.ipv4, _NO_PAYLOAD.ipv6, router_keys=keys)


def _aspas_of(table: PayloadTable) -> Iterator[PayloadTable]:
    for start in range(0, len(table.aspas), SLICE):
        aspas = table.aspas[start : start + SLICE]
        yield PayloadTable(_NO_PAYLOAD.ipv4, _NO_PAYLOAD.ipv6, aspas=aspas)


def pack_metadata(metadata: Mapping[str, Any]) -> bytes:
    """The source's metadata, whatever JSON it was: integers that MessagePack does not have become text."""
    try:
        return _pack(dict(metadata))
    except OverflowError:
        return _pack(portable(metadata))


def portable(value: object) -> object:
    """A JSON value in which integers of more than 64 bits are text."""
    match value:
        case bool():
            return value
        case int() if not -(2**63) <= value < 2**64:
            return str(value)
        case Mapping():
            return {key: portable(item) for key, item in value.items()}
        case list():
            return [portable(item) for item in value]
        case _:
            return value
