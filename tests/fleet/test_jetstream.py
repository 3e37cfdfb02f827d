"""The stream in a real NATS server."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import RawStreamMsg
from tests.fleet.servers import Nats
from tests.program import Program

from pyrtr.errors import FleetError, SupersededError
from pyrtr.fleet import jetstream
from pyrtr.fleet.jetstream import NatsStream
from pyrtr.fleet.record import Duty, Record
from pyrtr.sources.follow.messages import Sessions

RECORD = Record(
    member="one", sessions=Sessions((1,), (2,), (3,)), serial=7, content=bytes(32), before=None, step=None,
    cause="load", published_at=1.0, built_at=1.0, max_age_s=None, is_withdrawn=False, metadata=b"{}", is_filtered=False,
)  # fmt: skip
DUTY = Duty(member="one", content=b"", table="", built_at=1.0, max_age_s=None, held=None)


@pytest.fixture(scope="module")
def urls(tmp_path_factory) -> Iterator[list[str]]:
    with Nats(tmp_path_factory.mktemp("nats"), count=1) as nats:
        yield nats.urls


@pytest.fixture
def table(tmp_path) -> Path:
    """A file of several pieces."""
    path: Path = tmp_path / "table"
    path.write_bytes(b"?" * 300_000)
    return path


def run(urls: list[str], name: str, act: Callable[[NatsStream, NatsStream], Awaitable[None]]) -> None:
    """Two members of a fleet of that name do something."""

    async def both() -> None:
        one, other = (NatsStream(urls, name, member, max_records=3, tls=None) for member in ("one", "other"))
        for stream in (one, other):
            await stream.open(lambda _: None)
        try:
            await act(one, other)
        finally:
            await one.close()
            await other.close()

    asyncio.run(both())


def test_one_place_is_given_once(urls):
    async def act(one: NatsStream, other: NatsStream) -> None:
        assert await one.append(RECORD, 0) == 1
        with pytest.raises(SupersededError):
            await other.append(RECORD, 0)
        assert await other.record(1) == RECORD
        assert await other.record(2) is None

    run(urls, "place", act)


def test_an_error_that_a_server_sends_is_no_farewell(urls):
    async def act(one: NatsStream, _: NatsStream) -> None:
        client = one._client
        assert client is not None
        await client._process_err("'maximum connections exceeded'")
        async with asyncio.timeout(5):
            while not client.is_closed:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.001)
        await one.open(lambda _: None)
        assert (await one.end())[1] == 0

    run(urls, "error", act)


def test_what_another_release_has_written_is_an_error_of_the_fleet(urls):
    async def act(one: NatsStream, other: NatsStream) -> None:
        await one._entries.put("duty", b"?")
        with pytest.raises(FleetError, match="can't be used"):
            await other.on_duty()

    run(urls, "release", act)


def test_who_leaves_is_not_on_duty_and_not_there(urls):
    async def act(one: NatsStream, other: NatsStream) -> None:
        assert await one.take_duty(DUTY)
        assert not await other.take_duty(DUTY)
        assert [*await one.attend({})] == ["one"]
        await one.leave()
        assert await other.on_duty() is None
        assert await other.take_duty(DUTY)
        assert [*await other.attend({})] == ["other"]

    run(urls, "leave", act)


def test_the_newest_table_is_kept(urls, table, tmp_path):
    async def act(one: NatsStream, other: NatsStream) -> None:
        await one.put_table("a", table)
        assert await other.has_table("a")
        await one.put_table("b", table)
        assert not await other.has_table("a")
        assert await other.tables() == ["b"]
        assert len(await one._subjects("OBJ_pyrtr-table-tables", "$O.>")) == 2  # nothing of the other is left
        assert await other.get_table("b", tmp_path / "taken")
        assert (tmp_path / "taken").read_bytes() == table.read_bytes()
        assert not await other.get_table("a", tmp_path / "taken")

    run(urls, "table", act)


def test_another_history_is_kept_from_the_next_start_on(urls):
    async def act(one: NatsStream, _: NatsStream) -> None:
        for place in range(3):
            assert await one.append(RECORD, place) == place + 1
        later = NatsStream(urls, "history", "later", max_records=2, tls=None)
        await later.open(lambda _: None)
        try:
            assert await later.record(1) is None
            assert await later.append(RECORD, 3) == 4
            assert [await later.record(place) for place in (2, 3, 4)] == [None, RECORD, RECORD]
        finally:
            await later.close()

    run(urls, "history", act)


def test_a_table_that_lacks_a_piece_is_none(urls, table, tmp_path):
    async def act(one: NatsStream, other: NatsStream) -> None:
        await one.put_table("a", table)
        (*_, last) = range((await one._jetstream.stream_info("OBJ_pyrtr-piece-tables")).state.last_seq)
        await one._jetstream.delete_msg("OBJ_pyrtr-piece-tables", last)  # as one who gives another at the same time
        assert not await other.has_table("a")
        assert not await other.get_table("a", tmp_path / "taken")
        await other.put_table("a", table)
        assert await one.has_table("a")

    run(urls, "piece", act)


def test_a_transfer_is_given_up_when_the_server_hangs(table, tmp_path, monkeypatch):
    monkeypatch.setattr(jetstream, "ANSWER_S", 0.5)
    with Nats(tmp_path, 1) as nats:

        async def act(one: NatsStream, _: NatsStream) -> None:
            await one.put_table("a", table)
            get_msg = one._jetstream.get_msg

            async def last_word(*arguments: Any, **named: Any) -> RawStreamMsg:
                message = await get_msg(*arguments, **named)
                if (message.subject or "").startswith("$O.pyrtr-hang-tables.C."):  # the first of its pieces
                    nats.stop(0)
                return message

            monkeypatch.setattr(one._jetstream, "get_msg", last_word)
            async with asyncio.timeout(20):
                with pytest.raises(FleetError, match="do not answer in time"):
                    await one.get_table("a", tmp_path / "taken")
            nats.resume(0)

        run(nats.urls, "hang", act)


def test_a_program_that_stops_leaves_duty_at_once_and_waits_for_no_server(tmp_path):
    with Nats(tmp_path, 1) as nats, Program(tmp_path, FLEET=nats.urls[0], FLEET_NAME="stop") as program:

        async def act(one: NatsStream, _: NatsStream) -> None:
            assert await one.on_duty() is not None
            program.signal(signal.SIGTERM)
            async with asyncio.timeout(1):
                while await one.on_duty() is not None:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)

        run(nats.urls, "stop", act)
        assert program.wait_for_end() == 0
        program.start()
        nats.stop(0)
        asked = time.monotonic()
        assert program.stop() == 0
        assert time.monotonic() - asked < 5
        nats.resume(0)


def test_a_user_and_password_are_read_as_urls_write_them(tmp_path):
    with Nats(tmp_path, 1, ("--user", "a,b", "--pass", "p@ss/w")) as nats:
        urls = [url.replace("://", "://a%2Cb:p%40ss%2Fw@") for url in nats.urls]

        async def act(one: NatsStream, _: NatsStream) -> None:
            assert (await one.end())[1] == 0

        run(urls, "user", act)
