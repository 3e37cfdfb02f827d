"""The lookup process: a crash, a reload in the midst of an answer, readers that are slow or go away, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs
from tests.unit.web.test_server import GET, gone, paused, read_to_the_end
from tests.unit.web.world import filed, large_table, published, served, world

from pyrtr.payload.table import PayloadTable
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.app import create_app
from pyrtr.web.lookup import client
from pyrtr.web.lookup.messages import AspaOf, TableName
from pyrtr.web.lookup.worker import give_way


def pid_of(running):
    """The process, if it runs."""
    process = running.context.lookup._companion._process
    return None if process is None else process.pid


def command_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_it_starts_with_the_first_heavy_question(tmp_path):
    async with world(filed(published(PayloadTable.of()), tmp_path)) as running:
        await running.client.get("/api/v1/status")
        await running.client.get("/api/v1/validity/AS1/10.0.0.0/8")
        assert pid_of(running) is None
        assert (await running.client.get("/api/v1/vrps")).status_code == 200
        assert b"pyrtr.web.lookup.worker" in command_of(pid_of(running))


async def test_it_gives_way_to_everything_else(tmp_path):
    async with world(filed(published(PayloadTable.of()), tmp_path)) as running:
        assert (await running.client.get("/api/v1/vrps")).status_code == 200
        assert os.getpriority(os.PRIO_PROCESS, pid_of(running)) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)


def test_a_service_manager_may_forbid_it_to_give_way(monkeypatch):
    def forbidden(_by: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "nice", forbidden)
    give_way()


@pytest.mark.parametrize("ends", [True, False])
async def test_streams_give_way_to_routers_that_are_being_sent_a_table_for_a_moment(ends, monkeypatch):
    monkeypatch.setattr(client, "LOOK_S", 0)
    looks = []

    def is_sending():
        looks.append(True)
        return len(looks) < 3 or not ends

    started = asyncio.get_running_loop().time()
    await client.Lookup(is_sending).give_way()
    assert len(looks) == 3 if ends else asyncio.get_running_loop().time() >= started + client.GIVE_WAY_S


async def test_it_ends_when_nothing_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "IDLE_S", 0.01)
    async with world(filed(published(PayloadTable.of()), tmp_path)) as running:
        for _ in range(2):
            assert (await running.client.get("/api/v1/vrps")).status_code == 200
            async with asyncio.timeout(10):
                while pid_of(running) is not None:  # noqa: ASYNC110 - no event tells so
                    await asyncio.sleep(0.01)


async def test_after_a_crash_one_question_fails_and_the_next_is_answered(tmp_path):
    async with world(filed(published(PayloadTable.of()), tmp_path)) as running:
        assert (await running.client.get("/api/v1/vrps")).status_code == 200
        os.kill(pid_of(running), signal.SIGKILL)
        reply = await running.client.get("/api/v1/vrps")
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert "the lookup process was killed by SIGKILL" in reply.json()["detail"]
        assert (await running.client.get("/api/v1/vrps")).status_code == 200


async def test_a_crash_in_the_midst_of_an_answer_cuts_it_short(tmp_path):
    async with (
        world(filed(published(large_table(100_000)), tmp_path)) as running,
        served(create_app(running.context)) as http,
    ):
        with capture_logs() as logs, pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 - it is read until it breaks
            async with http.client.stream("GET", "/api/v1/vrps") as reply:
                async for _ in reply.aiter_raw():
                    if pid := pid_of(running):
                        os.kill(pid, signal.SIGKILL)
        assert (await http.client.get("/api/v1/vrps?limit=1")).status_code == 200
    assert [line["event"] for line in logs] == ["answer cut short"]


async def test_an_answer_goes_on_over_reloads(tmp_path):
    first = filed(published(large_table(60_000)), tmp_path)
    async with world(first) as running, served(create_app(running.context)) as http:
        async with http.client.stream("GET", "/api/v1/vrps", headers={"accept-encoding": "identity"}) as reply:
            body = b""
            async for piece in reply.aiter_raw():
                if not body:
                    second = filed(published(large_table(10)), tmp_path / "..")
                    running.context.publisher.publish(second)
                    assert first.path is not None
                    first.path.unlink()
                    assert (await http.client.get("/api/v1/vrps")).json()["total"] == 10
                body += piece
        assert len(json.loads(body)["items"]) == 60_000


async def test_a_table_that_is_gone_is_told(tmp_path):
    async with world(filed(published(PayloadTable.of()), tmp_path)) as running:
        path = running.context.publisher.current.path
        assert path is not None
        path.unlink()
        reply = await running.client.get("/api/v1/vrps")
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert "No such file" in reply.json()["detail"]


async def test_another_table_in_its_place_is_not_taken_for_it(tmp_path):
    async with world(filed(published(PayloadTable.of()), tmp_path)) as running:
        path = str(running.context.publisher.current.path)
        with pytest.raises(ProblemError, match="is another table"):
            await running.context.lookup.ask(AspaOf(table=TableName(path, bytes(32)), customer=1))


async def test_slow_readers_hold_up_nobody(tmp_path):
    async with (
        world(filed(published(large_table(100_000)), tmp_path)) as running,
        served(create_app(running.context)) as http,
    ):
        slow = [await http.connect(GET % b"/api/v1/vrps") for _ in range(3)]
        async with asyncio.timeout(20):
            await paused(http)
        body = (await http.client.get("/api/v1/vrps")).json()
        assert len(body["items"]) == 100_000
        for sock in slow:
            sock.close()
        await asyncio.wait_for(gone(http), 10)


async def test_who_goes_away_takes_nobody_s_answer_along(tmp_path):
    async with (
        world(filed(published(large_table(100_000)), tmp_path)) as running,
        served(create_app(running.context)) as http,
    ):
        assert (await http.client.get("/api/v1/vrps?limit=1")).status_code == 200
        pid = pid_of(running)
        for _ in range(5):
            sock = await http.connect(GET % b"/api/v1/vrps")
            await asyncio.get_running_loop().sock_recv(sock, 10)
            sock.close()
        await asyncio.wait_for(gone(http), 10)
        assert (await http.client.get("/api/v1/vrps?limit=1")).json()["total"] == 100_000
        assert pid_of(running) == pid


async def test_more_streams_than_may_be_under_way_are_told_to_come_later(tmp_path, monkeypatch):
    monkeypatch.setattr("pyrtr.web.limits.MAX_STREAMS_UNDER_WAY", 1)
    async with (
        world(filed(published(large_table(100_000)), tmp_path)) as running,
        served(create_app(running.context)) as http,
    ):
        sock = await http.connect(GET % b"/api/v1/vrps")
        await asyncio.wait_for(paused(http), 20)
        reply = await http.client.get("/api/v1/aspas")
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert reply.headers["content-type"] == "application/problem+json"
        assert (await http.client.get("/api/v1/validity/1/10.0.0.0/8")).status_code == 200
        sock.close()


async def test_head_makes_no_more_than_a_piece(tmp_path):
    async with (
        world(filed(published(large_table(100_000)), tmp_path)) as running,
        served(create_app(running.context)) as http,
    ):
        reply = await http.client.head("/api/v1/vrps")
        assert (reply.status_code, reply.content) == (200, b"")
        sock = await http.connect(
            (GET % b"/api/v1/vrps").replace(b"GET", b"HEAD").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
        assert (await read_to_the_end(sock)).count(b"\r\n\r\n") == 1
        sock.close()
