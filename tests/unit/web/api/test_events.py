"""`/api/v1/events`: what happens, told as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.examples import vrp
from tests.unit.web.world import FIRST_SERIAL, World, published, served, world

from pyrtr.compiler.guard import Loss, Losses
from pyrtr.compiler.status import Held
from pyrtr.payload.table import PayloadTable
from pyrtr.server.registry import Happening
from pyrtr.web.api import events
from pyrtr.web.api.events import MAX_ROUTERS_PER_TURN, MAX_WAITING, Feed
from pyrtr.web.app import create_app
from pyrtr.web.limits import MAX_LISTENERS
from pyrtr.wire.enums import PduType
from pyrtr.wire.pdu import ResetQuery

TABLES = [PayloadTable.of([vrp(f"192.0.2.{16 * number}/28", 28, 64496)]) for number in range(3)]
NOTHING_LOST = Losses(Loss(0, 0), {}, Loss(0, 0))
TIMEOUT_S = 10.0
Event = tuple[str, Any]


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "TURN_S", 0.01)


class Ear:
    """One who listens."""

    def __init__(self, feed: Feed) -> None:
        self._stream = feed.listen()
        self._heard: list[Event] = []

    async def next(self, *names: str) -> Event:
        """The next event of these names; others are passed over."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                while self._heard:
                    event = self._heard.pop(0)
                    if event[0] in names:
                        return event
                self._heard += parse(await anext(self._stream))

    async def close(self) -> None:
        assert hasattr(self._stream, "aclose")
        await self._stream.aclose()


def parse(octets: bytes) -> list[Event]:
    found = []
    for block in octets.decode().split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines())
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


@contextlib.asynccontextmanager
async def listening(*tables: PayloadTable) -> AsyncIterator[tuple[World, Feed, Ear]]:
    async with world(published(*tables)) as running:
        feed = Feed(running.context)
        ear = Ear(feed)
        await ear.next("status")
        try:
            yield running, feed, ear
        finally:
            await ear.close()


async def test_the_status_comes_first():
    async with world(published(TABLES[0])) as running:
        feed = Feed(running.context)
        first = await anext(feed.listen())
        assert first.startswith(b"retry: 3000\n\nevent: status\n")
        ((_, status),) = parse(first)
        now = (await running.client.get("/api/v1/status")).json()
        assert status.keys() == now.keys()
        assert status["serial"] == FIRST_SERIAL


async def test_another_serial():
    async with listening(TABLES[0]) as (running, _, ear):
        running.context.publisher.publish(published(*TABLES[:2]))
        _, generation = await ear.next("generation")
        assert generation == {
            "serial": (FIRST_SERIAL + 1) % 2**32,
            "time": "2025-06-15T15:06:40.000Z",
            "counts": TABLES[1].counts,
            "changes": 2,
        }


async def test_the_first_serial_has_no_number_of_changes():
    async with listening() as (running, _, ear):
        running.context.publisher.publish(published(TABLES[0]))
        assert (await ear.next("generation"))[1]["changes"] is None


async def test_the_same_serial_is_no_event():
    async with listening(TABLES[0]) as (running, _, ear):
        running.context.publisher.publish(published(TABLES[0]))
        running.context.publisher.publish(published(*TABLES[:2]))
        assert (await ear.next("generation"))[1]["serial"] == (FIRST_SERIAL + 1) % 2**32


async def test_a_router_comes_and_goes():
    async with listening(TABLES[0]) as (running, _, ear):
        address = await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        event: dict[str, object] = {}
        while event.get("event") != "synced":
            _, event = await ear.next("router")
        assert event == {
            "event": "synced", "client": address, "version": "V1", "transport": "tcp", "serial": FIRST_SERIAL,
        }  # fmt: skip
        running.routers[0].close()
        assert (await ear.next("router"))[1]["event"] == "left"


async def test_a_crowd_is_counted():
    """What ten thousand routers do at once is told in a few lines."""
    async with listening(TABLES[0]) as (running, feed, ear):
        await running.router()
        (connection,) = running.context.registry.connections
        await ear.next("router")
        crowd = [type("Router", (), {"session": connection.session, "address": str(number), "transport": "tcp"})()
                 for number in range(10_000)]  # fmt: skip
        for router in crowd:
            feed._router(Happening.CONNECTED, router)
        told = [(await ear.next("router", "routers"))[0] for _ in range(MAX_ROUTERS_PER_TURN)]
        assert told == ["router"] * MAX_ROUTERS_PER_TURN
        rest = 10_000 - MAX_ROUTERS_PER_TURN
        assert await ear.next("router", "routers") == ("routers", {"connected": rest, "synced": 0, "left": 0})


async def test_the_verdict_changes():
    async with listening(TABLES[0]) as (running, _, ear):
        status = running.context.loader.status
        status.held = Held(1.0, ("takes away everything",), NOTHING_LOST)
        assert (await ear.next("status"))[1]["held"]["reasons"] == ["takes away everything"]
        status.held = None
        assert (await ear.next("status"))[1]["held"] is None
        status.error = "gone\x1b"
        assert "gone\\x1b" in (await ear.next("status"))[1]["warnings"][0]


async def test_a_location_is_looked_at():
    async with listening(TABLES[0]) as (running, _, ear):
        (place,) = running.context.loader.places
        place.status.failure_count, place.status.error = 1, "no such file\n"
        assert await ear.next("source") == (
            "source",
            {"location": "/data/json", "ok": False, "error": "no such file\\n"},
        )
        place.status.success_count, place.status.error = 1, None
        assert await ear.next("source") == ("source", {"location": "/data/json", "ok": True, "error": None})


async def test_who_reads_too_slowly_is_told_so():
    async with listening(TABLES[0]) as (_, feed, ear):
        for number in range(MAX_WAITING + 2):
            feed._tell("source", {"location": str(number)})
        told = [await ear.next("source", "lost") for _ in range(2)]
        assert told == [("lost", {}), ("source", {"location": str(MAX_WAITING + 1)})]


async def test_a_sign_of_life(monkeypatch):
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.01)
    async with world(published(TABLES[0])) as running:
        stream = Feed(running.context).listen()
        await anext(stream)
        assert await anext(stream) == b": keep-alive\n\n"


async def test_while_nobody_listens_nothing_is_done():
    async with listening(TABLES[0]) as (running, feed, ear):
        await ear.close()
        assert feed._watching is None
        await running.router()
        assert not feed._routers


async def test_so_many_may_listen_and_no_more():
    async with world(published(TABLES[0])) as running, served(create_app(running.context)) as site:
        ears = [await site.connect(b"GET /api/v1/events HTTP/1.1\r\nhost: x\r\n\r\n") for _ in range(MAX_LISTENERS)]
        loop = asyncio.get_running_loop()
        for ear in ears:
            assert (await loop.sock_recv(ear, 100)).startswith(b"HTTP/1.1 200 OK\r\n")
        refused = await site.client.get("/api/v1/events")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "64" in refused.json()["detail"]
        assert (await site.client.get("/readyz")).status_code == 200  # others are answered all the same
        for ear in ears:
            ear.close()
        async with asyncio.timeout(TIMEOUT_S):  # who has gone makes room
            while (await site.client.head("/api/v1/events")).status_code == 503:
                pass


async def test_head():
    async with world(published(TABLES[0])) as running:
        reply = await running.client.head("/api/v1/events")
        assert (reply.status_code, reply.content) == (200, b"")
