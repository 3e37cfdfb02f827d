"""`/generation`: read by another MessagePack library, and by the reader of those who follow."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it has none
import numpy as np
import pytest
from tests.examples import NASTY, aspa, key, vrp
from tests.unit.web.world import PUBLISHED_AT, World, large_table, published, served, world

from pyrtr.payload.delta import apply
from pyrtr.payload.history import History
from pyrtr.payload.table import PayloadTable
from pyrtr.server.publisher import Published, Publisher
from pyrtr.sources.follow.exchange import read_steps, read_table, steps_of
from pyrtr.store.table_file import content_digest
from pyrtr.web import generation
from pyrtr.web.app import create_app
from pyrtr.wire.enums import Version

TABLES = (
    PayloadTable.of(NASTY),
    PayloadTable.of([*NASTY[8:-2], aspa(64511, 64497)]),
    PayloadTable.of([*NASTY[4:12], *NASTY[14:-2], aspa(64511, 64498), key(), vrp("198.51.100.0/24", 24, 64497)]),
)


def proved(*tables: PayloadTable, **options: Any) -> Published:
    """The tables one after another, each with its digest."""
    plain = published(*tables, **options)
    steps = zip(plain.history.steps, tables, strict=False)
    history = History(tuple(dataclasses.replace(step, content=content_digest(table)) for step, table in steps))
    return dataclasses.replace(plain, history=history, content=content_digest(tables[-1]))


HISTORY = proved(*TABLES, metadata={"buildmachine": "tests", "large": 2**70})


def position(index: int) -> dict[str, str]:
    serial = (*HISTORY.history.serials, HISTORY.serial)[index]
    return {"from": str(serial), "content": content_digest(TABLES[index]).hex()}


async def standing(running: World, **parameters: str) -> dict[str, Any]:
    reply = await running.client.get("/generation", params=parameters)
    assert reply.status_code == 200
    found: dict[str, Any] = reply.json()
    return found


async def test_where_it_stands():
    former = dataclasses.replace(HISTORY, session_ids={**HISTORY.session_ids, Version.V0: (1000, 999, 7)})
    async with world(former) as running:
        running.context.loader.agenda.built_at = PUBLISHED_AT - 60
        found = await standing(running)
    assert len(found.pop("tag")) == 32
    assert found == {
        "sessions": {"V0": [1000, 999, 7], "V1": [1001], "V2": [1002]},
        "serial": HISTORY.serial,
        "content": HISTORY.content.hex(),
        "published_at": PUBLISHED_AT,
        "built_at": PUBLISHED_AT - 60,
        "metadata": {"buildmachine": "tests", "large": str(2**70)},
        "healthy": False,  # that was long ago
        "history": [
            {"serial": serial, "content": content_digest(table).hex()}
            for serial, table in zip(HISTORY.history.serials, TABLES, strict=False)
        ],
    }


@pytest.mark.parametrize("path", ["/generation", "/generation/steps?from=1&content=" + "0" * 64, "/generation/table"])
async def test_before_there_is_data(path):
    async with world(published()) as running:
        reply = await running.client.get(path)
    assert reply.status_code == 503
    assert reply.json() == {"error": "there is no data to serve yet"}


@pytest.mark.parametrize("index", range(len(TABLES)))
async def test_steps_lead_from_any_table_to_the_current_one(index):
    async with world(HISTORY) as running:
        reply = await running.client.get("/generation/steps", params=position(index))
        tag = (await standing(running))["tag"]
    assert reply.headers["content-type"] == "application/msgpack"
    found, steps = read_steps(reply.content)
    assert (found.tag, found.serial, found.content) == (tag, HISTORY.serial, HISTORY.content.hex())
    table = TABLES[index]
    for step, known in zip(steps_of(steps), HISTORY.history.steps[index:], strict=True):
        assert (step.from_serial, step.content) == (known.from_serial, content_digest(table))
        table = apply(table, step.delta)
    assert table == TABLES[-1]


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({**position(0), "from": position(1)["from"]}, 404),  # the serial of one table with the content of another
        ({**position(0), "from": "17"}, 404),
        ({**position(0), "from": "9999999999"}, 404),
        ({**position(0), "from": "-1"}, 400),
        ({**position(0), "content": position(0)["content"][:-1]}, 400),
        ({"from": "1"}, 400),
        ({}, 400),
    ],
)
async def test_a_position_that_it_knows_nothing_of(parameters, status):
    async with world(HISTORY) as running:
        reply = await running.client.get("/generation/steps", params=parameters)
    assert reply.status_code == status
    assert reply.json()["error"]


async def test_all_there_is():
    async with world(HISTORY) as running:
        reply = await running.client.get("/generation/table")
    found, table, steps = read_table(reply.content)
    assert (found.serial, found.metadata["large"]) == (HISTORY.serial, str(2**70))
    assert table == TABLES[-1]
    assert [step.from_serial for step in steps_of(steps)] == list(HISTORY.history.serials)


async def test_more_than_a_chunk():
    """Another library reads it: long binary strings, and rows as they are packed."""
    table = large_table()
    async with world(proved(table)) as running:
        reply = await running.client.get("/generation/table")
    found, (ipv4, ipv6, keys, aspas), steps = msgpack.unpackb(reply.content)
    assert np.frombuffer(ipv4, np.uint8).tobytes() == table.ipv4.tobytes()
    assert (ipv6, keys, aspas, steps) == (b"", [], [], [])
    assert found["content"] == content_digest(table).hex()


async def test_steps_of_earlier_releases_are_left_out():
    """They do not say what they lead from, so nobody could check them; nor then what stands before them."""
    first, second = HISTORY.history.steps
    history = History((first, dataclasses.replace(second, content=b"")))
    async with world(dataclasses.replace(HISTORY, history=history)) as running:
        assert (await standing(running))["history"] == []
        assert (await running.client.get("/generation/steps", params=position(0))).status_code == 404


@pytest.mark.parametrize("path", ["/generation", "/generation/steps"])
async def test_who_has_it_waits_for_the_next(path):
    async with world(proved(TABLES[0])) as running:
        publisher, first = running.context.publisher, publisher_position(running)
        tag = (await standing(running))["tag"]
        waiting = asyncio.create_task(running.client.get(path, params={**first, "after": tag, "wait": "20"}))
        await turns()
        assert not waiting.done()
        publisher.publish(publisher.current)  # the same: nothing to tell
        await turns()
        assert not waiting.done()
        publisher.publish(proved(*TABLES[:2]))
        reply = await asyncio.wait_for(waiting, 5)
        assert reply.status_code == 200
        fresh = read_steps(reply.content)[0].tag if path.endswith("steps") else reply.json()["tag"]
        assert fresh == (await standing(running))["tag"] != tag


async def turns() -> None:
    """Enough of them for whatever is not waiting."""
    for _ in range(50):
        await asyncio.sleep(0)


def publisher_position(running: World) -> dict[str, str]:
    current = running.context.publisher.current
    return {"from": str(current.serial), "content": current.content.hex()}


@pytest.mark.parametrize("wait", ["0.1", "0", "", "nan", "-1", "1e3"])
async def test_nothing_new(wait):
    """In the end it says so; what is no time is none."""
    async with world(HISTORY) as running:
        tag = (await standing(running))["tag"]
        found = await asyncio.wait_for(standing(running, after=tag, wait=wait), 5)
    assert found["tag"] == tag


async def test_a_new_session_is_news():
    """The same serial with the same payload: a restart, or another session that begins with it."""
    tags = {
        generation.tag(dataclasses.replace(HISTORY, session_ids={**HISTORY.session_ids, version: ids}))
        for version in Version
        for ids in ((9,), (9, *HISTORY.session_ids[version]))
    }
    assert len(tags | {generation.tag(HISTORY)}) == 7


async def test_too_many_do_not_wait(monkeypatch):
    monkeypatch.setattr(generation, "MAX_WAITERS", 1)
    async with world(HISTORY) as running:
        tag = (await standing(running))["tag"]
        waiting = asyncio.create_task(standing(running, after=tag, wait="20"))
        await turns()
        found = await asyncio.wait_for(standing(running, after=tag, wait="20"), 5)
        assert found["tag"] == tag
        assert not waiting.done()
        waiting.cancel()


async def test_nobody_waits_for_one_who_is_gone(monkeypatch):
    """Nor at a stop of the server."""
    made: list[generation._Waiters] = []

    class Waiters(generation._Waiters):
        def __init__(self, publisher: Publisher) -> None:
            super().__init__(publisher)
            made.append(self)

    monkeypatch.setattr(generation, "_Waiters", Waiters)
    async with world(HISTORY) as running, served(create_app(running.context)) as real:
        tag = (await standing(running))["tag"]
        sock = await real.connect(f"GET /generation?wait=25&after={tag} HTTP/1.1\r\nHost: pyrtr\r\n\r\n".encode())
        async with asyncio.timeout(10):
            while made[-1]._count == 0:  # noqa: ASYNC110 - no event tells so
                await asyncio.sleep(0.01)
            sock.close()
            while made[-1]._count == 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_head_does_not_wait():
    async with world(HISTORY) as running:
        tag = (await standing(running))["tag"]
        reply = await asyncio.wait_for(running.client.head(f"/generation?wait=20&after={tag}"), 5)
    assert (reply.status_code, reply.content) == (200, b"")
