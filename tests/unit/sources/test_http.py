"""One request: what is asked, what is made of the answer, and the reason why an answer is not used."""

from __future__ import annotations

import errno
import gzip
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import brotli
import httpx
import pytest
import zstandard
from tests.http_server import Answer, HttpServer, chunked, endless, response, silent

from pyrtr.errors import SourceError
from pyrtr.sources.fetch import http
from pyrtr.sources.fetch.request import Limits, Reply, Request, SourceTls

BODY = b'{"metadata": {}, "roas": []}' + random.Random(0).randbytes(3000)
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
A_SECOND_LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
MODIFIED = 784111777.0
NOW = 1_795_404_155.5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "body"


def get(url: str, path: Path, known: Mapping[str, str] = {}, **limits: Any) -> Reply:
    path.unlink(missing_ok=True)
    return http.get(Request(url, dict(known), str(path), SourceTls(), Limits(**limits)))


def refusal(server: HttpServer, answer: Answer, path: Path, **limits: Any) -> str:
    server.answers["/json"] = answer
    with pytest.raises(SourceError) as caught:
        get(server.url("/json"), path, **limits)
    return str(caught.value)


def test_a_document_is_written_to_the_file(server, path):
    server.answers["/json?a=b"] = response(BODY, ETag='W/"1"', Last_Modified=DATE, Date=A_SECOND_LATER)
    reply = get(server.url("/json?a=b#c"), path)
    assert reply == Reply(200, len(BODY), MODIFIED, {"ETag": 'W/"1"', "Last-Modified": DATE})
    assert path.read_bytes() == BODY
    (asked,) = server.asked
    assert asked.headers.pop("user-agent").startswith("pyrtr/0.")
    host = f"127.0.0.1:{server.port}"
    expected = {"host": host, "accept": "*/*", "accept-encoding": "gzip, br, zstd", "connection": "keep-alive"}
    assert asked.headers == expected


@pytest.mark.parametrize("body", [b"", bytes(10**6)], ids=["empty", "large"])
def test_any_framing_will_do(server, path, body):
    answers = [response(body), chunked(*([body] * bool(body))), b"HTTP/1.0 200 OK\r\n\r\n" + body]
    for answer in answers:
        server.answers["/json"] = answer
        assert get(server.url("/json"), path).body_bytes == len(body)
        assert path.read_bytes() == body


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT"])
def test_what_is_not_dated_is_of_now(server, path, date, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOW)
    server.answers["/json"] = response(BODY, **({} if date is None else {"Last_Modified": date}))
    assert get(server.url("/json"), path).modified == NOW


def test_a_time_within_the_second_of_the_answer_is_no_validator(server, path):
    """RFC 9110 section 8.8.2.2: the document may have changed in that second once more."""
    server.answers["/json"] = response(BODY, ETag='"1"', Last_Modified=DATE, Date=DATE)
    assert get(server.url("/json"), path).validators == {"ETag": '"1"'}


def test_what_is_known_is_asked_with(server, path):
    known = {"ETag": '"\xe9"', "Last-Modified": DATE}
    server.answers["/json"] = response(status=304)
    reply = get(server.url("/json"), path, known)
    assert (reply.status, reply.body_bytes, path.exists()) == (304, 0, False)
    (asked,) = server.asked
    assert {name: asked.headers[f"if-{name}"] for name in ("none-match", "modified-since")} == {
        "none-match": '"\xe9"',
        "modified-since": DATE,
    }


def test_validators_are_given_back_octet_for_octet(server, path):
    for etag in ('"\xe9\xa0"', '"\xc3\xa9"'):  # the latter could be taken for UTF-8
        server.answers["/json"] = response(BODY, ETag=etag)
        assert get(server.url("/json"), path).validators == {"ETag": etag}


def test_not_modified_is_no_answer_to_one_who_knows_nothing(server, path):
    server.answers["/json"] = response(status=304)
    for known in ({}, {"inode": "1"}):  # the signature of a file is no validator here
        with pytest.raises(SourceError, match=r"it answers that nothing changed \(status 304\), but was asked for"):
            get(server.url("/json"), path, known)


@pytest.mark.parametrize("status", [201, 204, 206, 300, 400, 401, 403, 404, 410, 429, 500, 503, 599])
def test_any_other_status_is_told_and_nothing_is_read(server, path, status):
    server.answers["/json"] = silent(response(status=status, Content_Length=0 if status == 204 else 1000))
    reply = get(server.url("/json"), path)
    assert (reply.status, reply.body_bytes, path.exists()) == (status, 0, False)


CODINGS = {
    "gzip": gzip.compress(BODY),
    "GZip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]),
    "br": brotli.compress(BODY),
    "zstd": zstandard.compress(BODY[:9]) + zstandard.compress(BODY[9:]),
    "identity": BODY,
}


@pytest.mark.parametrize("name", CODINGS)
def test_content_is_decoded(server, path, name):
    server.answers["/json"] = response(CODINGS[name], Content_Encoding=name)
    reply = get(server.url("/json"), path)
    assert (reply.body_bytes, path.read_bytes()) == (len(CODINGS[name]), BODY)


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_content_that_is_not_what_it_says_is_refused(server, path, name):
    whole = CODINGS[name]
    assert f"it is not {name} data" in refusal(server, response(BODY, Content_Encoding=name), path)
    assert "something follows it" in refusal(server, response(whole + b"}\n\n\n", Content_Encoding=name), path)
    for cut in (whole[:0], whole[:5], whole[:-1]):
        assert refusal(server, response(cut, Content_Encoding=name), path) == f"its {name} data is cut short"
        assert refusal(server, chunked(*filter(None, [cut]), Content_Encoding=name), path).endswith("cut short")


@pytest.mark.parametrize("name", ["deflate", "compress", "gzip, br", "", "x" * 1000])
def test_content_of_another_coding_is_refused(server, path, name):
    reason = refusal(server, response(BODY, Content_Encoding=name), path)
    assert reason == f"its Content-Encoding is {name[:40]!r}: expected none, or gzip, x-gzip, br, zstd"


def test_a_body_that_is_cut_anywhere_is_refused(server, path):
    for place in [0, *random.Random(0).sample(range(len(BODY)), 50), len(BODY) - 1]:
        cut = response(BODY[:place], Content_Length=len(BODY))
        assert refusal(server, cut, path) == f"it was cut short after {place} of {len(BODY)} octets"
        cut = chunked(*filter(None, [BODY[:place]]), end=b"")
        assert refusal(server, cut, path) == f"it was cut short after {place} octets"


CUT = {
    "no answer at all": b"",
    "half a status line": b"HTTP/1.1 20",
    "half a head": response(BODY)[:40],
    "no HTTP": b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
    "no number for a length": response(BODY, Content_Length="many"),
    "two lengths": response(BODY, content_length=1),
    "an endless head": endless(b"HTTP/1.1 200 OK\r\n", b"X-Field: " + b"x" * 4096 + b"\r\n"),
    "redirected to no URL": response(status=302, Location="http://[::1"),
}


@pytest.mark.parametrize("case", CUT)
def test_an_answer_that_is_broken_is_refused(server, path, case):
    assert refusal(server, CUT[case], path) == "it gives no answer, or none that is HTTP"


CHUNKS = {
    "within a size": chunked(BODY, end=b"1"),
    "within a chunk": chunked(BODY, end=b"10\r\nfour"),
    "no size": chunked(BODY, end=b"xyz\r\n"),
    "a size that is wrong": chunked(BODY, end=b"1\r\n}}\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("case", CHUNKS)
def test_chunks_that_are_broken_are_refused(server, path, case):
    assert refusal(server, CHUNKS[case], path).startswith("it was cut short after ")


def test_no_more_is_read_than_the_length_says(server, path):
    """It is for the document's reader to find that its end is missing."""
    server.answers["/json"] = response(BODY, Content_Length=5)
    assert get(server.url("/json"), path).body_bytes == 5
    assert path.read_bytes() == BODY[:5]


def test_a_body_that_is_too_large_is_refused(server, path):
    limit = len(BODY)
    server.answers["/json"] = response(BODY)
    assert get(server.url("/json"), path, octets=limit).status == 200
    reason = f"it has {limit + 1} octets: at most {limit} are read"
    assert refusal(server, response(BODY + b"x"), path, octets=limit) == reason
    assert not path.exists() or path.stat().st_size == 0
    assert "it has 99999999999999999999 octets" in refusal(server, silent(response(Content_Length="9" * 20)), path)
    for answer in (
        endless(chunked(end=b""), b"3\r\nxyz\r\n"),
        endless(b"HTTP/1.0 200 OK\r\n\r\n", b"xyz"),
        endless(chunked(gzip.compress(BODY)[:30], end=b"", Content_Encoding="gzip"), b"3\r\nxyz\r\n"),
    ):
        reason = refusal(server, answer, path, octets=limit)
        assert reason.startswith((f"it has more than {limit} octets, the most that is read", "it is not gzip"))
        assert path.stat().st_size <= limit


@pytest.mark.parametrize(
    ("name", "compress"), [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstandard.compress)]
)
def test_a_bomb_is_refused(server, path, name, compress):
    bomb = response(compress(bytes(5_000_000)), Content_Encoding=name)
    reason = refusal(server, bomb, path, octets=4_000_000)
    assert reason == "decompressed it has more than 4000000 octets, the most that is read"
    assert path.stat().st_size <= 4_000_000


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n", response(BODY[:9], Content_Length=10)], ids=len)
def test_a_server_that_says_nothing_is_left(server, path, head):
    assert refusal(server, silent(head), path, silence_s=0.05) == "not an octet for 0.05 s"


def test_a_redirect_is_followed_with_what_is_known(server, path):
    server.answers["/json"] = response(status=301, Location="sub/there")
    server.answers["/sub/there"] = silent(response(status=307, Location=server.url("/end"), Content_Length=10**12))
    server.answers["/end"] = response(status=304)
    assert get(server.url("/json"), path, {"ETag": '"1"'}).status == 304
    assert [asked.headers["if-none-match"] for asked in server.asked] == ['"1"'] * 3


def test_few_redirects_are_followed(server, path):
    for step in range(10):
        server.answers[f"/{step}"] = response(status=302, Location=f"/{step + 1}")
    server.answers[f"/{http.MAX_REDIRECTS}"] = response(BODY)
    assert get(server.url("/0"), path).status == 200
    server.answers[f"/{http.MAX_REDIRECTS}"] = response(status=302, Location="/9")
    server.answers["/9"] = response(BODY)
    with pytest.raises(SourceError, match="it redirects more than 5 times"):
        get(server.url("/0"), path)


@pytest.mark.parametrize("circle", [["/json"], ["/a", "/json"], ["/a", "/b", "/a"]])
def test_redirects_in_a_circle_are_refused(server, path, circle):
    for place, target in zip(["/json", *circle], circle, strict=False):
        server.answers[place] = response(status=302, Location=target)
    assert refusal(server, server.answers["/json"], path) == "it redirects in a circle"
    assert len(server.asked) == len(circle)


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/json", "file:///etc/passwd", "data:,x"])
def test_a_redirect_to_another_scheme_is_refused(server, path, location):
    assert refusal(server, response(status=302, Location=location), path) == "nothing can be asked for by such a URL"


BASIC = "Basic dXNlcjpwQHNz"  # user:p@ss


def test_a_password_goes_to_its_own_server_only(server, path):
    with HttpServer() as other:
        server.answers["/json"] = response(status=302, Location="/same")
        server.answers["/same"] = response(status=302, Location=other.url("/json"))
        other.answers["/json"] = response(status=302, Location=server.url("/back"))
        server.answers["/back"] = response(BODY)
        assert get(server.url("/json", user="user:p%40ss"), path).status == 200
        assert [asked.headers.get("authorization") for asked in server.asked] == [BASIC, BASIC, None]
        assert [asked.headers.get("authorization") for asked in other.asked] == [None]
        assert "user" not in repr([(asked.target, asked.headers) for asked in other.asked]).replace("user-agent", "")


def test_the_proxies_of_the_environment_are_used(server, path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://name:word@127.0.0.1:{server.port}")
    server.answers["http://rpki.example/json"] = response(BODY)
    assert get("http://rpki.example/json", path).status == 200
    assert server.asked[0].headers["proxy-authorization"] == "Basic bmFtZTp3b3Jk"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.answers["/json"] = response(BODY)
    assert get(server.url("/json"), path).status == 200
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
    server.answers["rpki.example:443"] = response(status=407)
    with pytest.raises(SourceError, match="the proxy makes no connection: 407 Whatever"):
        get("https://rpki.example/json", path)


@pytest.mark.parametrize("proxy", ["http://name:wo/rd@127.0.0.1", "gopher://name:word@h", "socks5://name:word@h:1"])
def test_a_proxy_that_makes_no_sense_is_a_reason(path, monkeypatch, proxy):
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SourceError) as caught:
        get("http://rpki.example/json", path)
    assert str(caught.value) == "a proxy variable of the environment makes no sense: expected http://HOST:PORT"


def test_a_server_that_is_not_there_is_a_reason(path):
    with HttpServer() as gone:
        url = gone.url("/json")
    with pytest.raises(SourceError, match=r"^no connection: connection refused$"):
        get(url, path)


def test_the_first_of_several_addresses_that_refuse_is_the_reason():
    """As anyio tells it, of which httpx makes use for coroutines."""
    error, several = (kind("All connection attempts failed") for kind in (httpx.ConnectError, OSError))
    refused, unreachable = (OSError(number, os.strerror(number)) for number in (errno.ECONNREFUSED, errno.ENETUNREACH))
    error.__cause__, several.__cause__ = several, ExceptionGroup("several", [refused, unreachable])
    assert http.reason(error, Limits()) == "no connection: connection refused"


def test_a_folder_that_can_not_be_written_to_is_a_reason(server, path):
    server.answers["/json"] = response(BODY)
    with pytest.raises(SourceError, match="nowhere/body can't be written: No such file or directory"):
        get(server.url("/json"), path.parent / "nowhere" / "body")
    full = path.with_name("full")
    full.symlink_to("/dev/full")
    request = Request(server.url("/json"), {}, str(full), SourceTls(), Limits())
    with pytest.raises(SourceError, match="full can't be written: File exists"):
        http.get(request)


STRANGE_URLS = [
    "http://",
    "http://a b/",
    "http://127.0.0.1:0x/",
    "http://\0/",
    "ftp://127.0.0.1/",
    f"http://{'x' * 64}.example/",
]


@pytest.mark.parametrize("url", STRANGE_URLS)
def test_a_url_that_can_not_be_asked_is_a_reason(path, url):
    with pytest.raises(SourceError, match=r"nothing can be asked for by such a URL|no connection|the request failed"):
        get(url, path)


# Wrong answers of every kind: none of them brings what the URL keeps secret into an error.
WRONG: dict[str, Answer] = {
    **CUT,
    **CHUNKS,
    "cut": response(BODY[:9], Content_Length=10),
    "slow": silent(),
    "bomb": response(gzip.compress(bytes(10_000)), Content_Encoding="gzip"),
    "coding": response(BODY, Content_Encoding="gzip"),
    "circle": response(status=302, Location="?t0ken=t0ken#t0ken"),
    "scheme": response(status=302, Location="ftp://us3r:p4ss@127.0.0.1/?t0ken"),
    "port": response(status=302, Location="http://us3r:p4ss@127.0.0.1:x/?t0ken"),
    "host": response(status=302, Location="http://us3r:p4ss@a b/?t0ken"),
    "refused": response(status=302, Location="http://us3r:p4ss@127.0.0.1:1/?t0ken"),
    "not modified": response(status=304),
}


def assert_nothing_else_is_shown(error: BaseException) -> None:
    """By a traceback."""
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize("case", WRONG)
def test_no_error_tells_a_secret(server, path, case):
    target = "/json?t0ken=t0ken"
    server.answers[target] = WRONG[case]
    with pytest.raises(SourceError) as caught:
        get(server.url(target, user="us3r:p4ss"), path, silence_s=0.05, octets=5000)
    assert_nothing_else_is_shown(caught.value)
    assert not any(secret in repr(caught.value) for secret in ("us3r", "p4ss", "t0ken", "dXMzcjpwNHNz"))


def errors_of_httpx() -> list[Exception]:
    kinds = [kind for kind in vars(httpx).values() if isinstance(kind, type) and issubclass(kind, httpx.RequestError)]
    return [kind("http://us3r:p4ss@h/?t0ken") for kind in kinds if kind is not httpx.ProxyError]


@pytest.mark.parametrize("error", [*errors_of_httpx(), httpx.InvalidURL("p4ss"), ValueError("p4ss")], ids=repr)
def test_no_error_of_a_library_is_shown_as_it_is(path, monkeypatch, error):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(httpx.Client, "send", fail)
    with pytest.raises(SourceError) as caught:
        get("http://us3r:p4ss@h/?t0ken", path)
    assert_nothing_else_is_shown(caught.value)
    assert not any(secret in repr(caught.value) for secret in ("us3r", "p4ss", "t0ken"))
