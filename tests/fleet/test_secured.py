"""NATS servers that speak TLS and ask who we are: whom a replica believes, and what it tells whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.fleet.servers import Nats
from tests.program import Program

from pyrtr.errors import FleetError
from pyrtr.fleet import jetstream
from pyrtr.fleet.jetstream import NatsStream
from pyrtr.sources.fetch.connection import tls_context
from pyrtr.sources.fetch.request import SourceTls

PASSWORD = "p@ss,w:rd/%"
WRITTEN = "p%40ss%2Cw%3Ard%2F%25"
USER = ("--user", "fleet", "--pass", PASSWORD)


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def secret(authority, tmp_path_factory) -> Iterator[list[str]]:
    """URLs of a server that has a certificate for its address, and asks for one of the same authority."""
    served = str(authority.issue("server", addresses=["127.0.0.1"]))
    arguments = ("--tlsverify", "--tlscert", served, "--tlskey", served, "--tlscacert", str(authority.file))
    with Nats(tmp_path_factory.mktemp("nats"), 1, arguments) as nats:
        yield secretly(nats.urls)


@pytest.fixture
def in_a_hurry(monkeypatch) -> None:
    monkeypatch.setattr(jetstream, "CONNECT_S", 0.5)


def secretly(urls: Sequence[str]) -> list[str]:
    return [url.replace("nats://", "tls://") for url in urls]


def as_user(url: str, user: str) -> str:
    return url.replace("://", f"://{user}@")


def trust(authority: Authority, certificate: Path | None = None) -> SourceTls:
    return SourceTls(str(authority.file), None if certificate is None else str(certificate))


def end(urls: Sequence[str], tls: SourceTls | None = None) -> int:
    """Ask for the place of the last record."""

    async def ask() -> int:
        context = None if tls is None else tls_context(tls)
        stream = NatsStream([*urls], "test", "one", max_records=3, tls=context)
        await stream.open(lambda _: None)
        try:
            return (await stream.end())[1]
        finally:
            await stream.close()

    return asyncio.run(ask())


def test_both_sides_show_certificates(secret, authority):
    assert end(secret, trust(authority, authority.issue("replica"))) == 0


@pytest.mark.usefixtures("in_a_hurry")
def test_a_server_of_another_authority_is_refused(secret, tmp_path):
    stranger = Authority(tmp_path / "other", "another CA")
    reason = r"no server of the fleet can be reached: 127\.0\.0\.1:\d+: its certificate is not accepted: unable to get"
    with pytest.raises(FleetError, match=reason):
        end(secret, trust(stranger))


@pytest.mark.usefixtures("in_a_hurry")
def test_a_server_of_another_name_is_refused(authority, tmp_path):
    served = str(authority.issue("elsewhere", dns_names=["elsewhere.example"]))
    with (
        Nats(tmp_path, 1, ("--tls", "--tlscert", served, "--tlskey", served)) as nats,
        pytest.raises(FleetError, match=r"its certificate is not accepted: .*'127\.0\.0\.1'"),
    ):
        end(secretly(nats.urls), trust(authority))


@pytest.mark.usefixtures("in_a_hurry")
def test_a_replica_without_a_certificate_is_told_so(secret, authority):
    with pytest.raises(FleetError, match=r"127\.0\.0\.1:\d+: TLS: .* certificate"):
        end(secret, trust(authority))


@pytest.mark.usefixtures("in_a_hurry")
def test_a_server_that_does_not_ask_for_tls_is_refused_before_it_hears_the_password(authority):
    heard: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.9.10","auth_required":true,"max_payload":1048576}\r\n')
        heard.append(await reader.read(1000))
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            urls = [f"tls://fleet:{WRITTEN}@127.0.0.1:{port}"]
            stream = NatsStream(urls, "test", "one", max_records=3, tls=tls_context(trust(authority)))
            with pytest.raises(FleetError, match=f"127.0.0.1:{port}: it does not ask for TLS"):
                await stream.open(lambda _: None)

    asyncio.run(ask())
    assert set(heard) == {b""}


def test_a_user_of_one_url_counts_for_servers_that_others_tell_of(tmp_path):
    with Nats(tmp_path, arguments=USER) as nats:

        async def ask() -> None:
            urls = [as_user(nats.urls[0], f"fleet:{WRITTEN}"), *nats.urls[1:2]]  # of the third it hears
            stream = NatsStream(urls, "test", "one", max_records=3, tls=None)
            await stream.open(lambda _: None)
            client, left = stream._client, nats.urls[2].removeprefix("nats://")
            assert client is not None
            for number in (0, 1):
                nats.kill(number)
            async with asyncio.timeout(30):
                while (url := client.connected_url) is None or url.netloc != left:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
            await stream.close()

        asyncio.run(ask())


def test_a_wrong_password_is_told_of_and_none_is_shown(tmp_path):
    with (
        Nats(tmp_path, 1, USER) as nats,
        Program(tmp_path, None, FLEET=as_user(nats.urls[0], f"fleet:{WRITTEN}x")) as program,
    ):

        def reason() -> str:
            return str(program.healthz()["fleet"]["error"] or "")

        program.wait_for(lambda: "Authorization Violation" in reason(), 20, "it says why")
        assert f"no server of the fleet can be reached: {nats.urls[0].removeprefix('nats://')}: " in reason()
        shown = [json.dumps(program.healthz()), program.get("/metrics"), program.get("/api/v1/status")]
        shown.append(program.log.read_text())
        for text in map(str, shown):
            assert WRITTEN not in text
            assert PASSWORD not in text
