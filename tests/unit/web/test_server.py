"""The HTTP server on real sockets: readers that do not read, requests that do not come, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from typing import cast

import httpx
import pytest
from tests.unit.web.world import Served, large_table, published, served, world
from uvicorn.protocols.http.h11_impl import H11Protocol

from pyrtr.web import server
from pyrtr.web.app import create_app
from pyrtr.wire.enums import PduType
from pyrtr.wire.pdu import ResetQuery

LARGE = large_table()
GET = b"GET %s HTTP/1.1\r\nHost: pyrtr.example\r\n\r\n"


async def slow_reader(http: Served) -> socket.socket:
    """A reader of /copies that takes the head of the response and then no more."""
    sock = await http.connect(GET % b"/copies")
    assert (await asyncio.get_running_loop().sock_recv(sock, 15)) == b"HTTP/1.1 200 OK"
    return sock


async def paused(http: Served) -> None:
    """Wait until the server has stopped writing to somebody."""
    connections = http.server._server.server_state.connections
    while not any(cast("H11Protocol", connection).flow.write_paused for connection in connections):  # noqa: ASYNC110
        await asyncio.sleep(0)


async def read_to_the_end(sock: socket.socket) -> bytes:
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while data := await asyncio.get_running_loop().sock_recv(sock, 2**20):
            received += data
    return bytes(received)


async def test_a_slow_reader_delays_nobody():
    async with world(published(LARGE)) as running, served(create_app(running.context)) as http:
        sock = await slow_reader(http)
        await asyncio.wait_for(paused(http), 5)
        assert (await http.client.get("/healthz")).status_code == 200
        await asyncio.wait_for(running.router(ResetQuery(), until=PduType.END_OF_DATA), 10)
        sock.close()


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_the_end_waits_for_no_slow_reader(how, caplog):
    async with world(published(LARGE)) as running, served(create_app(running.context)) as http:
        sock = await slow_reader(http)
        await asyncio.wait_for(paused(http), 5)
        loop = asyncio.get_running_loop()
        started = loop.time()
        if how == "stop":
            http.server.stop()
        else:
            http.serving.cancel()
        await asyncio.wait([http.serving], timeout=5)
        assert http.serving.done()
        assert loop.time() - started < 1.2
        assert http.serving.cancelled() is (how == "cancel")
        with pytest.raises(httpx.ConnectError):
            await http.client.get("/readyz")
        assert caplog.text == ""  # no traceback
        sock.close()


async def test_the_end_closes_idle_connections_and_those_that_sent_half_a_request():
    async with world(published()) as running, served(create_app(running.context)) as http:
        idle, half = await http.connect(), await http.connect((GET % b"/readyz")[:20])
        assert (await http.client.get("/readyz")).status_code == 503  # so that they have been accepted
        http.server.stop()
        await asyncio.wait_for(http.serving, 2)
        assert await read_to_the_end(idle) == b""
        assert await read_to_the_end(half) == b""
        for sock in (idle, half):
            sock.close()


async def test_a_stop_before_the_start():
    async with world(published()) as running, served(create_app(running.context)) as http:
        http.server.stop()
        http.server.stop()
        await asyncio.wait_for(http.serving, 2)


async def test_a_response_under_way_may_finish():
    async with world(published(large_table(10_000))) as running, served(create_app(running.context)) as http:
        sock = await slow_reader(http)
        http.server.stop()
        assert (await asyncio.wait_for(read_to_the_end(sock), 5)).endswith(b"\r\n0\r\n\r\n")
        sock.close()


async def test_a_reader_that_takes_nothing_is_dropped(monkeypatch, caplog):
    monkeypatch.setattr(server, "STALL_TIMEOUT_S", 0.05)
    async with world(published(LARGE)) as running, served(create_app(running.context)) as http:
        sock = await slow_reader(http)
        await asyncio.wait_for(gone(http), 5)
        assert not (await asyncio.wait_for(read_to_the_end(sock), 5)).endswith(b"\r\n0\r\n\r\n")
        assert caplog.text == ""
        sock.close()


async def gone(http: Served) -> None:
    """Wait until nothing is left of any connection."""
    state = http.server._server.server_state
    while state.connections or state.tasks:  # noqa: ASYNC110
        await asyncio.sleep(0)


@pytest.mark.parametrize("begun", [b"", b"GET /readyz HTTP/1.1\r\nHost:"])
async def test_a_request_that_does_not_come_is_not_waited_for(monkeypatch, begun):
    monkeypatch.setattr(server, "REQUEST_TIMEOUT_S", 0.05)
    async with world(published()) as running, served(create_app(running.context)) as http:
        sock = await http.connect(begun)
        assert await asyncio.wait_for(read_to_the_end(sock), 5) == b""
        sock.close()


async def test_octets_one_by_one_gain_no_time(monkeypatch):
    monkeypatch.setattr(server, "REQUEST_TIMEOUT_S", 0.05)
    async with world(published()) as running, served(create_app(running.context)) as http:
        sock = await http.connect(b"GET /readyz HTTP/1.1\r\nx: ")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(trickle(sock), 5)
        sock.close()


async def trickle(sock: socket.socket) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(sock, b"x")
        await asyncio.sleep(0.001)


async def test_a_second_request_on_a_connection():
    """Neither deadline may outlive what it waits for."""
    async with world(published()) as running, served(create_app(running.context)) as http:
        for _ in range(3):
            await http.client.get("/readyz")
        (connection,) = http.server._server.server_state.connections
        assert connection._deadline is None  # type: ignore[union-attr]


async def test_signals_are_left_alone():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    async with world(published()) as running, served(create_app(running.context)) as http:
        assert (await http.client.get("/readyz")).status_code == 503
        assert {number: signal.getsignal(number) for number in before} == before


async def test_what_is_no_http_is_refused():
    async with world(published()) as running, served(create_app(running.context)) as http:
        sock = await http.connect(b"\2\2\0\0\0\0\0\x08" + b"\r\n\r\n")  # a router at the wrong port
        assert (await asyncio.wait_for(read_to_the_end(sock), 5)).startswith(b"HTTP/1.1 400 ")
        sock.close()
