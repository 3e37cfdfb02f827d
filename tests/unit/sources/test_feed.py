"""A document that is followed: what each look brings, what it leaves behind, and what an operator is told."""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.http_server import Document, endless, response, silent
from tests.quiet import direct, drive

from pyrtr.errors import SourceError
from pyrtr.sources.fetch.feed import DocumentFeed, FetchStats
from pyrtr.sources.fetch.request import Limits, SourceTls
from pyrtr.sources.location import Location

BODY = b'{"roas": []}' + b" " * 1000


def follow(location: object, folder: Path, limits: Limits | None = None) -> DocumentFeed:
    return DocumentFeed(Location.parse(str(location)), folder, SourceTls(), limits)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "json"
    path.write_bytes(BODY)
    os.utime(path, ns=(0, 1_000_000_500_000_000))
    return path


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    folder = tmp_path / "bodies"
    folder.mkdir()
    return folder


async def test_a_file_is_found_where_it_is(source, bodies):
    for location in (source, f"file://{source}"):
        found = await follow(location, bodies).look(None)
        assert found is not None
        assert (found.path, found.modified, found.is_table, found.is_temporary) == (source, 1_000_000.5, False, False)
        status = source.stat()
        known = {"device": status.st_dev, "inode": status.st_ino, "size": 1012, "modified_ns": 1_000_000_500_000_000}
        assert found.validators == {name: str(value) for name, value in known.items()}


async def test_a_file_that_is_known_is_not_found_again_until_it_changes(source, bodies):
    feed = follow(source, bodies)
    found = await feed.look(None)
    assert found is not None
    assert await feed.look(found.validators) is None
    assert await feed.look(None) == found
    assert await feed.look({"ETag": '"1"'}) == found
    os.utime(source, ns=(0, 1_000_000_500_000_001))
    changed = await feed.look(found.validators)
    assert changed is not None
    assert changed.validators != found.validators
    source.unlink()
    with pytest.raises(SourceError, match="json: No such file or directory"):
        await feed.look(changed.validators)


async def test_a_url_is_fetched_and_known_then(server, bodies):
    server.answers["/json"] = Document(BODY)
    feed = follow(server.url("/json"), bodies)
    assert feed.stats == FetchStats()
    found = await feed.look(None)
    assert found is not None
    assert (found.path.parent, found.is_table, found.is_temporary) == (bodies, False, True)
    assert found.path.read_bytes() == BODY
    assert (feed.stats.http_status, feed.stats.not_modified, feed.stats.body_bytes) == (200, 0, len(BODY))
    assert await feed.look(found.validators) is None
    assert await feed.look(found.validators) is None
    assert (feed.stats.http_status, feed.stats.not_modified, feed.stats.body_bytes) == (304, 2, len(BODY))
    assert feed.stats.seconds is not None
    assert feed.stats.seconds > 0
    assert os.listdir(bodies) == [found.path.name]


async def test_what_was_not_accepted_is_fetched_again_in_full(server, bodies):
    """The feed remembers no validators: who asks says what is known."""
    server.answers["/json"] = Document(BODY)
    feed = follow(server.url("/json"), bodies)
    first, second = await feed.look(None), await feed.look(None)
    assert first is not None
    assert second is not None
    assert first.path != second.path
    assert first.path.read_bytes() == second.path.read_bytes() == BODY
    assert ["if-none-match" in asked.headers for asked in server.asked] == [False, False]


async def test_a_body_that_was_cut_is_fetched_whole_the_next_time(server, bodies):
    document = Document(BODY)
    server.answers["/json"] = document
    feed = follow(server.url("/json"), bodies)
    found = await feed.look(None)
    assert found is not None
    found.path.unlink()
    known = found.validators
    document.body = BODY + b"\n"
    for place in random.Random(0).sample(range(len(BODY)), 3):
        document.cut_at = place
        with pytest.raises(SourceError) as caught:
            await feed.look(known)
        assert str(caught.value) == f"{server.url('/json')}: it was cut short after {place} of {len(BODY) + 1} octets"
        assert (feed.stats.http_status, os.listdir(bodies)) == (None, [])
    document.cut_at = None
    found = await feed.look(known)
    assert found is not None
    assert found.path.read_bytes() == BODY + b"\n"


async def test_a_compressed_document_counts_as_it_came(server, bodies):
    packed = gzip.compress(BODY)
    server.answers["/json"] = response(packed, Content_Encoding="gzip")
    feed = follow(server.url("/json"), bodies)
    found = await feed.look(None)
    assert found is not None
    assert (found.path.read_bytes(), feed.stats.body_bytes) == (BODY, len(packed))


@pytest.mark.parametrize(
    ("status", "named"), [(500, "500 Internal Server Error"), (404, "404 Not Found"), (599, "599")]
)
async def test_any_other_status_is_a_reason(server, bodies, status, named):
    server.answers["/json?key=t0ken"] = response(BODY, status=status)
    feed = follow(server.url("/json?key=t0ken", user="us3r:p4ss"), bodies)
    with pytest.raises(SourceError) as caught:
        await feed.look(None)
    assert str(caught.value) == f"http://***@127.0.0.1:{server.port}/json?***: HTTP status {named}"
    assert (feed.stats.http_status, os.listdir(bodies)) == (status, [])


DRIPS = {
    "a body octet by octet": endless(response(Content_Length=10**6), b" ", 0.001),
    "a head octet by octet": endless(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.001),
    "nothing": silent(),
}


@pytest.mark.parametrize("case", DRIPS)
async def test_no_request_takes_longer_than_its_time(server, bodies, case):
    server.answers["/json"] = DRIPS[case]
    feed = follow(server.url("/json", user="us3r:p4ss"), bodies, Limits(whole_s=0.5))
    with pytest.raises(SourceError) as caught:
        await feed.look(None)
    reason = "the fetch process took longer than 0.5 s and was ended"
    assert str(caught.value) == f"http://***@127.0.0.1:{server.port}/json: {reason}"
    assert (feed.stats.http_status, os.listdir(bodies)) == (None, [])


async def test_a_request_that_nobody_waits_for_any_more_leaves_nothing(server, bodies):
    server.answers["/json"] = endless(response(Content_Length=10**12), bytes(10**5))
    look = asyncio.create_task(follow(server.url("/json"), bodies).look(None))
    async with asyncio.timeout(10):
        while not os.listdir(bodies):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.001)
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert os.listdir(bodies) == []


async def test_an_endless_body_is_refused(server, bodies):
    server.answers["/json"] = endless(b"HTTP/1.0 200 OK\r\n\r\n", bytes(10**5))
    with pytest.raises(SourceError, match="it has more than 3000000 octets, the most that is read"):
        await follow(server.url("/json"), bodies, Limits(octets=3_000_000)).look(None)
    assert os.listdir(bodies) == []


async def test_nothing_is_said_on_the_way(server, bodies, capfd):
    """Libraries log URLs as they are."""
    server.answers["/json"] = response(status=302, Location="/json?t0ken")
    with pytest.raises(SourceError):
        await follow(server.url("/json", user="us3r:p4ss"), bodies).look(None)
    assert capfd.readouterr() == ("", "")


@types.coroutine
def pause(_: float) -> Iterator[None]:
    yield


def test_a_file_that_is_new_and_done_triggers_a_look(source, bodies, monkeypatch):
    monkeypatch.setattr("asyncio.sleep", pause)
    monkeypatch.setattr("asyncio.to_thread", direct)
    feed = follow(source, bodies)
    triggered: list[bool] = []
    watch = feed.watch(lambda: triggered.append(True))
    watch.send(None)

    def triggers() -> int:
        triggered.clear()
        watch.send(None)
        return len(triggered)

    assert [triggers() for _ in range(3)] == [0, 1, 0], "once, whether it is looked at or not"
    drive(feed.look(None))
    assert [triggers() for _ in range(2)] == [0, 0]
    source.write_bytes(BODY * 2)
    assert triggers() == 0, "it may not be done yet"
    source.write_bytes(BODY * 3)
    assert [triggers() for _ in range(2)] == [0, 1]
    drive(feed.look(None))
    away = source.rename(source.with_name("away"))
    assert [triggers() for _ in range(2)] == [0, 0], "there is nothing to look at"
    with pytest.raises(SourceError):
        drive(feed.look(None))
    away.rename(source)
    assert [triggers() for _ in range(2)] == [0, 1], "the same file, but the last look did not find it"
    watch.close()


async def test_a_url_is_looked_at_on_schedule_only(bodies):
    feed = follow("http://127.0.0.1:1/", bodies)
    watch = asyncio.create_task(feed.watch(lambda: pytest.fail("there is nothing to watch")))
    await asyncio.sleep(0)
    assert not watch.done()
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
