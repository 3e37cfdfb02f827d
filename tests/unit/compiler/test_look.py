"""Looks: what is fetched is removed, what was accepted is asked after, and each location knows how it has done."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.inputs import SMALL, vrp
from tests.unit.compiler.program import HALF, MANY, MORE, Program, Start, no_room

from pyrtr.compiler import process
from pyrtr.compiler.job import Job, Report
from pyrtr.compiler.worker import compile_table
from pyrtr.errors import SourceError, StoreError
from pyrtr.settings import Merge
from pyrtr.sources.base import Found, Validators
from pyrtr.store.database import Database

OTHER = (vrp("198.51.100.0/24"),)


class Fetching:
    """In the place of a local file's feed: one that fetches it, as from a URL."""

    confirmed_at = expires_at = None

    def __init__(self, program: Program, number: int) -> None:
        self.asked: list[Validators | None] = []
        self._feed = program.loader.places[number].feed
        self._body = program.store.path / f"body-{number}"
        self.watch, self.details = self._feed.watch, self._feed.details

    async def look(self, known: Validators | None) -> Found | None:
        self.asked.append(known)
        found = await self._feed.look(known)
        if found is None:
            return None
        shutil.copyfile(found.path, self._body)
        return dataclasses.replace(found, path=self._body, is_temporary=True)


def fetching(program: Program) -> list[Fetching]:
    """Let all locations be fetched."""
    feeds = [Fetching(program, number) for number in range(len(program.loader.places))]
    for place, feed in zip(program.loader.places, feeds, strict=True):
        place.feed = feed
    return feeds


def bodies(program: Program) -> list[str]:
    return [path.name for path in program.store.path.glob("body-*")]


def look(program: Program) -> None:
    program.now += 1
    program.loader.trigger()
    program.step()


# What was fetched


@pytest.mark.parametrize("merge", Merge)
def test_no_file_is_removed_on_the_event_loop(merge: Merge, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of a million VRPs takes tens of milliseconds to remove."""
    where, removed = ["loop"], set()
    unlink = Path.unlink

    async def apart(function: Callable[..., object], *arguments: Any, **named: Any) -> object:
        where.append("thread")
        try:
            return function(*arguments, **named)
        finally:
            where.pop()

    async def run(job: Job) -> Report:
        report = await apart(compile_table, job)
        assert isinstance(report, Report)
        return report

    def noted(path: Path, missing_ok: bool = False) -> None:
        removed.add((where[-1], path.name.partition("-")[0]))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr("asyncio.to_thread", apart)
    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(Path, "unlink", noted)
    program = start(others=1, merge=merge)
    fetching(program)
    program.offer(OTHER, place=1)
    program.load(MANY, expires=int(program.now) + 20)
    program.load(HALF)  # is held back
    program.sources[0].write_text("{")
    look(program)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "commit", no_room)
        program.load(MANY)
        program.pass_time(20)
    for source in program.sources:
        source.rename(source.with_suffix(".aside"))
    look(program)
    assert removed == {("thread", name) for name in ("body", "table", "delta", "share")}
    assert bodies(program) == []


async def failing(_: object) -> Report:
    raise StoreError("table-2 can't be written: No space left on device")


async def broken(_: object) -> Found | None:
    raise RuntimeError("oh")


def test_what_one_location_gave_is_removed_when_another_has_a_bug(start: Start, monkeypatch) -> None:
    program = start(others=1, merge=Merge.UNION)
    feeds = fetching(program)
    monkeypatch.setattr(feeds[1], "look", broken)
    program.load(SMALL)
    assert program.log.events("exception") == ["task failed"]
    assert bodies(program) == []


# What was accepted


@pytest.mark.parametrize("merge", Merge)
def test_a_body_that_is_refused_is_no_reason_to_have_what_was_accepted_again(merge: Merge, start: Start) -> None:
    program = start(merge=merge)
    (feed,) = fetching(program)
    program.load(SMALL)
    aside = program.source.with_suffix(".aside")
    program.source.rename(aside)
    program.source.write_text("{")
    look(program)
    assert program.loader.places[0].status.error is not None
    aside.rename(program.source)
    look(program)
    assert program.loader.places[0].status.unchanged_count == 1
    assert (feed.asked[0], None in feed.asked[1:]) == (None, False)


def test_a_full_disk_is_no_reason_to_have_what_was_accepted_again(start: Start, monkeypatch) -> None:
    program = start()
    (feed,) = fetching(program)
    program.load(SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(process, "run", failing)
        program.load(MORE)
    look(program)
    assert program.payload == set(MORE)
    assert (feed.asked[0], None in feed.asked[1:]) == (None, False)


def test_a_location_that_is_not_meant_any_more_goes(start: Start) -> None:
    """Though all that are have nothing new."""
    program = start(others=1, merge=Merge.UNION, max_shrink=100.0)
    program.offer(OTHER, place=1)
    program.load(SMALL)
    assert program.payload == {*SMALL, *OTHER}
    program.sources.pop()
    program.restart()
    look(program)
    assert program.loader.places[0].status.unchanged_count == 1
    assert program.payload == set(SMALL)


# How each has done


def test_a_location_that_is_looked_at_twice_and_fails_then_knows_it(start: Start, monkeypatch) -> None:
    """It has yet to prove itself, and is gone when it turns out that there is no other."""
    program = start(others=1)
    program.offer(SMALL, place=1)
    program.load(SMALL)
    program.source.unlink()
    look(program)
    program.offer(MORE)
    program.sources[1].unlink()
    place = program.loader.places[0]
    at_first = place.feed.look

    async def once(known: Validators | None) -> Found | None:
        monkeypatch.setattr(place.feed, "look", gone)
        found: Found | None = await at_first(known)
        return found

    async def gone(_: object) -> Found | None:
        raise SourceError("it is gone")

    monkeypatch.setattr(place.feed, "look", once)
    look(program)
    assert (place.status.error, place.standing.good_looks) == ("it is gone", 0)
    assert f"{program.sources[1]}: No such file" in str(program.loader.status.error)
    assert f"{program.source}: it is gone" in str(program.loader.status.error)


def test_a_union_of_which_nothing_can_be_used(start: Start) -> None:
    program = start(others=1, merge=Merge.UNION)
    for source in program.sources:
        source.write_text("{")
    look(program)
    assert program.serial is None
    for place in program.loader.places:
        assert place.status.failure_count == 1
        assert f"{place.status.location}: not a whole JSON document" in str(place.status.error)
