"""Questions to the running program: where it is, and servers that are something else."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.http_server import Answer, HttpServer, endless, response, silent

from pyrtr.__main__ import main
from pyrtr.settings import VARIABLES

TARGETS = [
    f"/api/v1/{path}" for path in ("status", "routers", "validity/AS1/192.0.2.0/24", "validity/AS64496/192.0.2.0/24")
]
STATUS = {
    "healthy": True, "reasons": [], "warnings": [], "version": "1", "uptime_s": 1.5, "serial": 7,
    "published": "2026-11-23T10:00:00.000Z", "age_s": 10.0, "stale_in_s": 20.0, "held": None, "vrps_by_ta": {"ripe": 2},
    "counts": {"ipv4": 1, "ipv6": 1, "router_keys": 0, "aspas": 0}, "more": 1,
    "routers": {"connected": 3, "current": 2, "behind": 1, "by_version": {"V1": 3}},
}  # fmt: skip
ROUTER = {
    "client": "192.0.2.1:179", "version": "V1", "transport": "tcp", "serial": 7, "behind_s": 0.0,
    "connected_since": "2026-11-23T10:00:00.000Z", "last_error": None,
}  # fmt: skip
VALIDITY = {
    "validated_route": {
        "route": {"origin_asn": "AS64496", "prefix": "192.0.2.0/24"},
        "validity": {
            "state": "invalid", "reason": "as", "description": "No.",
            "VRPs": {
                "matched": [], "unmatched_length": [],
                "unmatched_as": [{"asn": "AS64497", "prefix": "192.0.2.0/24", "max_length": "24"}],
            },
        },
    }
}  # fmt: skip


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@contextlib.contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[HttpServer]:
    with HttpServer(context) as server:
        server.answers = dict.fromkeys(TARGETS, answer)
        yield server


def answered(capsys: pytest.CaptureFixture[str], answer: object, *arguments: str) -> tuple[int, str, str]:
    body = answer if isinstance(answer, bytes) else response(json.dumps(answer).encode())
    with serving(body) as server:
        status = main([*arguments, "--url", server.url(""), "--timeout", "20"])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_status_of_a_good_program(capsys):
    status, out, err = answered(capsys, STATUS, "status")
    assert (status, err) == (0, "")
    assert "3 connected, 2 current, 1 behind" in out
    assert "1 IPv4 VRPs, 1 IPv6 VRPs" in out


def test_the_status_of_one_that_is_not(capsys):
    held = {"since": None, "reasons": ["30 % less"], "accepted_in_s": 5}
    bad = STATUS | {
        "healthy": False,
        "reasons": ["stale", "held: 30 % less\n"],
        "held": held,
        "counts": None,
        "serial": None,
        "age_s": None,
    }
    status, out, _ = answered(capsys, bad, "status")
    assert status == 1
    assert "data       of unknown age" in out
    assert "stale" in out
    assert out.count(r"30 % less\n") == 1
    assert "held back  since none: accepted in 5 seconds, or at once by pyrtr accept" in out


@pytest.mark.parametrize(
    ("age_s", "stale_in_s", "line"),
    [
        (10.0, 86390.0, "data       10 seconds old, stale in 24 hours"),
        (246532.0, -160132.0, "data       3 days old, stale for 44 hours"),
        (7199.0, 0.0, "data       120 minutes old, stale for 0 seconds"),
    ],
)
def test_how_old_the_data_is(capsys, age_s, stale_in_s, line):
    _, out, _ = answered(capsys, STATUS | {"age_s": age_s, "stale_in_s": stale_in_s}, "status")
    assert line in out.splitlines()


def test_what_stands_in_no_line_leaves_no_empty_one(capsys):
    nobody = {"connected": 0, "current": 0, "behind": 0, "by_version": {}}
    _, out, _ = answered(capsys, STATUS | {"routers": nobody, "reasons": ["one; two", "three"]}, "status")
    assert out.splitlines()[1:4] == ["           one;", "           two", "           three"]
    assert out.splitlines()[-1] == "routers    0 connected, 0 current, 0 behind"


@pytest.mark.parametrize(("behind_s", "status"), [(0.0, 0), (None, 0), (12.4, 1)])
def test_routers_that_are_behind(capsys, behind_s, status):
    error = {"code": 0, "name": "CORRUPT_DATA", "text": "no\n"}
    routers = {"routers": [ROUTER | {"behind_s": behind_s, "last_error": error}], "total": 1, "next": None}
    found, out, _ = answered(capsys, routers, "routers")
    heading, line = out.splitlines()
    assert (found, heading.split()[0]) == (status, "ROUTER")
    assert r"CORRUPT_DATA: no\n" in line


def test_no_routers(capsys):
    status, out, _ = answered(capsys, {"routers": []}, "routers")
    assert (status, len(out.splitlines())) == (0, 1)


@pytest.mark.parametrize(("state", "status"), [("valid", 0), ("invalid", 1), ("not-found", 4)])
def test_each_validity_has_its_exit_status(capsys, state, status):
    answer = json.loads(json.dumps(VALIDITY).replace('"invalid"', f'"{state}"'))
    found, out, err = answered(capsys, answer, "validity", "64496", "192.0.2.0/24")
    assert (found, err) == (status, "")
    assert out.splitlines() == [
        f"192.0.2.0/24 of AS64496: {state}",
        "No.",
        "  192.0.2.0/24 up to /24 of AS64497 is of another AS",
    ]


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [(["status"], STATUS), (["routers"], {"routers": [ROUTER]}), (["validity", "1", "192.0.2.0/24"], VALIDITY)],
)
def test_json_is_what_was_answered(capsys, arguments, answer):
    _, out, _ = answered(capsys, answer, *arguments, "--json")
    assert json.loads(out) == answer


ENOUGH = b"x" * 2**20
BAD = {
    "HTTP status 404": response(b"no", 404),
    "it has no data yet": response(b'{"detail": "it has no data yet"}', 503),
    "not answer as a pyRTR": response(b"<html>"),
    "missing required field": response(b"{}"),
    "Expected `object`": response(b"[]"),
    "none that is HTTP": b"SSH-2.0-x\r\n",
    "the connection was lost": response(b"{", Content_Length=5),
}


@pytest.mark.parametrize("reason", BAD)
@pytest.mark.parametrize("arguments", [("status",), ("routers",), ("validity", "1", "192.0.2.0/24")])
def test_an_answer_of_something_else_is_none(capsys, arguments, reason):
    status, out, err = answered(capsys, BAD[reason], *arguments)
    assert (status, out, len(err.splitlines())) == (3, "", 1)
    if reason != "the connection was lost":
        assert reason in err


def test_an_answer_that_does_not_end_is_not_waited_for(capsys, monkeypatch):
    monkeypatch.setattr("pyrtr.cli.api._MAX_BYTES", 2**21)
    with serving(endless(response(b"", Content_Length=2**40), ENOUGH)) as server:
        assert main(["status", "--url", server.url("")]) == 3
    assert "more than 2097152 octets" in capsys.readouterr().err


def test_no_answer_within_the_time_is_none(capsys):
    with serving(silent()) as server:
        assert main(["status", "--url", server.url(""), "--timeout", "0.2"]) == 3
    assert "no whole answer within 0.2 s: none was begun" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("head", "piece", "came"),
    [(response(b"", Content_Length=100), b" ", "octets of it came"), (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", "begun")],
    ids=["body", "head"],
)
def test_an_answer_that_comes_octet_by_octet_is_not_waited_for(capsys, head, piece, came):
    with serving(endless(head, piece, 0.1)) as server:
        assert main(["status", "--url", server.url(""), "--timeout", "0.5"]) == 3
    err = capsys.readouterr().err
    assert "no whole answer within 0.5 s" in err
    assert came in err


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nobody_there(capsys, host):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert main(["status", "--url", f"http://me:secret@{host}:{port}"]) == 3
    err = capsys.readouterr().err
    assert "connection refused" in err
    assert "secret" not in err


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_the_environment_says_where_the_program_is(monkeypatch, host):
    with serving(response(json.dumps(STATUS).encode())) as server:
        monkeypatch.setenv("HOST", host)
        monkeypatch.setenv("HTTP_PORT", str(server.port))
        assert main(["status"]) == 0
    assert server.asked[0].target == "/api/v1/status"


@pytest.mark.parametrize(("name", "value", "reason"), [("HTTP_PORT", "False", "--url"), ("RELOAD", "x", "RELOAD='x'")])
def test_an_environment_that_does_not_say_so_is_refused(capsys, monkeypatch, name, value, reason):
    monkeypatch.setenv(name, value)
    assert main(["status"]) == 2
    assert reason in capsys.readouterr().err


def test_our_own_certificate_is_known_by_whatever_name(capsys, monkeypatch, tmp_path: Path):
    authority = Authority(tmp_path / "ca")
    ours, other = (authority.issue(name, dns_names=["cache.example"]) for name in ("ours", "other"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ours)
    with serving(response(json.dumps(STATUS).encode()), context) as server:
        monkeypatch.setenv("HOST", "127.0.0.1")
        monkeypatch.setenv("HTTP_PORT", str(server.port))
        for certificate, status in ((ours, 0), (other, 3)):
            monkeypatch.setenv("HTTP_TLS_CERT", str(certificate))
            monkeypatch.setenv("HTTP_TLS_KEY", str(certificate))
            assert main(["status"]) == status
    assert "certificate is not accepted" in capsys.readouterr().err
