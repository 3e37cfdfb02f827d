"""A visit to the page of the real program in headless Chromium, which has to go without any fault."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Playwright, Request, expect
from tests.program import Program

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
# What is looked at by people when a test has run.
ARTIFACTS = Path(__file__).parents[2] / ".artifacts" / "page"
DESKTOP, PHONE = (1280, 900), (390, 844)
WAIT_MS = 15_000
# The browser says so of every request that is under way when the program is stopped.
CUT_OFF = r"net::ERR_(CONNECTION_(REFUSED|RESET)|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE|ABORTED)"

# The page asks anew every 15 seconds, whatever it is told. Here it has to be told.
NO_POLLING = "{ const every = setInterval; window.setInterval = (work, ms) => (ms < 10_000 ? every(work, ms) : 0); }"

Scheme = Literal["light", "dark"]


def launch(playwright: Playwright, executable: str) -> Browser:
    """The browser."""
    expect.set_options(timeout=WAIT_MS)
    return playwright.chromium.launch(executable_path=executable, args=FLAGS)


@contextlib.contextmanager
def visit(
    browser: Browser,
    program: Program,
    place: str = "",
    *,
    size: tuple[int, int] = DESKTOP,
    scheme: Scheme = "light",
    expected: str = "nothing",
) -> Iterator[Page]:
    """Open the page; in the end nothing was said on the console, and nobody but the program was asked for anything.

    Args:
        browser: as `launch` has it.
        program: whose page.
        place: what stands behind the path.
        size: of the window.
        scheme: what the system prefers.
        expected: pattern of what the browser may say all the same.
    """
    faults: list[str] = []
    asked: list[Request] = []
    width, height = size
    with browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme) as context:
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(NO_POLLING)
        page.on("request", lambda request: asked.append(request))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("console", lambda message: faults.append(f"console {message.type}: {message.text}"))
        page.goto(address(program) + place)
        yield page
    host = "{}:{}".format(*program.web)
    assert {urlsplit(request.url).netloc for request in asked} == {host}
    assert [fault for fault in faults if not re.search(expected, fault)] == []


def address(program: Program) -> str:
    return "http://{}:{}/".format(*program.web)


def picture(page: Page, name: str, folder: Path = ARTIFACTS) -> None:
    """Keep what is seen: the whole page."""
    folder.mkdir(parents=True, exist_ok=True)
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")  # else what stays at the top is in the middle
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def grave_faults(page: Page) -> list[object]:
    """What axe finds that keeps people from using the page."""
    violations = Axe().run(page).response["violations"]
    return [violation for violation in violations if violation["impact"] in ("serious", "critical")]


def is_as_wide_as_the_window(page: Page) -> bool:
    """Whether nothing has to be scrolled to the side."""
    is_so: bool = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    return is_so
