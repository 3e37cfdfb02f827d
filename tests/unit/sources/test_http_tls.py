"""HTTPS: whose certificate is accepted, and which one is shown."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from tests.certificates import Authority, apart
from tests.http_server import HttpServer, response

from pyrtr.errors import SourceError
from pyrtr.sources.fetch import http
from pyrtr.sources.fetch.request import Limits, Request, SourceTls


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture(scope="module")
def server(authority) -> Iterator[HttpServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.issue("server", ["127.0.0.1"]))
    with HttpServer(context) as running:
        running.answers["/json"] = response(b"{}")
        yield running


@pytest.fixture(scope="module")
def strict_server(authority) -> Iterator[HttpServer]:
    """It wants to see a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    context.load_cert_chain(authority.issue("strict", ["127.0.0.1"]))
    context.verify_mode = ssl.CERT_REQUIRED
    with HttpServer(context) as running:
        running.answers["/json"] = response(b"{}")
        yield running


def get(url: str, folder: Path, **tls: Path | None) -> bytes:
    body = folder / "body"
    body.unlink(missing_ok=True)
    files = {name: None if path is None else str(path) for name, path in tls.items()}
    http.get(Request(url, {}, str(body), SourceTls(**files), Limits()))
    return body.read_bytes()


def refusal(url: str, folder: Path, **tls: Path | None) -> str:
    with pytest.raises(SourceError) as caught:
        get(url, folder, **tls)
    return str(caught.value)


def test_a_server_of_our_authority_is_accepted(server, authority, tmp_path):
    assert get(server.url("/json"), tmp_path, ca=authority.file) == b"{}"


def test_the_authorities_of_the_system_are_what_counts_otherwise(server, authority, tmp_path, monkeypatch):
    reason = refusal(server.url("/json"), tmp_path)
    assert reason.startswith("no connection: its certificate is not accepted: ")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))  # where OpenSSL looks for them
    assert get(server.url("/json"), tmp_path) == b"{}"
    other = Authority(tmp_path / "other")  # and a file of ours takes their place
    assert "its certificate is not accepted" in refusal(server.url("/json"), tmp_path, ca=other.file)


def test_a_certificate_for_another_host_is_refused(server, authority, tmp_path):
    reason = refusal(server.url("/json", host="localhost"), tmp_path, ca=authority.file)
    assert reason.startswith("no connection: its certificate is not accepted: Hostname mismatch")


def test_a_server_that_speaks_no_tls_is_left(authority, tmp_path):
    with HttpServer() as plain:
        url, body, tls = f"https://127.0.0.1:{plain.port}/json", tmp_path / "body", SourceTls(ca=str(authority.file))
        with pytest.raises(SourceError, match=r"^no connection within 0.1 s$"):
            http.get(Request(url, {}, str(body), tls, Limits(connect_s=0.1)))


def test_a_redirect_from_https_is_refused_where_nobody_vouches_for_the_answer(server, authority, tmp_path):
    with HttpServer() as plain:
        server.answers["/away"] = response(status=302, Location=plain.url("/json"))
        reason = refusal(server.url("/away"), tmp_path, ca=authority.file)
        assert reason == "it redirects from https to another scheme, where anybody could answer"
        assert plain.asked == []
        plain.answers["/json"] = response(status=302, Location=server.url("/json"))
        assert get(plain.url("/json"), tmp_path, ca=authority.file) == b"{}"


def test_our_certificate_is_shown(strict_server, authority, tmp_path):
    certificate, key = apart(authority.issue("client"))
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    for files in ({"certificate": certificate, "key": key}, {"certificate": both}):
        assert get(strict_server.url("/json"), tmp_path, ca=authority.file, **files) == b"{}"


def test_a_server_that_wants_a_certificate_refuses_one_who_has_none(strict_server, authority, tmp_path):
    reason = refusal(strict_server.url("/json"), tmp_path, ca=authority.file)
    assert reason.startswith(("the connection was lost: ", "no connection: "))


def encrypted(folder: Path, key: Path) -> Path:
    loaded = load_pem_private_key(key.read_bytes(), None)
    kept = BestAvailableEncryption(b"word")
    path = folder / "encrypted.key"
    path.write_bytes(loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, kept))
    return path


def test_files_that_can_not_be_used_are_a_reason(server, authority, tmp_path):
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.touch()
    url = server.url("/json")
    assert refusal(url, tmp_path, ca=missing).endswith(
        "missing holds no certificates that can be read: no such file or directory"
    )
    assert refusal(url, tmp_path, ca=empty).startswith(
        f"SOURCE_CA: {empty} holds no certificates that can be read: TLS"
    )
    certificate, key = apart(authority.issue("client"))
    _, other = apart(authority.issue("other"))
    pairs = [(missing, key), (certificate, missing), (empty, key), (certificate, other), (certificate, None)]
    for shown, its_key in (*pairs, (certificate, encrypted(tmp_path, key))):
        reason = refusal(url, tmp_path, certificate=shown, key=its_key)
        named = " and ".join(str(path) for path in (shown, its_key) if path)
        assert reason.startswith(f"SOURCE_CERT, SOURCE_KEY: {named} hold no certificate with its key, unencrypted: ")


def test_a_file_that_was_renewed_is_used(server, authority, tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Authority(tmp_path / "former").file.read_bytes())
    assert "its certificate is not accepted" in refusal(server.url("/json"), tmp_path, ca=ca)
    ca.write_bytes(authority.file.read_bytes())
    assert get(server.url("/json"), tmp_path, ca=ca) == b"{}"
