"""The tools against the real program over every transport, and against caches that lie, break off or say nothing."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests import inputs
from tests.certificates import Authority
from tests.http_server import HttpServer, endless, response
from tests.inputs import SMALL, rpki_client_bytes, visible, vrp
from tests.program import Program

from pyrtr.__main__ import main
from pyrtr.payload.table import PayloadTable
from pyrtr.settings import VARIABLES
from pyrtr.sources.auto import read

WAIT_S = 20.0
# Neither kind of payload goes altogether: that would be held back.
CHANGED = [*SMALL[:3], vrp("2001:db8:1::/48"), *SMALL[4:]]
OTHERS = [vrp("192.0.2.0/24"), vrp("198.51.100.0/24", 64497, 26), vrp("2001:db8:1::/48")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of a program and its router."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("host", "router"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(folder / name))
        key.write_public_key(str(folder / f"{name}.pub"))
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, authority: Authority, keys: Path) -> Iterator[Program]:
    """One that serves `SMALL` over TCP, TLS and SSH."""
    certificate = authority.issue("cache", ["127.0.0.1"])
    settings: dict[str, Any] = {
        "TLS_PORT": 0, "TLS_CERT": certificate, "TLS_KEY": certificate,
        "SSH_PORT": 0, "SSH_HOST_KEY": keys / "host", "SSH_AUTHORIZED_KEYS": keys / "router.pub",
    }  # fmt: skip
    with Program(tmp_path_factory.mktemp("served"), **settings) as program:
        yield program


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def at(program: Program, transport: str = "rtr") -> str:
    host, port = program.addresses[transport]
    return f"{host}:{port}"


def url(program: Program) -> str:
    return f"http://{program.web[0]}:{program.web[1]}"


def document(path: Path, *payload: inputs.Payload) -> str:
    path.write_bytes(rpki_client_bytes(payload))
    return str(path)


def table(body: str | bytes) -> PayloadTable:
    return read(body.encode() if isinstance(body, str) else body, now=0).table


# dump


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_dump_has_what_the_version_carries(served, capsys, version):
    assert main(["dump", at(served), "--version", str(version)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert table(out) == table(rpki_client_bytes(visible(version, SMALL)))
    metadata = json.loads(out)["metadata"]
    assert (metadata["rtr_version"], metadata["source"]) == (version, f"rtr://{at(served)}")


def test_over_tls(served, capsys, authority):
    arguments = ["dump", at(served, "tls"), "--tls"]
    assert main([*arguments, "--ca", str(authority.file)]) == 0
    assert table(capsys.readouterr().out) == table(rpki_client_bytes(SMALL))
    assert main(arguments) == 3
    assert "certificate is not accepted" in capsys.readouterr().err


def test_over_ssh(served, capsys, keys, tmp_path, monkeypatch):
    known = tmp_path / "known"
    host, port = served.addresses["ssh"]
    known.write_text(f"[{host}]:{port} {(keys / 'host.pub').read_text()}")
    monkeypatch.setenv("SOURCE_KNOWN_HOSTS", str(known))
    arguments = ["dump", at(served, "ssh"), "--ssh", "router", "--ssh-key", str(keys / "router")]
    assert main(arguments) == 0
    assert table(capsys.readouterr().out) == table(rpki_client_bytes(SMALL))
    known.write_text(f"[{host}]:{port} {(keys / 'router.pub').read_text()}")
    assert main(arguments) == 3
    assert capsys.readouterr().out == ""


def test_csv_has_the_vrps_and_says_what_it_lacks(served, capsys):
    assert main(["dump", at(served), "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert ["AS64497", "198.51.100.0/24", "26", "rtr", ""] in [*csv.reader(io.StringIO(out))]
    assert len(out.splitlines()) == 1 + len(visible(0, SMALL))
    assert "2 router keys and ASPAs are not in CSV" in err


def test_a_file_is_written_whole_or_not_at_all(served, capsys, tmp_path):
    path = tmp_path / "dump.json"
    assert main(["dump", at(served), "--output", str(path)]) == 0
    before = path.read_bytes()
    assert table(before) == table(rpki_client_bytes(SMALL))
    with scripted(b"", closes=True) as place:
        assert main(["dump", place, "--output", str(path)]) == 3
    assert path.read_bytes() == before
    assert main(["dump", at(served), "--output", str(tmp_path / "no" / "file")]) == 1
    assert os.listdir(tmp_path) == ["dump.json"]
    assert capsys.readouterr().err.splitlines()[-1].endswith("can't be written: No such file or directory")


def test_a_reader_that_has_seen_enough_is_no_error(served):
    command = f"{sys.executable} -m pyrtr dump {at(served)} | head -n 1"
    finished = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "{\n", "")


# Caches that are none


@pytest.fixture(autouse=True)
def _short_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for these caches to close."""
    monkeypatch.setattr("pyrtr.sources.upstream.transport.CLOSE_S", 0.05)


@contextlib.contextmanager
def scripted(*answers: bytes, closes: bool = False) -> Iterator[str]:
    """A cache that says one of the answers on each connection, whatever it is asked, and then nothing, or closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_S)
        open_sockets: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    peer.settimeout(WAIT_S)
                    peer.recv(64)
                    peer.sendall(answers[min(len(open_sockets), len(answers) - 1)])
                    open_sockets.append(peer)
                    if closes:
                        peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield "{}:{}".format(*server.getsockname())
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for peer in open_sockets:
                peer.close()


RESPONSE = bytes.fromhex("0203 002a 0000 0008")
PREFIX = bytes.fromhex("0204 0000 0000 0014 01 18 18 00 c0000200 0000fbf0")
END = bytes.fromhex("0207 002a 0000 0018 00000001 00000e10 00000258 00001c20")
NO_DATA = bytes.fromhex("020a 0002 0000 0010 00000000 00000000")

HOSTILE = {
    "a prefix twice": (RESPONSE + PREFIX * 2 + END, "Duplicate announcement received: 192.0.2.0/24"),
    "another session at the end": (RESPONSE + PREFIX + END.replace(b"\x00\x2a", b"\x00\x2b"), "session id 43"),
    "no data": (NO_DATA, "the cache has no data yet"),
    "an error": (bytes.fromhex("020a 0001 0000 0010 00000000 00000000"), "error 1 (INTERNAL_ERROR)"),
    "a length that can't be": (RESPONSE + PREFIX[:4] + b"\xff" * 4, "length field 4294967295"),
    "half a response": (RESPONSE + PREFIX, "no whole answer within 0.5 s: 20 octets of payload came"),
    "nothing": (b"", "no whole answer within 0.5 s: none was begun"),
    "half a header": (RESPONSE[:5], "no whole answer within 0.5 s: none was begun"),
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "expected 8..65535"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_cache_that_is_none_is_told_in_a_line(capsys, tmp_path, case):
    said, reason = HOSTILE[case]
    path = tmp_path / "dump.json"
    with scripted(said) as place:
        started = time.monotonic()
        assert main(["dump", place, "--timeout", "0.5", "--output", str(path)]) == 3
        assert time.monotonic() - started < WAIT_S / 2
        assert main(["diff", f"rtr://{place}", document(tmp_path / "file"), "--timeout", "0.5"]) == 3
        assert main(["watch", "--once", place, "--timeout", "0.5", "--json"]) == 1
    out, err = capsys.readouterr()
    assert not path.exists()
    assert reason in next(line for line in err.splitlines() if line.startswith("pyrtr dump: "))
    (cache,) = json.loads(out)["caches"]
    assert reason in cache["trouble"]


def test_a_cache_that_always_closes_is_given_up(capsys):
    with scripted(b"", closes=True) as place:
        assert main(["dump", place]) == 3
    assert capsys.readouterr().err == f"pyrtr dump: rtr://{place}: it closed the connection\n"


def test_error_texts_of_a_cache_can_do_nothing_to_a_terminal(capsys):
    text = b"\x1b[2J\nx"
    report = bytes.fromhex("020a 0001 0000") + (16 + len(text)).to_bytes(2) + bytes(4) + len(text).to_bytes(4) + text
    with scripted(report) as place:
        assert main(["dump", place]) == 3
    err = capsys.readouterr().err
    assert r"\x1b[2J\nx" in err
    assert len(err.splitlines()) == 2


def test_an_interrupt_ends_quietly(tmp_path):
    former = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # in the background it is ignored, by children too
    with scripted(b"") as place:
        process = subprocess.Popen(
            [sys.executable, "-m", "pyrtr", "watch", place, "127.0.0.1:1"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=tmp_path,
        )  # fmt: skip
        signal.signal(signal.SIGINT, former)
        assert process.stdout is not None
        assert b"lost reason=connection refused" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, err) == (130, b"")


# diff


def test_a_file_is_what_the_program_serves_of_it(served, capsys):
    for version in ("0", "1", "2"):
        assert main(["diff", str(served.file), f"rtr://{at(served)}", "--version", version]) == 0
    out = capsys.readouterr().out
    assert out.count("the same") == 3
    assert "not compared: ASPAs and router keys" in out


@pytest.mark.parametrize("version", [0, 1, 2])
def test_what_differs_is_told_one_by_one(served, capsys, tmp_path, version):
    file = document(tmp_path / "others.json", *OTHERS)
    assert main(["diff", f"rtr://{at(served)}", file, "--version", str(version)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(("- ", "+ ", "~ "))] == [
        "- VRP 203.0.113.0/24 up to /24 of AS0",
        "- VRP 2001:db8::/32 up to /48 of AS64496",
        "+ VRP 2001:db8:1::/48 up to /48 of AS64496 (example)",
        *[f"- router key {'01' * 20} of AS64496"][: version >= 1],
        *["- ASPA of AS64496: AS64497 AS64498"][: version >= 2],
    ]


def test_the_same_as_json_and_with_limits(served, capsys, tmp_path):
    file = document(tmp_path / "others.json", *OTHERS)
    arguments = ["diff", file, f"rtr://{at(served)}"]
    assert main([*arguments, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["same"] is False
    assert told["withdrawn"] == {"vrps": 1, "router_keys": 0, "aspas": 0}
    assert told["announced"] == {"vrps": 2, "router_keys": 1, "aspas": 1}
    assert told["vrps_by_ta"] == {"example": {"withdrawn": 1, "announced": 0}}
    assert len(told["changes"]) == 5
    assert (told["a"]["location"], told["b"]["version"]) == (file, "V2")
    assert main([*arguments, "--json", "--limit", "2"]) == 1
    assert json.loads(capsys.readouterr().out)["changes"] == told["changes"][:2]
    assert main([*arguments, "--json", "--summary"]) == 1
    assert "changes" not in json.loads(capsys.readouterr().out)
    assert main([*arguments, "--limit", "2"]) == 1
    assert "and 3 more" in capsys.readouterr().out
    assert main([*arguments, "--summary"]) == 1
    assert "VRPs of example: 1 withdrawn, 0 announced" in capsys.readouterr().out
    assert main(["diff", file, file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []


def test_records_that_have_expired_count_but_beside_a_cache(served, capsys, tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_bytes(rpki_client_bytes(SMALL, expires=1))
    new.write_bytes(rpki_client_bytes(SMALL))
    assert main(["diff", str(old), str(new)]) == 0
    assert main(["diff", str(old), f"rtr://{at(served)}"]) == 1
    assert "0 VRPs" in capsys.readouterr().out


def test_a_url_is_compared_like_a_file(served, capsys):
    """What the API gives out is what another cache can load."""
    assert main(["diff", str(served.file), f"{url(served)}/api/v1/vrps?format=rpki-client"]) == 0, capsys.readouterr()


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", response(b"", Content_Length=10**6)], ids=["head", "body"])
def test_a_url_whose_answer_does_not_end_is_not_waited_for(capsys, tmp_path, head):
    with HttpServer() as server:
        server.answers["/json"] = endless(head, b"X: y\r\n", 0.1)
        assert main(["diff", document(tmp_path / "file"), server.url("/json"), "--timeout", "2"]) == 3
    assert "took longer than 2 s" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["/missing", "http://127.0.0.1:1/", "rtr://127.0.0.1:1"])
def test_what_can_not_be_had_is_no_difference(capsys, tmp_path, place):
    assert main(["diff", document(tmp_path / "file"), place]) == 3
    err = capsys.readouterr().err
    assert err.startswith(f"pyrtr diff: {place}")
    assert len(err.splitlines()) == 1


# watch


def test_caches_that_are_the_same(served, capsys):
    assert main(["watch", "--once", at(served), f"rtr://localhost:{served.rtr[1]}", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["same"], [cache["serial"] for cache in told["caches"]]) == (True, [told["caches"][0]["serial"]] * 2)


def test_one_that_differs_and_one_that_is_gone(served, capsys):
    said = RESPONSE + PREFIX + END
    with scripted(said) as place:
        assert main(["watch", "--once", at(served), f"localhost:{served.rtr[1]}", place, "127.0.0.1:1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"rtr://{place}: V2, serial 1, 1 VRPs; 5 differences from" in lines[2]
    assert lines[3] == "  - VRP 198.51.100.0/24 up to /26 of AS64497"
    assert lines[-1] == "rtr://127.0.0.1:1: no answer: connection refused"


def test_changes_are_told_while_they_happen(tmp_path):
    """Two programs; one gets other data, and then the other one, too."""
    with contextlib.ExitStack() as stack:
        (tmp_path / "1").mkdir()
        (tmp_path / "2").mkdir()
        one, two = (stack.enter_context(Program(tmp_path / name)) for name in ("1", "2"))
        process = stack.enter_context(subprocess.Popen(
            [sys.executable, "-m", "pyrtr", "watch", at(one), at(two), "--json", "--metrics", "0", "--interval", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ))  # fmt: skip
        stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stderr is not None
        lines: list[dict[str, object]] = []

        deadline = threading.Timer(WAIT_S, process.kill)  # a line that does not come is not waited for
        deadline.start()
        stack.callback(deadline.cancel)

        def until(event: str) -> dict[str, object]:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(json.loads(line))
                if lines[-1]["event"] == event:
                    return lines[-1]
            raise AssertionError(f"no {event!r} in {lines}")

        page = process.stderr.readline().split()[-1]
        for _ in range(2):
            until("answers")
        one.load(CHANGED)
        changed, differs = until("changed"), until("differs")
        assert (changed["cache"], changed["announced"], changed["withdrawn"]) == (f"rtr://{at(one)}", 1, 1)
        assert differs["cache"] == f"rtr://{at(two)}"
        with urllib.request.urlopen(page, timeout=WAIT_S) as answer:
            metrics = answer.read().decode()
        assert f'pyrtr_watch_differences{{action="withdrawn",cache="rtr://{at(two)}"}} 1.0' in metrics
        assert f'pyrtr_watch_up{{cache="rtr://{at(one)}"}} 1.0' in metrics
        two.load(CHANGED)
        assert until("agrees")["cache"] == f"rtr://{at(two)}"
        one.kill()
        lost = until("lost")
        assert lost["cache"] == f"rtr://{at(one)}"


def test_a_port_for_metrics_that_is_taken(served, capsys):
    assert main(["watch", at(served), "--metrics", str(served.web[1]), "--metrics-host", "127.0.0.1"]) == 3
    assert "in use" in capsys.readouterr().err.lower()


# The running program


def test_the_status_of_the_program(served, capsys):
    assert main(["status", "--url", url(served)]) == 0
    assert "3 IPv4 VRPs, 1 IPv6 VRPs, 1 router keys, 1 ASPAs" in capsys.readouterr().out
    assert main(["status", "--url", url(served), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["healthy"] is True


def test_its_environment_says_where_it_is(served):
    finished = served.command("status")
    assert (finished.returncode, finished.stderr) == (0, "")


def test_the_routers_of_the_program(served, capsys):
    with served.router(1) as router:
        router.reset()
        assert main(["routers", "--url", url(served)]) == 0
        line = capsys.readouterr().out.splitlines()[1].split()
        assert (line[1], line[2]) == ("V1", "tcp")
        assert main(["routers", "--url", url(served), "--json", "--behind"]) == 0
        assert json.loads(capsys.readouterr().out)["routers"] == []


ROUTES = [
    ("64496", "192.0.2.0/24", 0, "valid", "  192.0.2.0/24 up to /24 of AS64496 allows it"),
    ("AS64496", "192.0.2.0/25", 1, "invalid", "  192.0.2.0/24 up to /24 of AS64496 allows no prefix as long as that"),
    ("64498", "192.0.2.0/24", 1, "invalid", "  192.0.2.0/24 up to /24 of AS64496 is of another AS"),
    ("0", "203.0.113.0/24", 1, "invalid", "  203.0.113.0/24 up to /24 of AS0 is of another AS"),
    ("64496", "2001:db8:1::/48", 0, "valid", "  2001:db8::/32 up to /48 of AS64496 allows it"),
    ("64496", "10.0.0.0/8", 4, "not-found", None),
]


@pytest.mark.parametrize(("asn", "prefix", "status", "state", "line"), ROUTES)
def test_a_route_has_the_same_validity_in_the_program_and_in_its_file(served, capsys, asn, prefix, status, state, line):
    answers = []
    for option, place in (("--url", url(served)), ("--file", str(served.file))):
        assert main(["validity", asn, prefix, option, place]) == status
        answers.append(capsys.readouterr().out)
        assert main(["validity", asn, prefix, option, place, "--json"]) == status
        route = json.loads(capsys.readouterr().out)["validated_route"]
        assert route["validity"]["state"] == state
    first, second = answers
    assert first == second
    heading, _, *vrps = first.splitlines()
    assert (heading.endswith(f": {state}"), vrps) == (True, [line] if line else [])


def test_a_file_that_can_not_be_read_gives_no_validity(capsys):
    assert main(["validity", "1", "192.0.2.0/24", "--file", "/missing"]) == 3
    assert capsys.readouterr().err == "pyrtr validity: /missing: No such file or directory\n"
