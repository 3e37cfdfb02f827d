"""What the page shows by itself as things happen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.inputs import SMALL, many, vrp
from tests.page.browser import CUT_OFF, grave_faults, picture, visit
from tests.program import Program


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with Program(tmp_path) as program:
        yield program


def title(page: Page, text: str) -> None:
    expect(page.locator("#verdict-title")).to_have_text(text)


def sentence(page: Page, pattern: str) -> None:
    expect(page.locator("#verdict-sentence")).to_have_text(re.compile(pattern))


def figure(page: Page, name: str) -> str:
    return page.locator(".figure", has_text=name).locator(".figure-value").inner_text()


def test_another_serial(browser, program):
    with visit(browser, program) as page:
        title(page, "Fresh")
        expect(page.locator("#link")).to_have_text("Live")
        expect(page.locator(".log > li")).to_have_count(1)
        program.load([*SMALL, vrp("192.0.2.128/25"), vrp("192.0.2.0/25")])
        expect(page.locator(".figure", has_text="for IPv4").locator(".figure-value")).to_have_text("5")
        newest = page.locator(".log > li").first
        expect(newest).to_contain_text("The source changed+ 2 VRPs")
        newest.locator("summary").click()
        expect(newest.locator("tbody tr")).to_have_count(2)
        expect(newest).to_contain_text("192.0.2.128/25")
        # What is open stays so when there is more.
        program.load(SMALL)
        expect(page.locator(".log > li")).to_have_count(3)
        expect(page.locator(".log > li").nth(1).locator("details")).to_have_attribute("open", "")


def test_the_program_stops_and_comes_back(browser, program):
    with visit(browser, program, expected=CUT_OFF) as page:
        title(page, "Fresh")
        program.stop()
        title(page, "Out of reach")
        expect(page.locator("#link")).to_have_text("Not connected")
        sentence(page, "What you see is .* old")
        assert figure(page, "VRPs") == "4"
        program.start()
        title(page, "Fresh")
        expect(page.locator("#link")).to_have_text("Live")


def test_before_there_is_data(browser, tmp_path):
    with Program(tmp_path, None) as program, visit(browser, program) as page:
        title(page, "No data")
        expect(page.locator("#findings")).to_contain_text("No data to serve")
        expect(page.locator("#findings")).to_contain_text("pyrtr check FILE")
        for place in ("#charts", "#anchors", "#router-table", "#change-log"):
            expect(page.locator(f"{place} .empty")).to_be_visible()
        picture(page, "empty")
        assert grave_faults(page) == []
        program.load(SMALL)
        title(page, "Fresh")


def test_a_load_that_is_held_back(browser, tmp_path):
    with Program(tmp_path, many(100), MAX_SHRINK=20) as program, visit(browser, program) as page:
        title(page, "Fresh")
        program.load(many(50))
        title(page, "Held back")
        expect(page.locator("#held")).to_contain_text("pyrtr accept")
        expect(page.locator("#held")).to_contain_text("50")
        picture(page, "held")
        assert grave_faults(page) == []
        assert program.command("accept").returncode == 0
        title(page, "Fresh")
        expect(page.locator("#held")).to_be_hidden()
        assert figure(page, "VRPs") == "50"
