"""`validity`: RFC 6811 over the API, in the shape that Routinator's users know."""

from __future__ import annotations

import pytest
from tests.examples import vrp
from tests.unit.payload.test_origin import CASES
from tests.unit.web.world import filed, published, world

from pyrtr.payload.table import PayloadTable
from pyrtr.web.api import validity
from pyrtr.web.lookup.validity import MAX_ROUTES

VRPS = (
    vrp("10.0.0.0/8", 16, 64496),
    vrp("10.0.0.0/8", 24, 64497),
    vrp("10.1.0.0/16", 16, 64498),
    vrp("2001:db8::/32", 48, 64496),
)
REASONS = {(0, 0): None, (1, 0): "as", (0, 1): "length", (1, 1): "as"}


@pytest.mark.parametrize("name", CASES)
async def test_the_table_of_rfc_6811(name):
    payload, prefix, asn, state, counts = CASES[name]
    async with world(published(PayloadTable.of(payload))) as running:
        reply = await running.client.get(f"/api/v1/validity/AS{asn}/{prefix}")
        body = reply.json()["validated_route"]
        assert body["route"] == {"origin_asn": f"AS{asn}", "prefix": prefix}
        assert body["validity"]["state"] == state
        lists = body["validity"]["VRPs"]
        assert tuple(len(lists[name]) for name in ("matched", "unmatched_as", "unmatched_length")) == counts
        reason = REASONS[bool(counts[1]), bool(counts[2])] if state == "invalid" else None
        assert body["validity"].get("reason") == reason
        again = await running.client.get("/api/v1/validity", params={"asn": asn, "prefix": prefix})
        assert again.json() == reply.json()


async def test_what_decided_is_listed_the_most_specific_first():
    async with world(published(PayloadTable.of(VRPS))) as running:
        reply = await running.client.get("/api/v1/validity/AS64496/10.1.0.0/16")
    assert reply.json() == {
        "validated_route": {
            "route": {"origin_asn": "AS64496", "prefix": "10.1.0.0/16"},
            "validity": {
                "state": "valid",
                "description": "At least one VRP matches the route",
                "VRPs": {
                    "matched": [{"asn": "AS64496", "prefix": "10.0.0.0/8", "max_length": "16"}],
                    "unmatched_as": [
                        {"asn": "AS64498", "prefix": "10.1.0.0/16", "max_length": "16"},
                        {"asn": "AS64497", "prefix": "10.0.0.0/8", "max_length": "24"},
                    ],
                    "unmatched_length": [],
                },
            },
        },
        "generatedTime": "2025-06-15T15:06:40.000Z",
    }


async def test_many_routes_at_once(tmp_path):
    table = PayloadTable.of(VRPS)
    asked = [(asn, prefix) for asn in (0, 64496, 64498) for prefix in ("10.1.0.0/16", "10.1.0.0/17", "2001:db8::/48")]
    async with world(filed(published(table), tmp_path)) as running:
        routes = [{"asn": f"AS{asn}" if asn else asn, "prefix": prefix} for asn, prefix in asked]
        reply = await running.client.post("/api/v1/validity", json={"routes": routes})
        single = [(await running.client.get(f"/api/v1/validity/{asn}/{prefix}")).json() for asn, prefix in asked]
        assert reply.json()["validated_routes"] == [each["validated_route"] for each in single]
        many = [{"asn": 1, "prefix": "10.1.0.0/16"}] * MAX_ROUTES
        reply = await running.client.post("/api/v1/validity", json={"routes": many})
        assert len(reply.json()["validated_routes"]) == MAX_ROUTES


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "no list of routes"),
        (b"\xff", "no list of routes"),
        (b"[" * 5000, "no list of routes"),
        (b'{"routes":[]}', "0 routes: expected 1 to 10000"),
        (b'{"routes":[' + b'{"asn":1,"prefix":"::/0"},' * 10_000 + b'{"asn":1,"prefix":"::/0"}]}', "10001 routes"),
        (b'{"routes":[{"asn":1}]}', "missing required field `prefix`"),
        (b'{"routes":[{"asn":-1,"prefix":"::/0"}]}', 'asn of route 0 is "-1"'),
        (b'{"routes":[{"asn":1.5,"prefix":"::/0"}]}', 'asn of route 0 is "1.5"'),
        (b'{"routes":[{"asn":"ASX\\u001b","prefix":"::/0"}]}', 'asn of route 0 is "ASX\\x1b"'),
        (
            b'{"routes":[{"asn":1,"prefix":"::/0"},{"asn":1,"prefix":"10.0.0.1/8"}]}',
            'prefix of route 1 is "10.0.0.1/8"',
        ),
    ],
)
async def test_what_is_no_list_of_routes_is_refused_in_words(tmp_path, body, detail):
    async with world(filed(published(PayloadTable.of()), tmp_path)) as running:
        headers = {"content-type": "application/json"}
        reply = await running.client.post("/api/v1/validity", content=body, headers=headers)
        assert (reply.status_code, reply.json()["parameter"]) == (400, "routes")
        assert detail in reply.json()["detail"]


async def test_a_body_of_another_kind_or_size_is_refused():
    async with world(published(PayloadTable.of())) as running:
        reply = await running.client.post("/api/v1/validity", content="{}", headers={"content-type": "text/plain"})
        assert reply.status_code == 415
        reply = await running.client.post("/api/v1/validity", content=b" " * (2**20 + 1))
        assert (reply.status_code, reply.headers["content-type"]) == (413, "application/problem+json")
        assert (await running.client.get("/api/v1/validity?asn=1")).json()["detail"].startswith("prefix is missing")


async def test_a_prefix_under_very_many_vrps_is_looked_up_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(validity, "MAX_SPAN", 2)
    async with world(filed(published(PayloadTable.of(VRPS)), tmp_path)) as running:
        here = (await running.client.get("/api/v1/validity/64498/10.1.0.0%2F16")).json()
        monkeypatch.undo()
        assert here == (await running.client.get("/api/v1/validity/64498/10.1.0.0%2F16")).json()
