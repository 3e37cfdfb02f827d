"""`/`: the files of the page as they are sent. What they do in a browser is tested in `tests/page`."""

from __future__ import annotations

import re

import pytest
from tests.unit.web.world import published, world

from pyrtr.web.page import FOLDER, MEDIA_TYPES

FILES = sorted(path.name for path in FOLDER.iterdir())


async def test_the_page():
    async with world(published()) as running:
        reply = await running.client.get("/")
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert reply.content == (FOLDER / "index.html").read_bytes()


@pytest.mark.parametrize("name", FILES)
async def test_its_parts(name):
    async with world(published()) as running:
        reply = await running.client.get(f"/page/{name}")
        assert reply.status_code == 200
        assert reply.headers["content-type"] == MEDIA_TYPES[(FOLDER / name).suffix]
        assert reply.content == (FOLDER / name).read_bytes()
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in reply.headers["content-security-policy"]


async def test_what_a_browser_has_is_not_sent_again():
    async with world(published()) as running:
        tag = (await running.client.get("/page/main.js")).headers["etag"]
        reply = await running.client.get("/page/main.js", headers={"if-none-match": f'"other", W/{tag}'})
        assert (reply.status_code, reply.content, reply.headers["etag"]) == (304, b"", tag)
        assert (await running.client.get("/page/main.js", headers={"if-none-match": '"other"'})).status_code == 200


async def test_head():
    async with world(published()) as running:
        reply = await running.client.head("/")
        assert reply.status_code == 200
        assert reply.headers["content-length"] == str((FOLDER / "index.html").stat().st_size)


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fpage.py", "page.py", "%00", ""])
async def test_nothing_else_is_sent(name):
    async with world(published()) as running:
        assert (await running.client.get(f"/page/{name}")).status_code == 404


@pytest.mark.parametrize("name", FILES)
def test_nothing_comes_from_elsewhere(name):
    """The one URL of another host is the name of SVG, which nobody fetches."""
    urls = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"']*", (FOLDER / name).read_text()))
    assert urls <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_nothing_is_ever_read_as_html(name):
    text = (FOLDER / name).read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|Function\(", text)
