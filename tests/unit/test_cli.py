"""The commands as a shell sees them: what they print where, and their exit status."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import rich
import structlog

from pyrtr.__main__ import main
from pyrtr.cli.arguments import USAGE
from pyrtr.cli.settings import settings_table
from pyrtr.server.passwords import read_passwords
from pyrtr.settings import VARIABLES, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (*VARIABLES, "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    handlers = root.handlers[:]
    yield
    root.handlers[:] = handlers
    structlog.reset_defaults()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of every call of a supervisor that ends at once with status 7."""
    calls: list[Settings] = []

    def run(settings: Settings) -> int:
        calls.append(settings)
        return 7

    supervisor = ModuleType("pyrtr.supervisor")
    supervisor.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyrtr.supervisor", supervisor)
    monkeypatch.setitem(sys.modules, "rich", rich)  # it is barred from a process that serves, and is to be back after
    monkeypatch.setattr("pyrtr.processes.prepare", lambda _module: None)
    return calls


def test_no_argument_serves(served: list[Settings], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RTR_PORT", "323")
    monkeypatch.setattr(sys, "argv", ["pyrtr"])
    assert main() == 7
    assert served == [Settings(rtr_port=323)]


def test_warnings_are_logged_before_serving(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("RELAOD", "5")
    monkeypatch.setenv("LOG_FORMAT", "json")
    assert main([]) == 7
    assert len(served) == 1
    err = capsys.readouterr().err
    assert '"level": "warning", "event": "RELAOD is set, but no such variable is known: is RELOAD meant?"' in err


@pytest.mark.parametrize("argv", [[], ["settings"]])
def test_problems_end_with_status_2_and_a_line_each(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str]
):
    monkeypatch.setenv("RELOAD", "soon")
    monkeypatch.setenv("WATCH", "\x1b[2J")
    assert main(argv) == 2
    assert served == []
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "RELOAD='soon': expected a whole number from 1 to 86400",
        r"WATCH='\x1b[2J': expected True or False",
    ]


def test_settings_prints_every_variable_aligned(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("HOST", "192.0.2.1, 2001:db8::1")
    monkeypatch.setenv("RTR_PORT", "no")
    assert main(["settings"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    heading, *lines = out.splitlines()
    starts = [heading.index(title) for title in ("VARIABLE", "VALUE", "DEFAULT", "UNIT", "MEANING")]
    rows = {}
    for line in lines:
        name, value, default, unit, meaning = (line[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True))
        rows[name.strip()] = (value.strip(), default.strip(), unit.strip(), meaning)
    assert list(rows) == list(VARIABLES)
    assert rows["HOST"][:3] == ("192.0.2.1,2001:db8::1", "localhost", "address")
    assert rows["RTR_PORT"][:3] == ("False", "8323", "TCP port")
    assert rows["RETRY"][:3] == ("600", "600", "seconds")
    assert rows["INITIAL_SERIAL"][:2] == ("random", "random")
    assert rows["RETRY"][3].endswith("(a whole number from 1 to 7200)")
    assert all(meaning.strip() for *_, meaning in rows.values())


def test_settings_warns_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("RELAOD", "5")
    assert main(["settings"]) == 0
    out, err = capsys.readouterr()
    assert err == "warning: RELAOD is set, but no such variable is known: is RELOAD meant?\n"
    assert "warning" not in out


def test_a_value_cannot_break_the_table():
    table = settings_table(Settings(location="a\nb\x1b\udcff"))
    assert len(table.splitlines()) == len(VARIABLES) + 1
    assert r"a\nb\x1b\udcff" in table


@pytest.mark.parametrize("argv", [["--help"], ["-h"]])
def test_help(capsys: pytest.CaptureFixture[str], argv: list[str]):
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert (out.splitlines()[0], err) == (USAGE, "")
    assert "Example:" in out
    assert "RTR_PORT=" in out


def test_version(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr() == (f"pyrtr {version('pyrtr')}\n", "")


@pytest.mark.parametrize("argv", [["serve"], ["--port", "5"], ["--version", "--help"], ["-v"], [""], ["\x1b[2J\n"]])
def test_other_arguments_are_refused(served: list[Settings], capsys: pytest.CaptureFixture[str], argv: list[str]):
    assert main(argv) == 2
    assert served == []
    out, err = capsys.readouterr()
    said, usage = err.splitlines()
    assert (out, usage) == ("", USAGE)
    assert repr(argv[0]) in said


def test_the_installed_command_is_main():
    (script,) = entry_points(group="console_scripts", name="pyrtr")
    assert script.load() is main


def _python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=dict(os.environ) | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_python_m_is_the_same_program():
    finished = _python("-m", "pyrtr", "--version")
    assert (finished.returncode, finished.stdout) == (0, f"pyrtr {version('pyrtr')}\n")


def test_the_program_ends_without_a_traceback():
    finished = _python("-m", "pyrtr", RTR_PORT="x", EXPIRE="1")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert [line.partition("=")[0] for line in finished.stderr.splitlines()] == ["RTR_PORT", "EXPIRE"]


def test_a_terminal_of_few_letters_gets_escapes():
    finished = _python("-m", "pyrtr", "settings", LOCATION="/srv/café", PYTHONIOENCODING="ascii")
    assert finished.returncode == 0
    assert r"/srv/caf\xe9" in finished.stdout


@pytest.mark.parametrize("argument", ["--version", "--help", "unknown"])
def test_options_load_neither_settings_nor_server(argument: str):
    finished = _python(
        "-c",
        "import sys; from pyrtr.__main__ import main; main(sys.argv[1:]);"
        "print([name for name in ('pydantic', 'structlog', 'numpy', 'asyncio', 'fastapi') if name in sys.modules])",
        argument,
    )
    assert finished.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("module", ["pyrtr.web.lookup.worker", "pyrtr.cli.validity"])
def test_what_answers_without_http_does_not_load_it(module: str):
    finished = _python("-c", f"import sys, {module}, pyrtr.web.lookup.validity; print('fastapi' in sys.modules)")
    assert finished.stdout == "False\n"


def _shell(redirect: str, argument: str) -> subprocess.CompletedProcess[str]:
    program = "import time; time.sleep(0.3); from pyrtr.__main__ import main; raise SystemExit(main(['$1']))"
    environ = dict(os.environ)
    environ.pop("PYTHONUNBUFFERED", None)  # which hides what the interpreter's last flush makes of the exit status
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$0" -c "{program}" {redirect}', sys.executable, argument],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirect", "err"), [("| head -n 0", ""), (">/dev/full", "pyrtr: stdout: No space left on device\n")]
)
def test_a_stdout_that_takes_nothing_is_no_traceback(redirect: str, err: str):
    finished = _shell(redirect, "--help")
    assert (finished.returncode, finished.stdout, finished.stderr) == (1, "", err)


@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-"])
def test_a_stderr_that_takes_nothing_keeps_the_exit_status(redirect: str):
    assert _shell(redirect, "unknown").returncode == 2


def _password(user: str, typed: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyrtr", "password", user]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60, check=False)


def test_a_password_becomes_a_line_that_lets_in(tmp_path: Path):
    finished = _password("xr1", "correct horse\nmore\n")
    assert (finished.returncode, finished.stderr) == (0, "")
    (tmp_path / "passwords").write_text(finished.stdout)
    passwords = read_passwords(tmp_path / "passwords")
    assert passwords.fit("xr1", "correct horse")
    assert not passwords.fit("xr1", "correct horse\n")


@pytest.mark.parametrize(
    ("user", "typed", "status"), [("a:b", "x\n", 2), ("", "x\n", 2), ("xr1", "", 1), ("xr1", "\n", 1)]
)
def test_what_is_no_user_or_no_password_makes_no_line(user: str, typed: str, status: int):
    finished = _password(user, typed)
    assert (finished.returncode, finished.stdout) == (status, "")
    assert len(finished.stderr.splitlines()) == 1
