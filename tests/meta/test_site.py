"""The documentation is a site without a broken link, and what it names is there: settings, metrics, paths, tests."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.interop.client import Client
from tests.interop.clients import Bird, BirdMd5, Frr, FrrSsh, GoBgp, OpenBgpd
from tests.meta.test_docs import DOCUMENTS, ROOT, endpoints

from pyrtr.cli.arguments import COMMANDS
from pyrtr.settings import VARIABLES

BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")

# Variables, options and words of others that look like settings of ours.
OTHERS = {
    "ALL_PROXY", "BGP_BAD_RPKI_MESSAGE", "CAP_NET_BIND_SERVICE", "CONFIG_TCP_AO", "CONFIG_TCP_MD5SIG", "HTTPS_PROXY",
    "HTTP_PROXY", "LD_PRELOAD", "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "NO_PROXY", "OPTIONS", "PREFIX",
    "STATE_DIRECTORY", "STAYRTR_CACHE", "STAYRTR_SSH_AUTHORIZEDKEYS", "STAYRTR_SSH_PASSWORD", "TCP_AO",
    "TCP_USER_TIMEOUT",
}  # fmt: skip
SETTING = re.compile(r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]+|[A-Z0-9]{3,}(?==))\b")


def code(text: str) -> str:
    """What stands in blocks and spans of code."""
    blocks = BLOCK.findall(text)
    return "\n".join([*blocks, *SPAN.findall(BLOCK.sub("", text))])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with every warning an error: broken links and anchors, and pages that no menu leads to."""
    folder = tmp_path_factory.mktemp("site")
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder))
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_there(site):
    assert {"index.html", "quickstart.html", "routers/index.html", "CHANGELOG.html"} <= {
        str(path.relative_to(site)) for path in site.rglob("*.html")
    }
    assert (site / "packaging/systemd/pyrtr.service").is_file()


def test_a_reader_asks_nothing_of_another_server(site):
    """No font, script, style or picture comes from elsewhere; links are followed only by who clicks."""
    for page in site.rglob("*.html"):
        tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page.read_text())
        assert [tag for tag in tags if re.search(r'(?:src|href)="?(?:https?:)?//', tag)] == [], page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()), style.name


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_list_stands_apart(name):
    """GitHub takes a list that follows a paragraph at once for a list, the site does not."""
    lines = BLOCK.sub("", DOCUMENTS[name]).splitlines()
    item, goes_on = re.compile(r"(?:[-*]|\d+\.) "), re.compile(r"(?:[-*]|\d+\.)? |$")
    assert [line for before, line in pairwise(lines) if item.match(line) and not goes_on.match(before)] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_setting_that_is_named_is_one(name):
    named = set(SETTING.findall(code(DOCUMENTS[name])))
    assert named - set(VARIABLES) - OTHERS == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_metric_that_is_named_is_one(name):
    """Others compare the tables in docs/metrics.md and, of `pyrtr watch`, docs/tools.md with what is exposed."""
    cells = re.findall(r"^\| .*? \|", DOCUMENTS["docs/metrics.md"] + DOCUMENTS["docs/tools.md"], re.MULTILINE)
    metrics = set(re.findall(r"\bpyrtr_\w+", "\n".join(cells)))
    assert set(re.findall(r"\bpyrtr_\w*[a-z]\b", code(DOCUMENTS[name]))) - metrics == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_of_http_that_is_named_is_served(name):
    served = "|".join(re.sub(r"\{\w+\}", "[^/]+", re.sub(r"\{\w+:path\}", ".+", path)) for path in endpoints())
    text = DOCUMENTS[name]
    named = re.findall(r"localhost:8080(/[^\s`'\"?]*)", code(text))
    named += re.findall(r"`(/(?:api/v1/|clients|copies|generation|healthz|metrics|readyz)[^\s`?]*)", text)
    assert [path for path in named if not re.fullmatch(served, path)] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_that_is_named_is_one(name):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    spans = SPAN.findall(BLOCK.sub("", DOCUMENTS[name]))
    ours = {match[1] for span in spans if (match := re.match(r"pyrtr ([a-z]+)\b(?!')", span))}
    made = {match[1] for span in spans if (match := re.match(r"make ([a-z-]+)$", span))}
    assert (ours - set(COMMANDS), made - targets) == (set(), set())


RULES = dict(re.findall(r"^\| (B\d+) \|.*\| (`.*`) \|$", DOCUMENTS["docs/conformance.md"], re.MULTILINE))


@pytest.mark.parametrize("rule", RULES)
def test_every_test_of_a_rule_is_there(rule):
    for place in SPAN.findall(RULES[rule]):
        file, _, test = place.partition("::")
        functions = {
            node.name: node
            for node in ast.walk(ast.parse((ROOT / "tests" / file).read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert test in functions, f"{rule}: there is no {place}"
        decorators = " ".join(map(ast.unparse, functions[test].decorator_list))
        assert not re.search("skip|xfail", decorators), f"{place} does not run"
        if file.startswith("conformance/"):
            assert re.search(rf"\b{rule}\b", ast.get_docstring(functions[test]) or ""), f"{place} does not name {rule}"


def test_no_rule_is_forgotten():
    """Those that tests of the conversation name, but for what is no MUST (see tests/conformance/test_rules.py)."""
    advice = {11, 12, 13, 16, 22, 25, 28, 33, 39, 41, 61, 66, 68, 76, 77, 87, 88, 89, 90, 92}
    assert {f"B{number}" for number in range(1, 96)} - {f"B{number}" for number in advice} <= RULES.keys()


def rendered(router: type[Client], release: str, *arguments: Any) -> list[str]:
    """The configuration that `make interop` gives a router, for a cache at 192.0.2.1 port 8323."""

    class Dry(router):  # type: ignore[misc, valid-type]
        text = ""

        async def release(self) -> str:
            return release

        def configure(self, text: str) -> str:
            Dry.text = text
            return ""

        async def spawn(self, *command: str) -> None:
            pass

        def login(self) -> str:
            return "router /etc/frr/ssh_key /etc/frr/known_hosts" if router is FrrSsh else ""

        def outside(self, _: str) -> Path:
            return ROOT

    dry = Dry(*arguments)
    dry.port, dry.folder = 22 if router is FrrSsh else 8323, ""
    asyncio.run(dry.run())
    return [" ".join(line.replace("127.0.0.1", "192.0.2.1").split()) for line in Dry.text.splitlines()]


@pytest.mark.parametrize(
    ("page", "tested"),
    [
        ("frr", [rendered(Frr, "10.3", 1), rendered(Frr, "8.4", 1), rendered(FrrSsh, "8.4", 1)]),
        ("bird", [rendered(Bird, "2.0", 1), rendered(Bird, "3.1", 2), rendered(BirdMd5, "3.1", 2)]),
        ("openbgpd", [rendered(OpenBgpd, "7.7", (), 1), rendered(OpenBgpd, "8.8", (), 2)]),
        ("gobgp", [rendered(GoBgp, "3.36", 0)]),
    ],
)
def test_the_lines_for_a_router_are_those_that_are_tested(page, tested):
    """Each line of a block is one that the router is given, or part of it."""
    blocks = BLOCK.findall(DOCUMENTS[f"docs/routers/{page}.md"])[: len(tested)]
    assert len(blocks) == len(tested)
    for block, lines in zip(blocks, tested, strict=True):
        for line in block.splitlines():
            assert any(" ".join(line.split()) in given for given in lines), line


def test_the_lines_in_the_readme_are_those_of_the_routers_pages():
    pages = {block for name, text in DOCUMENTS.items() if "/routers/" in name for block in BLOCK.findall(text)}
    section = DOCUMENTS["README.md"].split("## Point routers at it")[1].split("\n## ")[0]
    for block in BLOCK.findall(section):
        assert any(set(block.splitlines()) <= set(page.splitlines()) for page in pages), block
