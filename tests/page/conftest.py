"""The browser. On a machine without Chromium these tests are left out, and that is said; in CI they fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.page.browser import launch
from tests.program import Program

CHROMIUM = shutil.which("chromium")
IS_LEFT_OUT = CHROMIUM is None and not os.environ.get("CI")
HOW_TO_INSTALL = "install it: `apt-get install chromium` as root"

collect_ignore_glob = ["test_*.py"] if IS_LEFT_OUT else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if IS_LEFT_OUT:
        terminalreporter.write_line(f"tests/page was left out, since there is no chromium here: {HOW_TO_INSTALL}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, f"there is no chromium: {HOW_TO_INSTALL}"
    with sync_playwright() as playwright:
        browser = launch(playwright, CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One with `inputs.SMALL` for all tests of a module that leave it as it was."""
    with Program(tmp_path_factory.mktemp("program")) as program:
        yield program
