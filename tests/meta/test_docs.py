"""The documents name everything that an operator can set, ask, run or read, and what they point at is there."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pyrtr.cli import watch_metrics
from pyrtr.cli.arguments import COMMANDS, HELP
from pyrtr.settings import VARIABLES, Settings

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "pyrtr"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
README = DOCUMENTS["README.md"]
MAX_LINE = 120
CODE = re.compile(r"(`+) ?(.+?) ?\1(?!`)")  # with two backticks around it where there are backticks in it


def section(document: str, *headings: str) -> str:
    """What stands below these headings."""
    parts = re.split(r"^## (.*)$", DOCUMENTS[document], flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return "".join(found[heading] for heading in headings)


def table_rows(document: str, heading: str) -> dict[str, list[str]]:
    """Rows of the tables below a heading, by the code that their first cell begins with."""
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", DOCUMENTS[document], re.MULTILINE | re.DOTALL)
    assert section is not None, f"{document} has no {heading!r}"
    rows = {}
    for line in section[1].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and (match := CODE.match(cells[0])):
            rows[match[2]] = cells
    return rows


SETTINGS = table_rows("README.md", "Settings")


def endpoints() -> Iterator[str]:
    """The paths of `@router.api_route("/…")`."""
    for path in (SOURCE / "web").rglob("*.py"):
        for call in calls(path):
            match call:
                case ast.Call(ast.Attribute(attr="api_route"), [ast.Constant(str(route)), *_]):
                    yield route
                case _:
                    pass


@cache
def log_events() -> dict[str, set[str]]:
    """Every event that is logged anywhere, with the fields that are named where that is."""
    events: dict[str, set[str]] = {}
    levels = ("debug", "info", "warning", "error", "critical", "exception")
    for path in SOURCE.rglob("*.py"):
        for call in calls(path):
            if not call.args or not isinstance(call.args[0], ast.Constant) or not isinstance(call.args[0].value, str):
                continue
            fields = events.setdefault(call.args[0].value, set()) if is_event(call, levels) else set()
            fields |= {keyword.arg for keyword in call.keywords if keyword.arg and keyword.arg != "is_warning"}
            for argument in call.args[1:]:  # Note(event, {field: …})
                if isinstance(argument, ast.Dict):
                    fields |= {str(key.value) for key in argument.keys if isinstance(key, ast.Constant)}
    return events


def is_event(call: ast.Call, levels: tuple[str, ...]) -> bool:
    """`log.info(…)`, `self._log.error(…)`, `get_logger().warning(…)`, `Note(…)`."""
    match call.func:
        case ast.Name(id="Note"):
            return True
        case ast.Attribute(value=value, attr=attr) if attr in levels:
            return re.search(r"log(ger\(\))?$", ast.unparse(value)) is not None
        case _:
            return False


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))


def anchors(text: str) -> set[str]:
    """The anchors that headings get."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def prose(text: str) -> str:
    """Without blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def test_the_source_is_read():
    """Else everything below would hold of nothing."""
    assert {"/healthz", "/copies/{version}"} <= set(endpoints())
    events = log_events()
    assert {"started", "source refused", "router connected", "protocol error"} <= events.keys()
    assert {"requested", "offered"} <= events["version refused"]


@pytest.mark.parametrize("name", VARIABLES)
def test_every_setting_is_in_the_table_with_its_default(name):
    variable = VARIABLES[name]
    default = variable.syntax.write(getattr(Settings(), variable.attribute))
    row = SETTINGS.get(name)
    assert row is not None, f"{name} is missing from the table of settings in README.md"
    assert row[1].strip("`") == default.removeprefix("-")


def test_no_setting_is_made_up():
    assert set(SETTINGS) == set(VARIABLES)


@pytest.mark.parametrize("path", sorted(set(endpoints())))
def test_every_endpoint_is_described(path):
    assert path in table_rows("docs/operating.md", "HTTP endpoints")


@pytest.mark.parametrize("event", sorted(log_events()))
def test_every_log_event_is_described_with_its_fields(event):
    row = table_rows("docs/operating.md", "Log events").get(event)
    assert row is not None, f"{event!r} is missing from the table of log events in docs/operating.md"
    missing = {field for field in log_events()[event] if f"`{field}`" not in row[2]}
    assert not missing


@pytest.mark.parametrize("command", re.findall(r"^  (pyrtr(?: [\w-]+)?)", HELP, re.MULTILINE))
def test_every_command_is_described(command):
    assert command in table_rows("README.md", "Commands")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_described(command):
    options = {
        option
        for action in COMMANDS[command].parser(command)._actions
        for option in action.option_strings
        if option not in ("-h", "--help")
    }
    described = set(re.findall(r"`(--[a-z-]+)", section("docs/tools.md", f"pyrtr {command}", "Common options")))
    assert options <= described


def test_every_metric_of_watch_is_described():
    names = {*watch_metrics.GAUGES, watch_metrics.PAYLOAD, watch_metrics.DIFFERENCES, f"{watch_metrics.LOSSES}_total"}
    assert names == {name for name in table_rows("docs/tools.md", "pyrtr watch") if name.startswith("pyrtr_")}


def test_every_target_of_make_is_described():
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets is not None
    assert [target for target in targets[1].split() if f"make {target}" not in README] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(DOCUMENTS[name])):
        if target.startswith(("http://", "https://")):
            continue
        place, _, anchor = target.partition("#")
        path = (ROOT / name).parent / place if place else ROOT / name
        assert path.exists(), f"{name} points at {target}"
        assert not anchor or anchor in anchors(path.read_text()), f"{name} points at {target}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_source_file_that_is_named_is_there(name):
    named = set(re.findall(r"`([\w./-]+\.(?:py|json|lock|toml))`", DOCUMENTS[name])) - set(endpoints())
    for place in named:
        assert any((folder / place).exists() for folder in (ROOT, SOURCE)), f"{name} names {place}"


def test_every_document_is_linked_from_another():
    linked = {
        ((ROOT / name).parent / target.partition("#")[0]).resolve()
        for name, text in DOCUMENTS.items()
        for target in re.findall(r"\]\(([^)\s]+)\)", text)
    }
    assert [name for name in DOCUMENTS if name != "README.md" and (ROOT / name).resolve() not in linked] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_lines_are_not_too_long(name):
    """Rows of a table can't be broken."""
    lines = [line for line in DOCUMENTS[name].splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > MAX_LINE] == []


@pytest.mark.parametrize("name", [PROJECT["readme"], *PROJECT["license-files"], "CHANGELOG.md"])
def test_what_a_release_carries_is_there(name):
    assert (ROOT / name).read_text().strip()


def test_the_changelog_tells_of_this_release():
    headings = re.findall(r"^## (.*)$", DOCUMENTS["CHANGELOG.md"], re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0].startswith(PROJECT["version"])
    entries = [line for line in DOCUMENTS["CHANGELOG.md"].splitlines() if line.startswith("- ")]
    assert [entry for entry in entries if not re.match(r"- (Breaking|New|Fixed|Other): ", entry)] == []
