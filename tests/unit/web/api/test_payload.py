"""`vrps`, `aspas`, `aspa`, `router-keys`: filters, pages, forms, codings, and what other caches make of them."""

from __future__ import annotations

import csv
import io
import zlib
from ipaddress import ip_address

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import NASTY, aspa, key, vrp
from tests.unit.web.world import filed, large_table, published, world

from pyrtr.payload.order import vrps_of
from pyrtr.payload.table import NEVER, Facts, PayloadTable, count_by_anchor
from pyrtr.sources import rpki_client
from pyrtr.web.api.problems import MEDIA_TYPE
from pyrtr.web.coding import Coding, Encoder, accepted

PAYLOAD = PayloadTable.of(NASTY)
SOON = 4_102_444_800  # the year 2100


def facts(table: PayloadTable) -> Facts:
    """Two trust anchors with hostile names in turns, and entries that expire, or never do."""

    def turns(count, *values):
        return np.resize(np.array(values), count).astype(np.int64)

    def anchors(count):
        return turns(count, 0, 1).astype(np.uint16)

    return Facts(
        turns(len(table.ipv4), SOON, SOON + 1, NEVER),
        turns(len(table.ipv6), SOON, NEVER),
        turns(len(table.router_keys), SOON, NEVER),
        turns(len(table.aspas), NEVER, SOON),
        anchors(len(table.ipv4)),
        anchors(len(table.ipv6)),
        ('"a", \\', "b\x1b[31m"),
    )


@pytest.fixture
async def running(tmp_path):
    first = published(PAYLOAD, metadata={"buildtime": "2026-01-01T00:00:00Z", "large": 2**70})
    async with world(filed(first, tmp_path, facts(PAYLOAD))) as running:
        yield running


async def get(running, query):
    reply = await running.client.get(f"/api/v1/{query}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def values(items):
    return [vrp(item["prefix"], item["max_length"], item["asn"]) for item in items]


def all_vrps():
    return [*vrps_of(PAYLOAD.ipv4), *vrps_of(PAYLOAD.ipv6)]


async def test_all_vrps_with_what_is_known_of_them(running):
    body = await get(running, "vrps")
    assert values(body["items"]) == all_vrps()
    assert (body["serial"], body["published"]) == (4294967294, "2025-06-15T15:06:40.000Z")
    assert (body["total"], body["next"]) == (PAYLOAD.vrp_count, None)
    assert [item["expires"] for item in body["items"][:3]] == [
        "2100-01-01T00:00:00.000Z",
        "2100-01-01T00:00:01.000Z",
        None,
    ]
    assert [item["ta"] for item in body["items"][:2]] == ['"a", \\', "b\\x1b[31m"]


FILTERS = {
    "asn=64496": lambda each: each.asn == 64496,
    "asn=as0": lambda each: each.asn == 0,
    "prefix=192.0.2.0/24": lambda each: str(each.prefix) == "192.0.2.0/24",
    "prefix=192.0.2.0/24&match=covered": lambda each: str(each.prefix).startswith("192.0.2."),
    "prefix=192.0.2.0/25&match=covering&asn=64496": lambda each: str(each.prefix)[:4] == "192." and each.asn == 64496,
    "prefix=192.0.2.1&match=covering": lambda each: ip_address("192.0.2.1") in each.prefix,
    "prefix=::/0&match=covered": lambda each: each.prefix.version == 6,
    "ta=nobody": lambda _each: False,
}


async def test_filters(running):
    for query, wanted in FILTERS.items():
        body = await get(running, f"vrps?{query}")
        assert values(body["items"]) == [each for each in all_vrps() if wanted(each)], query
        assert body["total"] == len(body["items"])


async def test_a_trust_anchor_is_named_as_the_source_names_it(running):
    reply = await running.client.get("/api/v1/vrps", params={"ta": '"a", \\'})
    assert len(reply.json()["items"]) == count_by_anchor(facts(PAYLOAD))['"a", \\']


async def test_pages_are_together_what_is_asked_for(running):
    for path in ("vrps?", "aspas?", "router-keys?", "vrps?asn=64496&"):
        whole = (await get(running, path))["items"]
        for limit in (1, 2, 3, 1000):
            items, url = [], f"/api/v1/{path}limit={limit}"
            while url:
                reply = await running.client.get(url)
                items += reply.json()["items"]
                assert reply.json()["total"] == len(whole)
                url = reply.json()["next"]
            assert items == whole


async def test_a_page_goes_on_after_a_vrp_that_is_gone(running, tmp_path):
    first = await get(running, "vrps?limit=3")
    gone = values(first["items"])[-1]
    left = PayloadTable.of([each for each in NASTY if each != gone])
    running.context.publisher.publish(filed(published(left, left), tmp_path))
    rest = await running.client.get(first["next"])
    after = await get(running, f"vrps?cursor={first['next'].rpartition('=')[2]}")
    assert values(first["items"] + after["items"]) == all_vrps()
    assert rest.json()["serial"] != first["serial"]


async def test_csv(running):
    reply = await running.client.get("/api/v1/vrps?format=csv")
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    head, *rows = csv.reader(io.StringIO(reply.text))
    assert head == ["ASN", "IP Prefix", "Max Length", "Trust Anchor", "Expires"]
    assert [vrp(row[1], int(row[2]), int(row[0][2:])) for row in rows] == all_vrps()
    assert [row[3:] for row in rows[:3]] == [['"a", \\', str(SOON)], ["b\\x1b[31m", str(SOON + 1)], ['"a", \\', ""]]
    assert (await running.client.get("/api/v1/vrps", headers={"accept": "text/csv"})).text == reply.text


async def test_another_cache_loads_the_whole_of_it(running):
    reply = await running.client.get("/api/v1/vrps?format=rpki-client")
    loaded = rpki_client.read(reply.content, now=0)
    assert loaded.table == PAYLOAD
    assert loaded.metadata["buildtime"] == "2026-01-01T00:00:00Z"
    for name in ("ipv4_expires", "ipv6_expires", "router_keys_expires", "aspas_expires"):
        assert getattr(loaded.facts, name).tolist() == getattr(facts(PAYLOAD), name).tolist()
    assert count_by_anchor(loaded.facts) == count_by_anchor(facts(PAYLOAD))


@pytest.mark.parametrize("given", ["asn=1", "prefix=::/0", "limit=1", "ta=a", "match=exact"])
async def test_another_cache_is_given_no_part_of_it(running, given):
    reply = await running.client.get(f"/api/v1/vrps?format=rpki-client&{given}")
    assert (reply.status_code, reply.json()["parameter"]) == (400, given.partition("=")[0])


async def test_aspas(running):
    items = (await get(running, "aspas"))["items"]
    assert [aspa(item["customer_asn"], *item["provider_asns"]) for item in items] == list(PAYLOAD.aspas)
    assert [item["expires"] for item in items[:2]] == [None, "2100-01-01T00:00:00.000Z"]
    assert [item["customer_asn"] for item in (await get(running, "aspas?provider=AS65536"))["items"]] == [256, 64496]
    assert (await get(running, "aspa/AS64496"))["provider_asns"] == [64497, 65536]
    reply = await running.client.get("/api/v1/aspa/64497")
    assert (reply.status_code, reply.headers["content-type"]) == (404, MEDIA_TYPE)


async def test_router_keys(running):
    items = (await get(running, "router-keys"))["items"]
    assert len(items) == len(PAYLOAD.router_keys)
    assert items[0]["ski"] == "00" * 20
    assert (await get(running, "router-keys?asn=256"))["total"] == 1
    assert (await get(running, f"router-keys?ski={key().ski.hex()}"))["total"] == len(items) - 1


async def test_who_has_it_is_not_sent_it_again(running):
    for path in ("vrps", "vrps?format=csv", "aspas", "router-keys", "aspa/64496", "validity/1/10.0.0.0%2F8"):
        tag = (await running.client.get(f"/api/v1/{path}")).headers["etag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            reply = await running.client.get(f"/api/v1/{path}", headers={"if-none-match": known})
            assert (reply.status_code, reply.content, reply.headers["etag"]) == (304, b"", tag)
        reply = await running.client.get(f"/api/v1/{path}", headers={"if-none-match": '"other"'})
        assert reply.status_code == 200


async def test_other_expiry_times_are_another_answer_though_they_make_no_serial(running, tmp_path):
    tag = (await running.client.get("/api/v1/vrps")).headers["etag"]
    later = facts(PAYLOAD)
    later.ipv4_expires[0] += 1
    running.context.publisher.current = filed(running.context.publisher.current, tmp_path, later)
    reply = await running.client.get("/api/v1/vrps", headers={"if-none-match": tag})
    assert reply.status_code == 200
    assert reply.headers["etag"] != tag


async def test_a_long_answer_in_every_coding(tmp_path):
    table = large_table(20_000)
    async with world(filed(published(table), tmp_path)) as running:
        for coding in ("gzip", "zstd", "identity"):
            async with running.client.stream("GET", "/api/v1/vrps", headers={"accept-encoding": coding}) as reply:
                octets = b"".join([piece async for piece in reply.aiter_raw()])
            assert reply.headers.get("content-encoding", "identity") == coding
            assert len(decoded(coding, octets).split(b'{"prefix"')) == 20_001


def decoded(coding: str, octets: bytes) -> bytes:
    """As a client does that takes no more than one member or frame."""
    match coding:
        case "gzip":
            member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            body = member.decompress(octets)
            assert member.eof
            assert not member.unused_data
            return body
        case "zstd":
            frame = zstandard.ZstdDecompressor().decompressobj()
            body = frame.decompress(octets)
            assert frame.eof
            assert not frame.unused_data
            return body
        case _:
            return octets


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=5), st.sampled_from(Coding))
def test_pieces_that_are_coded_one_by_one_are_a_whole(pieces, coding):
    encoder, coded = Encoder(coding), b""
    for place, piece in enumerate(pieces, 1):
        coded += encoder.encode(piece, is_last=place == len(pieces))
    assert decoded(coding, coded) == b"".join(pieces)


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("gzip, zstd", "zstd"),
        ("GZIP;q=1.0, zstd;q=0.5", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *", "gzip"),
        ("gzip;q=0", "identity"),
        ("br, deflate", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("gzip;q=x, zstd;q=2", "identity"),
        ("gzip;q=0.0000", "identity"),
    ],
)
def test_the_coding_that_a_client_likes_best(header, coding):
    assert accepted(header) == coding


HOSTILE = ["", "%00", "%1b[31m", "%ff", "-1", "1" * 5000, "'; drop table", "🦊", "0x10", "1.5", "٣"]


@pytest.mark.parametrize("name", ["vrps?prefix", "vrps?asn", "vrps?match", "vrps?format", "vrps?limit", "vrps?cursor",
                                  "aspas?customer", "aspas?cursor", "router-keys?ski", "router-keys?cursor",
                                  "routers?behind", "validity?asn=1&prefix", "vrps?nothing"])  # fmt: skip
async def test_hostile_parameters_are_refused_in_words(running, name):
    for text in HOSTILE:
        reply = await running.client.get(f"/api/v1/{name}={text}")
        assert (reply.status_code, reply.headers["content-type"]) == (400, MEDIA_TYPE), text
        body = reply.json()
        assert body["detail"].isprintable()
        assert len(body["detail"]) < 400
        assert body.get("parameter", "nothing") == name.rpartition("&")[2].rpartition("?")[2]


async def test_a_parameter_that_is_given_twice_is_refused(running):
    reply = await running.client.get("/api/v1/vrps?asn=1&asn=2")
    assert (reply.status_code, reply.json()["detail"]) == (400, "asn is given twice: expected it once")


@pytest.mark.parametrize("path", ["vrps", "aspas", "aspa/1", "router-keys", "validity/1/10.0.0.0%2F8"])
async def test_before_there_is_data_it_is_told_so(path):
    async with world(published()) as running:
        reply = await running.client.get(f"/api/v1/{path}")
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert "no data" in reply.json()["detail"]
