"""`/copies`: read by another MessagePack library, decoded PDU by PDU, and applied."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it has none
import pytest
from tests.examples import NASTY, SPKI, aspa, key, vrp
from tests.unit.web.world import PUBLISHED_AT, World, published, world

from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import VRP, Aspa, RouterKey
from pyrtr.settings import Settings
from pyrtr.web import copies, messagepack
from pyrtr.wire.codec import decode
from pyrtr.wire.enums import Version
from pyrtr.wire.image import encode_delta, encode_snapshot
from pyrtr.wire.pdu import AspaAnnounce, AspaWithdraw, Key, Prefix

NOTHING: dict[str, list[bytes]] = {"vrps": [], "router_keys": [], "aspas": []}
LONG_KEY = key(spki=b"\x30\x82\x01\x00" + bytes(256))  # a PDU that needs the longer head of a binary string
# Each table differs from the one before in all kinds of payload, and the last brings back what the second took away.
TABLES = (
    PayloadTable.of([*NASTY, LONG_KEY]),
    PayloadTable.of([*NASTY[8:-2], aspa(64511, 64497)]),
    PayloadTable.of(
        [*NASTY[4:12], *NASTY[14:18], *NASTY[20:-2], aspa(64511, 64498), LONG_KEY, vrp("198.51.100.0/24", 24, 64497)]
    ),
)


async def unpacked(running: World, path: str) -> dict[int, Any]:
    reply = await running.client.get(path)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/msgpack"
    answer: dict[int, Any] = msgpack.unpackb(reply.content, strict_map_key=False)
    return answer


def body(elements: Mapping[str, list[bytes]]) -> bytes:
    return b"".join(pdu for kind in ("vrps", "router_keys", "aspas") for pdu in elements[kind])


def applied(version: Version, held: set[VRP | RouterKey | Aspa], elements: Mapping[str, list[bytes]]) -> set[object]:
    """What a router holds after it was told these PDUs; it would not take anything twice, nor miss what it gives."""
    after = set(held)
    for pdu in (pdu for kind in elements.values() for pdu in kind):
        told, decoded = decode(pdu)
        assert told is version
        match decoded:
            case Prefix(value, announce) | Key(value, announce):
                assert (value in after) is not announce
                (after.add if announce else after.remove)(value)
            case AspaAnnounce(value):
                after -= {old for old in after if isinstance(old, Aspa) and old.customer_asn == value.customer_asn}
                after.add(value)
            case AspaWithdraw(customer_asn):
                (gone,) = {old for old in after if isinstance(old, Aspa) and old.customer_asn == customer_asn}
                after.remove(gone)
            case other:
                raise AssertionError(other)
    return set(after)


def visible(version: Version, table: PayloadTable) -> set[Any]:
    """What a router of this version holds of a table, by way of the PDUs of the snapshot."""
    values: set[Any] = set()
    image = encode_snapshot(version, table).body
    start = 0
    while start < len(image):
        size = int.from_bytes(image[start + 4 : start + 8])
        _, pdu = decode(bytes(image[start : start + size]))
        values.add(next(getattr(pdu, name) for name in ("vrp", "router_key", "aspa") if hasattr(pdu, name)))
        start += size
    return values


@pytest.fixture(params=["small", "usual"])
def _chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with slices and chunks that hold next to nothing."""
    if request.param == "small":
        monkeypatch.setattr(messagepack, "CHUNK_BYTES", 64)
        monkeypatch.setattr(copies, "CHUNK_BYTES", 64)
        monkeypatch.setattr(copies, "SLICE", 2)


async def test_no_data_yet():
    async with world(published()) as running:
        assert await unpacked(running, "/copies") == {0: {}, 1: {}, 2: {}}
        assert await unpacked(running, "/copies/2") == {}


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("version", Version)
async def test_the_current_serial_carries_the_table(version):
    first = published(*TABLES, metadata={"buildtime": "2026-09-01T00:00:00Z"})
    async with world(first) as running:
        copy = (await unpacked(running, f"/copies/{version}"))[0]
    image = encode_snapshot(version, TABLES[-1])
    assert body(copy.pop("serialized")) == bytes(image.body)
    assert copy == {
        "timestamp": PUBLISHED_AT,
        "hash": hashlib.sha256(image.body).hexdigest(),
        "diffs": NOTHING,
        "content": {"metadata": {"buildtime": "2026-09-01T00:00:00Z"}},
    }


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("version", Version)
async def test_an_older_serial_carries_what_leads_to_the_current_one(version):
    async with world(published(*TABLES)) as running:
        serials = await unpacked(running, f"/copies/{version}")
    assert list(serials) == [0, 2**32 - 1, 2**32 - 2]
    for serial, table in ((2**32 - 1, TABLES[1]), (2**32 - 2, TABLES[0])):
        copy = serials[serial]
        assert copy["serialized"] == NOTHING
        assert applied(version, visible(version, table), copy["diffs"]) == visible(version, TABLES[-1])
        assert copy["hash"] == hashlib.sha256(body(copy["diffs"])).hexdigest()
        assert (copy["timestamp"], copy["content"]) == (None, {"metadata": {}})


async def test_an_older_serial_carries_what_a_router_is_told():
    first = published(*TABLES)
    async with world(first) as running:
        serials = await unpacked(running, "/copies/2")
    for serial in first.history.serials:
        image = first.delta(Version.V2, serial)
        assert image is not None
        assert body(serials[serial]["diffs"]) == bytes(image.get().body)


async def test_elements_stand_under_their_kind():
    async with world(published(*TABLES)) as running:
        serials = await unpacked(running, "/copies/2")
    for elements in (serials[0]["serialized"], serials[2**32 - 2]["diffs"]):
        types = {kind: {pdu[1] for pdu in pdus} for kind, pdus in elements.items()}
        assert types == {"vrps": {4, 6}, "router_keys": {9}, "aspas": {11}}


async def test_all_versions_are_what_each_of_them_is():
    async with world(published(*TABLES)) as running:
        assert await unpacked(running, "/copies") == {
            int(version): await unpacked(running, f"/copies/{int(version)}") for version in Version
        }


async def test_only_versions_that_are_served():
    async with world(published(*TABLES), Settings(min_version=1, max_version=1)) as running:
        assert list(await unpacked(running, "/copies")) == [1]
        reply = await running.client.get("/copies/0")
        assert reply.status_code == 404
        assert reply.json() == {"error": "version 0 is not served: expected 1"}


@pytest.mark.parametrize("name", ["3", "-1", "01", "V1", "1.0", "%1b", "²"])
async def test_an_unknown_version(name):
    async with world(published(*TABLES)) as running:
        reply = await running.client.get(f"/copies/{name}")
        assert reply.status_code == 404
        assert reply.json()["error"].endswith(" is not served: expected 0, 1, 2")
        assert reply.json()["error"].isprintable()


async def test_a_response_belongs_to_what_was_published_when_it_began():
    async with world(published(*TABLES)) as running:
        first, chunks = running.context.publisher.current, []
        for number, part in enumerate(copies._serials(first, Version.V2)):
            if number == 3:
                running.context.publisher.publish(published(TABLES[0]))
            chunks.append(part)
        assert body(msgpack.unpackb(b"".join(chunks), strict_map_key=False)[0]["serialized"]) == bytes(
            encode_snapshot(Version.V2, TABLES[-1]).body
        )


@pytest.mark.parametrize("path", ["/copies", "/copies/2"])
async def test_head_makes_nothing(monkeypatch, path):
    def unwanted(*_arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(copies, "encode_snapshot", unwanted)
    async with world(published(*TABLES)) as running:
        assert (await running.client.head(path)).headers["content-type"] == "application/msgpack"
        with pytest.raises(AssertionError):
            await running.client.get(path)


async def test_no_image_is_kept():
    async with world(published(*TABLES)) as running:
        await unpacked(running, "/copies")
        assert running.context.publisher.current._snapshots == {}
        assert running.context.publisher.current._deltas == {}


@pytest.mark.parametrize(
    ("metadata", "packed"),
    [
        ({}, {}),
        ({"a": [1, -1, 1.5, None, True, "ü"]}, {"a": [1, -1, 1.5, None, True, "ü"]}),
        ({"a": 2**64 - 1, "b": -(2**63)}, {"a": 2**64 - 1, "b": -(2**63)}),
        ({"a": [{"b": 2**64}, True], "c": -(2**63) - 1}, {"a": [{"b": str(2**64)}, True], "c": str(-(2**63) - 1)}),
    ],
)
def test_metadata(metadata, packed):
    assert msgpack.unpackb(copies.pack_metadata(metadata)) == packed


def test_the_examples_are_what_they_should_be():
    assert len(SPKI) < 200 < len(LONG_KEY.spki)
    assert all(len(encode_delta(Version.V2, step.delta).body) for step in published(*TABLES).history.steps)
