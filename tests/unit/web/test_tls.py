"""HTTP over TLS: nothing else on that port, and certificates that are replaced without a restart."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from structlog.testing import capture_logs
from tests.certificates import Authority, apart
from tests.unit.web.test_server import GET, gone, paused, read_to_the_end
from tests.unit.web.world import Served, large_table, published, served, world

from pyrtr.web import server
from pyrtr.web.app import create_app
from pyrtr.web.tls import HttpTls, HttpTlsError


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def pem(authority: Authority) -> tuple[Path, Path]:
    return apart(authority.issue("cache", ["127.0.0.1"]))


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.file)


async def get(http: Served, authority: Authority, **options: object) -> httpx.Response:
    """A request on a connection of its own that checks who answers."""
    context = trusting(authority)
    for name, value in options.items():
        setattr(context, name, value)
    async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{http.port}", verify=context, trust_env=False) as client:
        return await client.get("/readyz")


async def test_who_trusts_the_authority_is_answered(authority, pem):
    async with world(published()) as running, served(create_app(running.context), HttpTls(*pem)) as http:
        assert (await get(http, authority)).status_code == 503
        assert (await get(http, authority, maximum_version=ssl.TLSVersion.TLSv1_2)).status_code == 503
        assert (await get(http, authority, minimum_version=ssl.TLSVersion.TLSv1_3)).status_code == 503


async def test_what_is_no_tls_is_closed_without_a_word(pem, caplog):
    async with world(published()) as running, served(create_app(running.context), HttpTls(*pem)) as http:
        sock = await http.connect(GET % b"/readyz")
        answer = await asyncio.wait_for(read_to_the_end(sock), 5)
        assert not answer.startswith(b"HTTP")
        sock.close()
        assert caplog.text == ""


async def test_a_handshake_that_does_not_come_is_not_waited_for(authority, pem, monkeypatch, caplog):
    monkeypatch.setattr(server, "TLS_TIMEOUT_S", 0.1)
    async with world(published()) as running, served(create_app(running.context), HttpTls(*pem)) as http:
        silent = [await http.connect() for _ in range(3)]
        for sock in silent:
            assert await asyncio.wait_for(read_to_the_end(sock), 5) == b""
            sock.close()
        monkeypatch.undo()
        assert (await get(http, authority)).status_code == 503
        assert caplog.text == ""


async def test_silent_peers_count_as_connections(authority, pem, monkeypatch):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    async with world(published()) as running, served(create_app(running.context), HttpTls(*pem)) as http:
        silent = [await http.connect() for _ in range(2)]
        with pytest.raises(httpx.TransportError):
            await get(http, authority)
        for sock in silent:
            sock.close()


async def test_the_end_waits_for_no_handshake(pem):
    async with world(published()) as running, served(create_app(running.context), HttpTls(*pem)) as http:
        sock = await http.connect()
        while not http.server._server._entering:  # noqa: ASYNC110
            await asyncio.sleep(0)
        http.server.stop()
        await asyncio.wait_for(http.serving, 2)
        sock.close()


async def test_a_reader_that_takes_nothing_is_dropped(authority, pem, monkeypatch):
    monkeypatch.setattr(server, "STALL_TIMEOUT_S", 0.05)
    async with (
        world(published(large_table())) as running,
        served(create_app(running.context), HttpTls(*pem)) as http,
    ):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", http.port))
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=trusting(authority), server_hostname="127.0.0.1", limit=1024
        )
        writer.write(GET % b"/copies")
        await reader.read(1)
        await asyncio.wait_for(paused(http), 5)
        await asyncio.wait_for(gone(http), 5)
        writer.transport.abort()


async def test_new_files_are_for_new_connections(authority, pem):
    other = apart(authority.issue("other", ["127.0.0.1"]))
    tls = HttpTls(*pem)
    async with world(published()) as running, served(create_app(running.context), tls) as http:
        before = await certificate(http, authority)
        client = httpx.AsyncClient(base_url=f"https://127.0.0.1:{http.port}", verify=trusting(authority))
        async with client:
            await client.get("/readyz")
            for old, new in zip(pem, other, strict=True):
                old.write_bytes(new.read_bytes())
            with capture_logs() as lines:
                tls.reload()
            assert [line["event"] for line in lines] == ["HTTP certificate reloaded"]
            await client.get("/readyz")  # the connection that was there goes on
        assert await certificate(http, authority) != before


async def test_files_that_can_not_be_used_change_nothing(authority, pem):
    tls = HttpTls(*pem)
    async with world(published()) as running, served(create_app(running.context), tls) as http:
        before = await certificate(http, authority)
        pem[1].write_text("nothing")
        with capture_logs() as lines:
            tls.reload()
        assert [line["event"] for line in lines] == ["HTTP certificate not reloaded: the former one stays in use"]
        assert str(pem[1]) in lines[0]["reason"]
        assert await certificate(http, authority) == before


async def certificate(http: Served, authority: Authority) -> bytes:
    _, writer = await asyncio.open_connection("127.0.0.1", http.port, ssl=trusting(authority))
    der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return der


def test_a_missing_file_and_a_key_with_a_password_are_refused_by_name(tmp_path, pem):
    certificate, key = pem
    locked = tmp_path / "locked.pem"
    secret = BestAvailableEncryption(b"secret")
    plain = load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    for bad in (tmp_path / "missing", locked, tmp_path):
        with pytest.raises(HttpTlsError) as caught:
            HttpTls(certificate, bad)
        assert f"HTTP_TLS_KEY={bad} can't be used: " in str(caught.value)
