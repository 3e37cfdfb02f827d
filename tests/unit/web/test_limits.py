"""What one HTTP request, and all of them at once, may ask; and that nothing tells strangers what they talk to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import httpx
import pytest
from tests.unit.web.test_server import GET, gone, paused, read_to_the_end, slow_reader
from tests.unit.web.world import large_table, published, served, world

from pyrtr.web import limits, server
from pyrtr.web.app import create_app


def error_of(answer: bytes) -> str:
    """What the body of a raw answer says."""
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["error"])


@pytest.mark.parametrize(
    ("head", "status", "text"),
    [
        (b"x: " + b"y" * limits.MAX_HEAD_BYTES, 431, "a head of 1"),
        (b"Content-Length: 4097", 413, "a body of 4097 octets: expected at most 4096"),
        (b"Content-Length: 999999999999999999", 413, "a body of 999999999999999999 octets"),
        (b"Transfer-Encoding: chunked", 411, "a body of unknown length"),
    ],
)
async def test_a_request_that_is_too_large_is_refused_and_the_connection_closed(head, status, text):
    async with world(published()) as running, served(create_app(running.context)) as http:
        sock = await http.connect(GET.replace(b"\r\n\r\n", b"\r\n%s\r\n\r\n") % (b"/readyz", head))
        answer = await asyncio.wait_for(read_to_the_end(sock), 5)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert error_of(answer).startswith(text)
        sock.close()


async def test_a_small_body_is_no_matter():
    async with world(published()) as running, served(create_app(running.context)) as http:
        for _ in range(2):  # the connection goes on
            reply = await http.client.request("GET", "/readyz", content=b"x" * limits.MAX_BODY_BYTES)
            assert reply.status_code == 503


async def test_a_head_without_an_end_is_not_collected():
    async with world(published()) as running, served(create_app(running.context)) as http:
        sock = await http.connect((GET % b"/readyz")[:-2] + b"x: ")
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                await loop.sock_sendall(sock, b"y" * 1024)
        with contextlib.suppress(ConnectionError):
            assert (await asyncio.wait_for(read_to_the_end(sock), 5)).startswith((b"HTTP/1.1 400 ", b""))
        await asyncio.wait_for(gone(http), 5)
        sock.close()


async def test_requests_beyond_the_limit_are_told_to_come_later(monkeypatch):
    monkeypatch.setattr(limits, "MAX_TABLES_UNDER_WAY", 1)
    async with world(published(large_table())) as running, served(create_app(running.context)) as http:
        sock = await slow_reader(http)
        await asyncio.wait_for(paused(http), 5)
        reply = await http.client.get("/copies/1")
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert reply.json() == {"error": "1 such requests are under way, which is the limit: try again later"}
        assert (await http.client.get("/generation/table")).status_code == 503
        assert (await http.client.get("/healthz")).status_code == 200  # what is cheap has a limit of its own
        sock.close()
        while (await http.client.get("/copies/1")).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_connections_beyond_the_limit_are_closed_and_come_in_when_others_go(monkeypatch):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    async with world(published()) as running, served(create_app(running.context)) as http:
        first, second, third = [await http.connect() for _ in range(3)]
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(read_to_the_end(third), 5) == b""
        first.close()
        second.close()
        await asyncio.wait_for(gone(http), 5)
        assert (await http.client.get("/readyz")).status_code == 503
        third.close()


async def test_out_of_descriptors_connections_wait(monkeypatch, caplog):
    monkeypatch.setattr(server, "OVERLOAD_PAUSE_S", 0.05)
    async with world(published()) as running, served(create_app(running.context)) as http:
        accept = socket.socket.accept
        failures = [OSError(24, "Too many open files")] * 3

        def failing(sock):
            if failures:
                raise failures.pop()
            return accept(sock)

        monkeypatch.setattr(socket.socket, "accept", failing)
        assert (await http.client.get("/readyz")).status_code == 503
        assert failures == []
        assert caplog.text == ""


async def test_garbage_is_no_reason_for_log_lines(caplog):
    async with world(published()) as running, served(create_app(running.context)) as http:
        upgrade = GET.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n") % b"/readyz"
        chunks = GET.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") % b"/readyz" + b"no chunk\r\n"
        for request in (b"\2\2\0\0\0\0\0\x08\r\n\r\n", upgrade, chunks, chunks[:-10], GET % b"/readyz" + b"\0" * 99):
            sock = await http.connect(request)
            assert (await asyncio.get_running_loop().sock_recv(sock, 8)) in (b"HTTP/1.1", b"")
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().sock_sendall(sock, b"no chunk\r\n")
            sock.close()
        await asyncio.wait_for(gone(http), 10)
        assert caplog.text == ""


BANNERS = ("uvicorn", "starlette", "fastapi", "h11", "python", "openssl")


async def test_no_answer_tells_which_programs_serve(monkeypatch):
    monkeypatch.setattr(limits, "MAX_UNDER_WAY", 1)
    raw = [
        b"\2\2\0\0\0\0\0\x08\r\n\r\n",
        b"GET /nothing HTTP/9.9\r\n\r\n",
        GET % b"/nothing",
        b"GET http://[ HTTP/1.1\r\n\r\n",
    ]
    raw += [GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 9999\r\n\r\n") % b"/readyz"]
    async with world(published()) as running, served(create_app(running.context)) as http:
        for request in raw:
            sock = await http.connect(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            answer = (await asyncio.wait_for(read_to_the_end(sock), 5)).lower()
            assert answer.startswith(b"http/1.1 4")
            assert_bare(answer.decode())
            sock.close()
        for method, path in [
            ("GET", "/healthz"),
            ("PUT", "/clients"),
            ("POST", "/api/v1/accept"),
            ("GET", "/copies/9"),
        ]:
            assert_bare(heads(await http.client.request(method, path)))
        for path in ("/clients", "/copies", "/metrics", "/readyz"):
            assert_bare(heads(await http.client.get(path)))


def heads(reply: httpx.Response) -> str:
    return "\n".join(f"{name}: {value}" for name, value in reply.headers.items()).lower()


def assert_bare(text: str) -> None:
    assert "server:" not in text
    assert [name for name in BANNERS if name in text] == []
