"""`status`, `routers`, `sources`, and the description of all that."""

from __future__ import annotations

import json
import re

from tests.examples import vrp
from tests.unit.web.world import PUBLISHED_AT, SESSION_IDS, published, world

from pyrtr.compiler.guard import Loss, Losses
from pyrtr.compiler.status import Held
from pyrtr.payload.table import PayloadTable
from pyrtr.web.app import PATHS
from pyrtr.wire.enums import PduType, Version
from pyrtr.wire.pdu import ResetQuery

TABLE = PayloadTable.of([vrp("192.0.2.0/24", 24, 64496)])


async def routers_of(running, query=""):
    reply = await running.client.get(f"/api/v1/routers{query}")
    assert reply.status_code == 200
    return [router["client"] for router in reply.json()["routers"]]


async def test_status_before_there_is_data():
    async with world(published()) as running:
        body = (await running.client.get("/api/v1/status")).json()
    assert (body["healthy"], body["serial"], body["published"], body["counts"]) == (False, None, None, None)
    assert body["status"] == body["reasons"][0]
    assert body["status"].startswith("no data to serve")


async def test_status_with_routers_and_a_load_that_is_held_back():
    async with world(published(PayloadTable.of(), TABLE)) as running:
        await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        await running.router()
        losses = Losses(Loss(1, 1), {}, Loss(0, 0))
        running.context.loader.status.held = Held(PUBLISHED_AT, ("takes away\x1b all",), losses)
        body = (await running.client.get("/api/v1/status")).json()
    assert body["routers"] == {
        "connected": 2,
        "current": 1,
        "behind": 0,
        "by_version": {"V1": 1, "unknown": 1},
        "by_transport": {"tcp": 2},
    }
    assert body["counts"] == {"ipv4": 1, "ipv6": 0, "router_keys": 0, "aspas": 0}
    assert body["sessions"] == {version.name: ids[0] for version, ids in SESSION_IDS.items()}
    held = {"since": "2025-06-15T15:06:40.000Z", "reasons": ["takes away\\x1b all"], "accepted_in_s": 0.0}
    assert body["held"] == held
    assert body["healthy"] is False


async def test_routers_in_pages_and_by_whether_they_are_behind():
    async with world(published(PayloadTable.of())) as running:
        behind = [await running.router(ResetQuery(), until=PduType.END_OF_DATA) for _ in range(2)]
        running.context.publisher.publish(published(PayloadTable.of(), TABLE))
        current = await running.router(ResetQuery(), until=PduType.END_OF_DATA, version=Version.V2)
        assert await routers_of(running) == [*behind, current]
        assert await routers_of(running, "?behind=true") == behind
        assert await routers_of(running, "?behind=false") == [current]
        first = (await running.client.get("/api/v1/routers?behind=true&limit=1")).json()
        assert ([each["client"] for each in first["routers"]], first["total"]) == (behind[:1], 2)
        second = (await running.client.get(first["next"])).json()
        assert ([each["client"] for each in second["routers"]], second["next"]) == (behind[1:], None)
        assert await routers_of(running, "?cursor=9") == []


async def test_sources_are_those_of_healthz():
    async with world(published(TABLE)) as running:
        sources = (await running.client.get("/api/v1/sources")).json()
        health = (await running.client.get("/healthz")).json()
    assert sources == {name: health[name] for name in ("source", "locations", "slurm")}


async def test_the_description_has_every_endpoint_and_no_other():
    async with world(published()) as running:
        document = (await running.client.get("/api/v1/openapi.json")).json()
    undescribed = {"/api/v1/openapi.json", "/api/v1/docs"}
    assert set(document["paths"]) == {path for path in PATHS if path.startswith("/api/")} - undescribed
    assert document["openapi"] == "3.1.0"
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert used <= set(document["components"]["schemas"])


async def test_the_page_about_it_asks_nobody_else():
    async with world(published()) as running:
        page = await running.client.get("/api/v1/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "http" not in page.text.replace("http-equiv", "")
        for name in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert (await running.client.get(f"/api/v1/{name}")).status_code == 200
        reply = await running.client.get("/api/v1/docs/..%2F..%2Fsecret")
        assert reply.status_code == 404
        assert (await running.client.get("/api/v1/docs/index.html")).status_code == 404


async def test_what_does_not_exist_there_is_a_problem():
    async with world(published()) as running:
        for method, path, status in (
            ("GET", "/api/v1", 404),
            ("GET", "/api/v1/nothing", 404),
            ("PUT", "/api/v1/status", 405),
        ):
            reply = await running.client.request(method, path)
            assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
            assert reply.json()["status"] == status
        assert set((await running.client.get("/api/v1/accept")).json()) == {"error"}
