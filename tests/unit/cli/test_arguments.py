"""The command line: every command has help with an example that is one, and says in a few lines what is wrong."""

from __future__ import annotations

import re
import shlex

import pytest

from pyrtr.__main__ import main
from pyrtr.cli.arguments import COMMANDS, Ended, parse


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_is_understood(name, capsys):
    assert main([name, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    (example,) = re.findall(r"^example:\n  (.*)$", out, re.MULTILINE)
    program, command, *arguments = shlex.split(example)
    assert (program, command) == ("pyrtr", name)
    parse(name, arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_exit_statuses_mean(name, capsys):
    main([name, "-h"])
    statuses = re.findall(r"^  (\d+) +\w", capsys.readouterr().out.partition("exit status:\n")[2], re.MULTILINE)
    assert {"0", "2", "130"} <= set(statuses)


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_not_known_is_refused_with_the_usage(name, capsys):
    assert main([name, "--nonsense\x1b[2J"]) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert "\x1b" not in err
    assert lines[0].startswith(f"pyrtr {name}: ")
    assert lines[1].startswith(f"usage: pyrtr {name} ")
    assert lines[-1] == f"see pyrtr {name} --help"


WRONG = {
    "dump": [[], ["a:1", "b:2"], ["a:1", "--version", "3"], ["a:1", "--tls", "--ssh", "me"], ["a:1", "--timeout", "0"]],
    "diff": [["a"], ["a", "b", "--limit", "-1"], ["a", "b", "--limit", "x"]],
    "watch": [[], ["a:1", "--metrics", "65536"], ["a:1", "--interval", "nan"]],
    "validity": [["64496"], ["AS", "192.0.2.0/24"], ["4294967296", "192.0.2.0/24"], ["64496", "192.0.2.0/24", "x"]],
    "settings": [["now"]],
    "password": [[], ["a", "b"]],
}


@pytest.mark.parametrize(("name", "arguments"), [(name, each) for name, lists in WRONG.items() for each in lists])
def test_values_out_of_their_range_are_refused(name, arguments):
    with pytest.raises(Ended) as ended:
        parse(name, arguments)
    assert ended.value.status == 2


@pytest.mark.parametrize("text", ["64496", "AS64496", "as64496"])
def test_an_origin_is_written_as_people_do(text):
    assert parse("validity", [text, "192.0.2.0/24"]).asn == 64496


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["dump", "nowhere"], "expected HOST:PORT"),
        (["dump", "http://192.0.2.1"], "expected one of rtr://"),
        (["dump", "rtr://192.0.2.1/path"], "nothing after it"),
        (["dump", "192.0.2.1:22", "--ssh", "me"], "SOURCE_SSH_KEY"),
        (["dump", "192.0.2.1:22", "--ssh", "me", "--ssh-key", "key"], "SOURCE_KNOWN_HOSTS"),
        (["watch", "192.0.2.1:323", ":"], "expected HOST:PORT"),
        (["watch", "192.0.2.1:323", "--timeout", "5"], "--timeout counts with --once only"),
        (["watch", "192.0.2.1:323", "--once", "--metrics", "0"], "--metrics counts without --once only"),
        (["diff", "a", ""], "a location is empty"),
        (["diff", "ftp://192.0.2.1/x", "a"], "expected a file"),
        (["validity", "1", "192.0.2.1/24"], "no host bits: ask for 192.0.2.0/24"),
        (["status", "--url", "ftp://192.0.2.1"], "expected http://"),
        (["status", "--ca", "/missing", "--url", "https://192.0.2.1"], "/missing"),
    ],
)
def test_places_that_can_not_be_are_refused_before_anybody_is_asked(argv, reason, capsys, monkeypatch):
    for name in ("SOURCE_SSH_KEY", "SOURCE_KNOWN_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert reason in err


def test_an_interrupt_ends_quietly(monkeypatch, capsys):
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("pyrtr.cli.settings.run", interrupted)
    assert main(["settings"]) == 130
    assert capsys.readouterr() == ("", "")
