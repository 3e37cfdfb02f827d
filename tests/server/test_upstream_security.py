"""Following an upstream over TLS and SSH: who is spoken to, who is not, and that no secret is told."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest
from tests.certificates import Authority
from tests.conformance.harness import SAMPLE, seen_by
from tests.property.oracle import payload_of
from tests.upstream import LOOPBACK, Cache, Following, Options, following, ssh, tcp

from pyrtr.errors import SourceError
from pyrtr.sources.location import Location
from pyrtr.sources.rtr import SCHEMES, feed

SECRET = "open-sesame"


async def assert_followed(follows: Following) -> None:
    assert set(seen_by(2, *payload_of((await follows.take()).table))) == seen_by(2, *SAMPLE)


def server_context(certificate: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
    context.load_cert_chain(certificate)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    here = authority.issue("here", [LOOPBACK])
    options = Options(source_ca=authority.file)
    async with tcp(Cache.of(*SAMPLE), server_context(here)) as port:
        async with following(f"rtr+tls://{LOOPBACK}:{port}", tmp_path, options) as follows:
            await assert_followed(follows)
        # The system's CAs do not know this one.
        async with following(f"rtr+tls://{LOOPBACK}:{port}", tmp_path, Options()) as follows:
            assert "its certificate is not accepted: unable to get local issuer" in await follows.refusal()
        # The certificate is not for this name.
        async with following(f"rtr+tls://localhost:{port}", tmp_path, options) as follows:
            assert "its certificate is not accepted: Hostname mismatch" in await follows.refusal()
        # Plain RTR is not spoken to a TLS port, nor TLS to a plain one.
        async with following(f"rtr://{LOOPBACK}:{port}", tmp_path, options) as follows:
            await follows.refusal()
    async with (
        tcp(Cache.of(*SAMPLE)) as port,
        following(f"rtr+tls://{LOOPBACK}:{port}", tmp_path, options) as follows,
    ):
        assert "next attempt in" in await follows.refusal()


async def test_tls_with_a_client_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    here = authority.issue("here", [LOOPBACK])
    client = authority.issue("client", dns_names=["client.example.net"])
    options = Options(source_ca=authority.file, source_cert=client)
    async with tcp(Cache.of(*SAMPLE), server_context(here, authority.file)) as port:
        url = f"rtr+tls://{LOOPBACK}:{port}"
        async with following(url, tmp_path, options) as follows:
            await assert_followed(follows)
        async with following(url, tmp_path, replace(options, source_cert=None)) as follows:
            assert "next attempt in" in await follows.refusal()  # TLS 1.3 tells only after the handshake, if at all
        async with following(url, tmp_path, replace(options, source_cert=tmp_path / "none")) as follows:
            assert "unencrypted: no such file or directory" in await follows.refusal()


async def test_ssh(tmp_path: Path) -> None:
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    key = asyncssh.generate_private_key("ssh-ed25519")
    key_file, authorized = tmp_path / "key", tmp_path / "authorized"
    key.write_private_key(key_file)
    key.write_public_key(authorized)
    async with ssh(Cache.of(*SAMPLE), host_key, password=SECRET, authorized=authorized) as port:

        def known(key: asyncssh.SSHKey) -> Path:
            path = tmp_path / "known_hosts"
            path.write_text(f"[{LOOPBACK}]:{port} {key.export_public_key().decode()}")
            return path

        options = Options(source_known_hosts=known(host_key))
        address = f"{LOOPBACK}:{port}"
        async with following(f"rtr+ssh://router:{SECRET}@{address}", tmp_path, options) as follows:
            await assert_followed(follows)
        with_key = replace(options, source_ssh_key=key_file)
        async with following(f"rtr+ssh://router@{address}", tmp_path, with_key) as follows:
            await assert_followed(follows)
        async with following(f"rtr+ssh://router:not{SECRET}@{address}", tmp_path, options) as follows:
            reason = await follows.refusal()
            assert "Permission denied" in reason
            assert SECRET not in reason
            assert f"rtr+ssh://***@{address}" in reason
        without = replace(options, source_ssh_key=tmp_path / "none")
        async with following(f"rtr+ssh://router@{address}", tmp_path, without) as follows:
            assert "none: no such file or directory" in await follows.refusal()
        options = Options(source_known_hosts=known(stranger))
        async with following(f"rtr+ssh://router:{SECRET}@{address}", tmp_path, options) as follows:
            assert "not trusted" in await follows.refusal()


@pytest.mark.parametrize(
    ("url", "options", "reason"),
    [
        ("rtr://192.0.2.1/path", {}, "expected rtr://HOST:PORT and nothing after it"),
        ("rtr://192.0.2.1:323?x", {}, "nothing after it"),
        ("rtr://user@192.0.2.1", {}, "only rtr+ssh:// has a user"),
        ("rtr+ssh://192.0.2.1", {}, "expected rtr+ssh://USER@HOST:PORT"),
        ("rtr+ssh://user@192.0.2.1", {}, "set SOURCE_SSH_KEY"),
        (f"rtr+ssh://user:{SECRET}@192.0.2.1", {}, "set SOURCE_KNOWN_HOSTS"),
        ("rtr+ssh://user@192.0.2.1", {"source_ssh_key": Path("key")}, "set SOURCE_KNOWN_HOSTS"),
    ],
)
def test_what_can_not_be_followed(tmp_path: Path, url: str, options: dict[str, Path], reason: str) -> None:
    with pytest.raises(SourceError) as error:
        feed(Location.parse(url), tmp_path, Options(**options))  # type: ignore[arg-type]
    assert reason in str(error.value)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("rtr://192.0.2.1", "192.0.2.1", 323),
        ("rtr+tls://rtr.example.net", "rtr.example.net", 324),
        ("rtr+ssh://user:a%40b@[2001:db8::1]", "2001:db8::1", 22),
        ("rtr://192.0.2.1:8323/", "192.0.2.1", 8323),
    ],
)
def test_ports_that_are_not_named(tmp_path: Path, url: str, host: str, port: int) -> None:
    location = Location.parse(url)
    assert location.scheme in SCHEMES
    order = feed(location, tmp_path, Options(reload=900, source_known_hosts=Path("hosts")))._order
    assert (order.peer.host, order.peer.port) == (host, port)
    assert order.peer.password == ("a@b" if location.scheme == "rtr+ssh" else None)
    assert (order.floor_s, order.ceiling_s) == (10, 900)
