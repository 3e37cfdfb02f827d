"""Log lines in both formats: one event per line whatever it carries, and a program that outlives its reader."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from pyrtr.logs import LogFormat, LogLevel, configure, get_logger, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTILE = [
    ("line\nend", r"line\nend"),
    ("return\rover", r"return\rover"),
    ("esc\x1b[31mred", r"esc\x1b[31mred"),
    ("nul\x00", r"nul\x00"),
    ("del\x7f", r"del\x7f"),
    ("c1\x85\x9b", r"c1\x85\x9b"),
    ("separator\u2028", r"separator\u2028"),
    ("right to left\u202e", r"right to left\u202e"),
    ("surrogate\udc80", r"surrogate\udc80"),
    ("café ☃ 𝄞", "café ☃ 𝄞"),
]


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers = root.handlers[:]
    yield
    root.handlers[:] = handlers
    structlog.reset_defaults()


@pytest.mark.parametrize(("text", "escaped"), HOSTILE)
def test_printable(text: str, escaped: str):
    assert printable(text) == escaped
    assert printable(text).isprintable()


@pytest.mark.parametrize(("text", "escaped"), HOSTILE)
def test_text_shows_hostile_text_escaped(capsys: pytest.CaptureFixture[str], text: str, escaped: str):
    configure(LogLevel.INFO, LogFormat.TEXT)
    get_logger().info(text, reason=f"{text}-", **{text: [text]})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert f"INFO     {escaped} reason=" in line


@pytest.mark.parametrize(("text", "escaped"), HOSTILE)
def test_json_keeps_hostile_text_inside_its_string(capsys: pytest.CaptureFixture[str], text: str, escaped: str):
    configure(LogLevel.INFO, LogFormat.JSON)
    get_logger().info(text, reason=text, **{text: [{text: text}]})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isascii()
    assert line.isprintable()
    # JSON has no lone surrogates that a strict reader would take: they stay escaped.
    kept = escaped if "\udc80" in text else text
    fields = json.loads(line)
    assert (fields["event"], fields["reason"], fields[kept]) == (kept, kept, [{kept: kept}])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("word", "v=word"),
        ("", 'v=""'),
        ("two words", 'v="two words"'),
        ("a=b", 'v="a=b"'),
        ('say "no" \\', r'v="say \"no\" \\"'),
        ("tab\there", r"v=tab\there"),
        (5, "v=5"),
        (("one reason", "another\n"), r'v="one reason; another\n"'),
        (None, "v=None"),
        (Path("/a/b"), "v=/a/b"),
        ([1, "x\n"], r"""v="[1, 'x\\n']" """.rstrip()),
    ],
)
def test_text_values(capsys: pytest.CaptureFixture[str], value: object, shown: str):
    configure(LogLevel.INFO, LogFormat.TEXT)
    get_logger().info("event", v=value)
    assert capsys.readouterr().err.rstrip("\n").partition("event ")[2] == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, 5),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (True, True),
        (None, None),
        (Path("/a/b"), "/a/b"),
        (b"\xff", "b'\\xff'"),
        ((1, {"k": {2}}), [1, {"k": [2]}]),
        (LogLevel.INFO, "INFO"),
    ],
)
def test_json_values(capsys: pytest.CaptureFixture[str], value: object, shown: object):
    configure(LogLevel.INFO, LogFormat.JSON)
    get_logger().info("event", v=value)
    assert json.loads(capsys.readouterr().err, parse_constant=pytest.fail)["v"] == shown


def test_text_line(capsys: pytest.CaptureFixture[str]):
    configure(LogLevel.INFO, LogFormat.TEXT)
    get_logger().bind(router="192.0.2.1:5").warning("router left", serial=7)
    time, rest = capsys.readouterr().err.split(" ", 1)
    assert time.endswith("Z")
    assert rest == "WARNING  router left router=192.0.2.1:5 serial=7\n"


def test_json_line(capsys: pytest.CaptureFixture[str]):
    configure(LogLevel.INFO, LogFormat.JSON)
    get_logger().bind(router="192.0.2.1:5").warning("router left", serial=7)
    fields = json.loads(capsys.readouterr().err)
    assert list(fields) == ["timestamp", "level", "event", "router", "serial"]
    assert fields.pop("timestamp").endswith("Z")
    assert fields == {"level": "warning", "event": "router left", "router": "192.0.2.1:5", "serial": 7}


METHODS = ["debug", "info", "warning", "error", "critical"]


@pytest.mark.parametrize(
    ("level", "logged"),
    [
        (LogLevel.DEBUG, METHODS),
        (LogLevel.INFO, METHODS[1:]),
        (LogLevel.WARNING, METHODS[2:]),
        (LogLevel.ERROR, METHODS[3:]),
        (LogLevel.CRITICAL, METHODS[4:]),
        (LogLevel.FATAL, METHODS[4:]),
    ],
)
def test_levels(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, level: LogLevel, logged: list[str]
):
    configure(level, LogFormat.JSON)
    monkeypatch.setattr(logging.getLogger("uvicorn"), "level", logging.DEBUG)  # as uvicorn sets it
    for method in METHODS:
        getattr(get_logger(), method)(method)
        getattr(logging.getLogger("uvicorn"), method)(f"{method} of uvicorn")
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert [event for event in events if "uvicorn" not in event] == logged
    assert [e for e in events if "uvicorn" in e] == [f"{m} of uvicorn" for m in logged if m not in ("debug", "info")]


@pytest.mark.parametrize(("number", "level"), [(30, "warning"), (35, "warning"), (50, "critical"), (99, "critical")])
def test_standard_library_records(capsys: pytest.CaptureFixture[str], number: int, level: str):
    configure(LogLevel.INFO, LogFormat.JSON)
    logging.getLogger("a.library").log(number, "from %s\n", "outside")
    (line,) = capsys.readouterr().err.splitlines()
    fields = json.loads(line)
    del fields["timestamp"]
    assert fields == {"level": level, "event": "from outside\n", "logger": "a.library"}


def test_a_broken_record_does_not_reach_its_caller(capsys: pytest.CaptureFixture[str]):
    logging.getLogger().handlers.clear()  # pytest's own handlers raise
    configure(LogLevel.INFO, LogFormat.TEXT)
    logging.getLogger("uvicorn").error("%d", "no number")
    assert "no number" in capsys.readouterr().err


def test_configuring_again_replaces(capsys: pytest.CaptureFixture[str]):
    log = get_logger()
    configure(LogLevel.INFO, LogFormat.JSON)
    configure(LogLevel.INFO, LogFormat.TEXT)
    log.info("once")
    logging.getLogger("uvicorn").error("twice?")
    assert [line.split(maxsplit=2)[2] for line in capsys.readouterr().err.splitlines()] == [
        "once",
        "twice? logger=uvicorn",
    ]


def _fail(log: object) -> None:
    try:
        raise ValueError("bad\n2026-01-01T00:00:00Z INFO     forged\x1b[2J")
    except ValueError:
        log.exception("load failed")  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["ours", "uvicorn"])
def test_text_keeps_tracebacks_behind_a_bar(capsys: pytest.CaptureFixture[str], name: str):
    configure(LogLevel.INFO, LogFormat.TEXT)
    _fail(get_logger() if name == "ours" else logging.getLogger(name))
    head, *lines = capsys.readouterr().err.splitlines()
    assert "ERROR    load failed" in head
    assert lines[0] == "  | Traceback (most recent call last):"
    assert lines[-2:] == ["  | ValueError: bad", r"  | 2026-01-01T00:00:00Z INFO     forged\x1b[2J"]
    assert all(line.startswith("  | ") and line.isprintable() for line in lines)


@pytest.mark.parametrize("name", ["ours", "uvicorn"])
def test_json_keeps_tracebacks_in_a_field(capsys: pytest.CaptureFixture[str], name: str):
    configure(LogLevel.INFO, LogFormat.JSON)
    _fail(get_logger() if name == "ours" else logging.getLogger(name))
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["exception"].endswith("forged\x1b[2J")


PROGRAM = """
import logging
from pyrtr.logs import LogFormat, LogLevel, configure, get_logger
configure(LogLevel.INFO, LogFormat.TEXT)
for number in range(1000):
    get_logger().info("line", number=number)
logging.getLogger("uvicorn").error("line")
print("alive")
"""


def _run(redirect: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", f'"$0" -c "$1" {redirect}', sys.executable, PROGRAM]
    environ = dict(os.environ)
    environ.pop("PYTHONUNBUFFERED", None)  # which hides what the interpreter's last flush makes of the exit status
    return subprocess.run(command, stdout=subprocess.PIPE, env=environ, text=True, timeout=60, check=False)


@pytest.mark.parametrize("redirect", ["2>&-", "2> >(exec 0<&-; sleep 1)"])
def test_a_stderr_that_nobody_reads_harms_nobody(redirect: str):
    finished = _run(redirect)
    assert (finished.returncode, finished.stdout) == (0, "alive\n")


def test_a_stderr_on_a_full_disk_does_not_stop_the_program():
    assert _run("2>/dev/full").stdout == "alive\n"


def test_a_stderr_that_was_closed_harms_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    configure(LogLevel.INFO, LogFormat.TEXT)
    closed = (tmp_path / "log").open("w")
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    get_logger().info("lost")
