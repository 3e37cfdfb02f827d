"""`/clients`: who is connected, and what each router holds."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from tests.examples import key, vrp
from tests.unit.web.world import FIRST_SERIAL, PUBLISHED_AT, SESSION_IDS, World, published, world

from pyrtr.payload.table import PayloadTable
from pyrtr.session.cache import CacheSession
from pyrtr.web.clients import Lag
from pyrtr.wire.enums import ErrorCode, PduType, Version
from pyrtr.wire.pdu import ErrorReport, ResetQuery, SerialQuery

EMPTY = PayloadTable.of()
TABLE = PayloadTable.of([vrp("192.0.2.0/24", 24, 64496)])
WITH_KEY = PayloadTable.of([vrp("192.0.2.0/24", 24, 64496), key()])


async def clients(running: World) -> list[dict[str, Any]]:
    reply = await running.client.get("/clients")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    answer: list[dict[str, Any]] = reply.json()
    return answer


async def test_nobody():
    async with world(published()) as running:
        assert await clients(running) == []


async def test_a_router_that_has_said_nothing():
    async with world(published(TABLE)) as running:
        address = await running.router()
        (client,) = await clients(running)
        assert (client["client"], client["version"], client["transport"]) == (address, None, "tcp")
        assert (client["session"], client["serial"], client["behind_s"], client["last_error"]) == (None,) * 4
        assert client["queries"] == {"reset": 0, "serial": 0}
        assert client["last_sync_s"] == {"full": None, "delta": None}


async def test_a_router_that_has_what_there_is():
    async with world(published(TABLE)) as running:
        await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        (client,) = await clients(running)
        assert (client["version"], client["session"], client["serial"]) == (
            "V1",
            SESSION_IDS[Version.V1][0],
            FIRST_SERIAL,
        )
        assert client["behind_s"] == 0
        assert client["queries"] == {"reset": 1, "serial": 0}
        assert client["responses"] == {"full": 1, "delta": 0, "cache_reset": 0, "notify": 0}
        assert client["bytes"] == {"received": 8, "sent": 8 + 20 + 24}  # Cache Response, one prefix, End of Data
        assert 0 <= client["last_sync_s"]["full"] < 10
        assert client["last_sync_s"]["delta"] is None
        assert client["connected_since"].endswith("Z")


async def test_a_router_is_behind_from_publishing_until_it_has_asked():
    async with world(published(EMPTY)) as running:
        await running.router(ResetQuery(), version=Version.V2, until=PduType.END_OF_DATA)
        running.context.publisher.publish(published(EMPTY, TABLE))
        (client,) = await clients(running)
        assert (client["serial"], client["responses"]["notify"]) == (FIRST_SERIAL, 1)
        assert client["behind_s"] > 1_000_000  # PUBLISHED_AT is long ago


@pytest.mark.parametrize(
    ("version", "held", "seconds"),
    [
        (None, None, None),
        (Version.V0, None, None),
        (Version.V0, (SESSION_IDS[Version.V0][0], FIRST_SERIAL + 1), 0),  # current
        (
            Version.V0,
            (SESSION_IDS[Version.V0][0], FIRST_SERIAL),
            0,
        ),  # only a router key came since, of which it is never told
        (Version.V1, (SESSION_IDS[Version.V1][0], FIRST_SERIAL), 60),
        (Version.V1, (SESSION_IDS[Version.V1][0], FIRST_SERIAL - 1), 60),  # no longer retained
        (Version.V1, (SESSION_IDS[Version.V1][0] + 7, FIRST_SERIAL + 1), 60),  # of another session
    ],
)
def test_lag(version, held, seconds):
    session = CacheSession(Version.V0, Version.V2)
    session.version = version
    current = published(TABLE, WITH_KEY)
    if held is not None:
        session.held = type(current.state(Version.V0))(*held)
    assert Lag(current, PUBLISHED_AT + 60).seconds(session) == seconds
    if seconds:
        assert Lag(current, PUBLISHED_AT - 60).seconds(session) == 0  # a clock that was set back


@pytest.mark.parametrize(
    ("code", "name"), [(ErrorCode.CORRUPT_DATA, "CORRUPT_DATA"), (ErrorCode.NO_DATA_AVAILABLE, "NO_DATA_AVAILABLE")]
)
async def test_the_last_error_report_in_words(code, name):
    async with world(published(TABLE)) as running:
        address = await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        connection = running.connection(address)
        assert connection is not None
        connection.session.error_received = ErrorReport(code, b"", "too \x1b[31mred\n")
        (client,) = await clients(running)
        assert client["last_error"] == {"code": int(code), "name": name, "text": "too \\x1b[31mred\\n"}


@pytest.mark.parametrize("code", [ErrorCode.CACHE_RESTART, 4711])
async def test_a_code_that_the_version_does_not_have(code):
    async with world(published(TABLE)) as running:
        address = await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        connection = running.connection(address)
        assert connection is not None
        connection.session.error_received = ErrorReport(code, b"", "")
        (client,) = await clients(running)
        assert client["last_error"] == {"code": int(code), "name": "unassigned", "text": ""}


async def test_more_routers_than_one_slice(monkeypatch):
    monkeypatch.setattr("pyrtr.web.clients.in_slices.__defaults__", (2,))
    async with world(published(TABLE)) as running:
        addresses = [await running.router() for _ in range(5)]
        assert sorted(client["client"] for client in await clients(running)) == sorted(addresses)


async def test_who_came_first_stands_first():
    async with world(published(TABLE)) as running:
        addresses = [
            await running.router(SerialQuery(SESSION_IDS[Version.V1][0], 1), until=PduType.CACHE_RESET)
            for _ in range(3)
        ]
        answer = await clients(running)
        assert [client["client"] for client in answer] == addresses
        assert [client["responses"]["cache_reset"] for client in answer] == [1, 1, 1]
        assert all(ip_address(client["client"].rpartition(":")[0]) for client in answer)
