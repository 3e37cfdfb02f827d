"""`/healthz` and `/readyz`."""

from __future__ import annotations

import os
import time
from importlib.metadata import version

import msgspec
from tests.examples import vrp
from tests.unit.web.world import PUBLISHED_AT, SESSION_IDS, World, published, world

from pyrtr.compiler.status import SourceStatus
from pyrtr.payload.table import PayloadTable
from pyrtr.settings import Settings
from pyrtr.sources.base import SourceReport
from pyrtr.wire.enums import Version

TABLE = PayloadTable.of([vrp("192.0.2.0/24", 24, 64496)])
FOUND = SourceReport(
    metadata={},
    records={"vrps": 3, "router_keys": 0, "aspas": 0},
    dropped={"expired": 2},
    built_at=PUBLISHED_AT - 60,
)


def loaded(status: SourceStatus) -> None:
    """A look has come to something."""
    status.found = FOUND
    status.counts = {"ipv4": 1, "ipv6": 0, "router_keys": 0, "aspas": 0}
    status.vrps_by_anchor = {"example": 1}
    status.oversized_aspas = 4
    status.seconds = {"decode": 0.25, "total": 0.5}


async def health(running: World, status: int) -> dict[str, object]:
    reply = await running.client.get("/healthz")
    assert reply.status_code == status
    answer: dict[str, object] = reply.json()
    return answer


async def test_before_there_is_data():
    async with world(published()) as running:
        answer = await health(running, 503)
        assert answer["status"] == "no data to serve: the first look at the source has not ended"
        assert answer["datasources"] == {name: {"last_update": None} for name in ("V0", "V1", "V2")}
        assert answer["serials"] == {"V0": None, "V1": None, "V2": None}
        ready = await running.client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"ready": False, "reason": answer["status"]}


async def test_as_soon_as_there_is_data():
    async with world(published()) as running:
        running.context.publisher.publish(published(TABLE))
        assert (await health(running, 200))["status"] == "ok"
        ready = await running.client.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"ready": True})


async def test_the_empty_set_is_data():
    async with world(published(PayloadTable.of())) as running:
        await health(running, 200)


async def test_what_an_operator_sees():
    async with world(published(PayloadTable.of(), TABLE)) as running:
        status = running.context.loader.status
        status.last_attempt, status.last_success, status.success_count = PUBLISHED_AT + 1, PUBLISHED_AT + 2, 7
        loaded(status)
        running.context.loader.agenda.built_at = time.time() - 60
        await running.router()
        answer = await health(running, 200)
        assert answer["datasources"] == {
            name: {"last_update": "2025-06-15T15:06:42.000Z"} for name in ("V0", "V1", "V2")
        }
        assert answer["sessions"] == {
            "V0": SESSION_IDS[Version.V0][0],
            "V1": SESSION_IDS[Version.V1][0],
            "V2": SESSION_IDS[Version.V2][0],
        }
        assert answer["serials"] == {"V0": 4294967295, "V1": 4294967295, "V2": 4294967295}
        assert answer["pid"] == os.getpid()
        assert answer["version"] == version("pyrtr")
        assert answer["rtr"] == [f"127.0.0.1:{running.rtr_port}"]
        assert answer["http"] == ["127.0.0.1:8080"]
        assert answer["routers"] == 1
        assert answer["published"] == "2025-06-15T15:06:40.000Z"
        assert answer["warnings"] == []
        source = answer["source"]
        assert isinstance(source, dict)
        age_s = source.pop("age_s")
        assert 60 <= age_s < 120
        assert source == {
            "location": "/data/json",
            "last_attempt": "2025-06-15T15:06:41.000Z",
            "last_success": "2025-06-15T15:06:42.000Z",
            "attempts": {"success": 7, "failure": 0},
            "error": None,
            "build_time": "2025-06-15T15:05:40.000Z",
            "counts": {"ipv4": 1, "ipv6": 0, "router_keys": 0, "aspas": 0},
            "records": {"vrps": 3, "router_keys": 0, "aspas": 0},
            "vrps_by_ta": {"example": 1},
            "dropped": {"expired": 2},
            "oversized_aspas": 4,
            "durations_s": {"decode": 0.25, "total": 0.5},
        }


async def test_a_failing_look_is_a_warning_while_data_is_served():
    async with world(published(TABLE)) as running:
        running.context.loader.status.error = "/data/json: \x1b[31mnot JSON"
        answer = await health(running, 200)
        assert answer["status"] == "ok"
        assert isinstance(answer["warnings"], list)
        assert "\\x1b[31mnot JSON" in answer["warnings"][0]
        assert answer["source"]["error"] == "/data/json: \\x1b[31mnot JSON"  # type: ignore[index]


async def test_a_failing_first_look_is_the_reason():
    async with world(published()) as running:
        running.context.loader.status.error = "/data/json: no such file"
        assert (await health(running, 503))["status"] == "no data to serve: /data/json: no such file"


async def test_a_location_that_is_no_utf_8_and_a_build_time_that_is_no_date():
    async with world(published(TABLE)) as running:
        running.context.loader.status.location = os.fsdecode(b"/data/\xff")
        status = running.context.loader.status
        status.found = msgspec.structs.replace(FOUND, built_at=1e300)
        answer = await health(running, 200)
        assert answer["source"]["location"] == "/data/\\udcff"  # type: ignore[index]
        assert answer["source"]["build_time"] is None  # type: ignore[index]


async def test_only_versions_that_are_served_are_shown():
    async with world(published(TABLE), Settings(min_version=1, max_version=1)) as running:
        answer = await health(running, 200)
        assert list(answer["sessions"]) == list(answer["datasources"]) == ["V1"]  # type: ignore[call-overload]
