"""What people do with the page: search, sort, filter, by mouse and by keyboard, at any size, in any light."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect
from tests.page.browser import DESKTOP, PHONE, grave_faults, is_as_wide_as_the_window, picture, visit

LOOKS = [(size, scheme) for size in ("desktop", "phone") for scheme in ("light", "dark")]
SIZES = {"desktop": DESKTOP, "phone": PHONE}


@pytest.fixture(scope="module")
def page(browser, program) -> Iterator[Page]:
    """One that was opened already, for tests that leave it as they please."""
    with visit(browser, program, expected="status of 400") as page:
        yield page


def search(page: Page, text: str) -> None:
    page.locator("#query").fill(text)
    page.locator("#query").press("Enter")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("AS64496 192.0.2.0/24", ["Valid", "allows it"]),
        ("192.0.2.0/24, 64499", ["Invalid", "not for this AS", "other AS"]),
        ("AS64496 192.0.2.0/25", ["Invalid", "longer than the VRP permits", "too long"]),
        ("AS64496 10.0.0.0/8", ["Not found", "no VRP"]),
        ("203.0.113.9", ["Who may announce it?", "nobody may", "AS0"]),
        ("2001:db8::/32", ["may announce", "AS64496", "/48"]),
        ("10.0.0.0/8", ["No VRP covers it"]),
        ("0.0.0.0/0", ["Within it", "198.51.100.0/24"]),
        ("as64496", ["What AS64496 may announce", "192.0.2.0/24", "Providers of AS64496", "AS64497", "AS64498"]),
        ("AS65551", ["No VRP", "No ASPA"]),
        ("192.0.2.1/24", ["no host bits: ask for 192.0.2.0/24"]),
        ("what is this", ["That is no prefix and no AS number"]),
        ("<b>AS64496</b>", ["That is no prefix and no AS number"]),
    ],
)
def test_search(page, query, told):
    search(page, query)
    for text in told:
        expect(page.locator("#search-result")).to_contain_text(text)


def test_a_search_can_be_sent_to_somebody(browser, program):
    with visit(browser, program, "#q=AS64496+192.0.2.0/24") as page:
        expect(page.locator("#search-result")).to_contain_text("Valid")
        page.locator("#search-result a", has_text="AS64496").first.click()
        expect(page.locator("#query")).to_have_value("AS64496")
        expect(page.locator("#search-result")).to_contain_text("Providers of AS64496")
        page.go_back()
        expect(page.locator("#search-result")).to_contain_text("Would a router accept it?")


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_everybody_can_use_it(browser, program, size, scheme):
    """Nothing that axe calls serious or critical, with as much as there can be on the page."""
    with (
        program.router(2) as router,
        visit(browser, program, "#q=AS64496+192.0.2.0/24", size=SIZES[size], scheme=scheme) as page,
    ):
        router.sync()
        expect(page.locator(".routers tbody tr")).to_have_count(1)
        expect(page.locator("#search-result")).to_contain_text("How it came to be")
        page.locator(".log summary").first.click()
        expect(page.locator(".log-body").first).not_to_be_empty()
        page.locator(".as-table summary").click()
        picture(page, f"{size}-{scheme}")
        assert grave_faults(page) == []
        assert is_as_wide_as_the_window(page)


def test_light_and_dark(browser, program):
    with visit(browser, program, scheme="dark") as page:
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Use light colours").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != back
        page.reload()
        expect(page.get_by_role("button", name="Use dark colours")).to_be_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != back


def test_by_keyboard(browser, program):
    with program.router(1) as router, visit(browser, program) as page:
        router.sync()
        expect(page.locator(".routers tbody tr")).to_have_count(1)
        page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the content")
        expect(skip).to_be_focused()
        expect(skip).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator("#query")).to_be_focused()
        page.keyboard.type("AS64496")
        page.keyboard.press("Enter")
        expect(page.locator("#search-result")).to_contain_text("192.0.2.0/24")
        head = page.locator("th", has_text="Version")
        head.get_by_role("button").focus()
        page.keyboard.press("Enter")
        expect(head).to_have_attribute("aria-sort", "ascending")
        page.keyboard.press("Space")
        expect(head).to_have_attribute("aria-sort", "descending")
        page.locator(".log summary").first.focus()
        page.keyboard.press("Enter")
        expect(page.locator(".log details").first).to_have_attribute("open", "")


def test_thousands_of_routers(browser, program):
    """They are told a page at a time, and found among all of them at once."""
    with program.router(1) as router:
        router.sync()
        (one,) = program.clients()
    routers = [one | {"client": f"10.0.{number // 256}.{number % 256}:179"} for number in range(10_000)]
    routers[9_000] |= {"behind_s": 61.5, "serial": 1}

    def answer(route: Route) -> None:
        route.fulfill(json={"routers": routers, "total": len(routers), "next": None})

    with visit(browser, program, "?") as page:
        page.route("**/api/v1/routers?*", answer)
        page.reload()
        rows = page.locator(".routers tbody tr")
        expect(page.locator(".pages")).to_contain_text("1 to 25 of 10,000 routers")
        expect(rows).to_have_count(25)
        expect(rows.first).to_contain_text("behind 1 min")  # who is behind stands first
        page.get_by_role("button", name="Next").click()
        expect(page.locator(".pages")).to_contain_text("26 to 50 of 10,000 routers")
        took_ms = page.evaluate(
            """() => {
                const start = performance.now();
                const filter = document.getElementById("router-filter");
                filter.value = "10.0.7.7:";
                filter.dispatchEvent(new Event("input"));
                return performance.now() - start;
            }"""
        )
        assert took_ms < 500
        expect(rows).to_have_count(1)
        page.locator("#router-filter").fill("")
        page.locator("#router-state").select_option("behind")
        expect(rows).to_have_count(1)
        page.locator("#router-state").select_option("error")
        expect(page.locator(".pages")).to_contain_text("No router fits the filter.")


def test_what_the_source_says_is_text(browser, program):
    """Names of trust anchors come from the file."""
    hostile = "<img src=x onerror=alert(1)>"
    answer = {"ipv4": 1, "ipv6": 0, "router_keys": 0, "aspas": 0}
    with visit(browser, program) as page:
        status = page.evaluate("fetch('api/v1/status').then((response) => response.json())")
        page.route(
            "**/api/v1/status",
            lambda route: route.fulfill(
                json=status | {"counts": answer, "vrps_by_ta": {hostile: 1}, "warnings": [hostile]}
            ),
        )
        page.reload()
        expect(page.locator("#anchors")).to_contain_text(hostile)
        expect(page.locator("#findings")).to_contain_text(hostile)
        assert page.locator("main img").count() == 0


def test_a_router_comes_and_goes(browser, program):
    with visit(browser, program) as page:
        expect(page.locator("#verdict-sentence")).to_contain_text("No router is connected")
        expect(page.locator("#router-table")).to_contain_text("No router is connected")
        with program.router(1) as router:
            router.sync()
            row = page.locator(".routers tbody tr")
            expect(row).to_have_count(1)
            expect(row).to_contain_text("{}:{}".format(*router.local_address))
            expect(row).to_contain_text("current")
            expect(row).to_contain_text(str(router.serial))
            expect(page.locator("#verdict-sentence")).to_contain_text("The one router has it")
        expect(row).to_have_count(0)
        expect(page.locator("#verdict-sentence")).to_contain_text("No router is connected")


def test_what_a_router_says_is_text(browser, program):
    hostile = '<img src="https://pyrtr.example/" onerror="alert(1)"> is "wrong"'
    with visit(browser, program) as page, program.router(1) as router:
        router.sync()
        text = hostile.encode()
        # Error Report 2 (RFC 8210 §5.10), without the PDU that it is about: the session goes on.
        router.send(struct.pack("!BBHIII", 1, 10, 2, 16 + len(text), 0, len(text)) + text)
        expect(page.locator(".routers tbody tr")).to_contain_text(f"2 no data available: {hostile}")
        assert page.locator("main img").count() == 0


def test_large_numbers_have_room_beside_the_charts_and_times_are_round(page):
    """Millions came within the hour."""
    found = page.evaluate("""async () => {
      const { Charts } = await import("/page/charts.js");
      const charts = new Charts();
      const counts = { ipv4: 5_000_000, ipv6: 0, router_keys: 0, aspas: 0 };
      const changes = { announced: { vrps: 5_000_000 }, withdrawn: { vrps: 4_000_000 }, replaced: {}, from_serial: 1 };
      charts.width = 640;
      charts.show([{ time: new Date().toISOString(), counts, ...changes }], 1);
      return [...document.querySelectorAll("#charts .tick")].map((tick) => [tick.textContent, tick.getBBox().x]);
    }""")
    assert {"4,000,000", "2,000,000"} & {text for text, _ in found}
    assert [text for text, x in found if x < 0] == []
    times = [text for text, _ in found if ":" in text]
    assert times
    assert {text[-1] for text in times} == {"0"}
