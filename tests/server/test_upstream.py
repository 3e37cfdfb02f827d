"""Following an upstream over real sockets, with the real follower process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import uvloop
from tests.conformance.harness import SAMPLE, seen_by, vrp
from tests.dead import spawn_the_dead
from tests.inputs import SMALL, visible
from tests.inputs import vrp as vrp_of_file
from tests.model_core import error_report
from tests.model_pdus import Payload, parse
from tests.program import Program
from tests.property.oracle import payload_of
from tests.upstream import LOOPBACK, Cache, Following, following, tcp

from pyrtr.errors import SourceError
from pyrtr.payload.table import NEVER
from pyrtr.settings import Settings
from pyrtr.sources import rtr
from pyrtr.sources.location import Location
from pyrtr.sources.rtr import RtrFeed
from pyrtr.store.table_file import StoredTable
from pyrtr.wire.codec import encode
from pyrtr.wire.enums import Version
from pyrtr.wire.pdu import CacheResponse, EndOfData, Prefix, Timing

TWO = vrp("198.51.100.0/24")
CHANGED = (*SMALL[1:], vrp_of_file("192.0.2.0/25"))


def held(stored: StoredTable) -> set[Payload]:
    """As plain tuples."""
    return set(seen_by(2, *payload_of(stored.table)))


async def test_it_has_what_another_pyrtr_serves(tmp_path: Path, version: int) -> None:
    """In each version: everything, nothing new, the changes."""
    with Program(tmp_path, MAX_VERSION=version) as program:
        async with following(f"rtr://{LOOPBACK}:{program.rtr[1]}", tmp_path) as follows:
            feed = follows.feed
            first = await follows.take()
            assert held(first) == visible(version, SMALL)
            assert first.facts.anchors == ("rtr",)
            assert first.facts.next_expiry == NEVER
            assert feed.confirmation is not None
            assert feed.confirmation.version == version
            assert feed.expires_at == pytest.approx(feed.confirmation.confirmed_at + 7200)
            assert abs(feed.confirmation.confirmed_at - time.time()) < 60
            assert await feed.look(follows.known) is None
            assert feed.confirmed_at == feed.confirmation.confirmed_at
            assert feed.details() == {
                "version": version,
                "session_id": feed.confirmation.session_id,
                "serial": feed.confirmation.serial,
                "confirmed_at": feed.confirmation.confirmed_at,
                "expires_at": feed.expires_at,
                "losses": 0,
            }
            serial, triggers = feed.confirmation.serial, follows.triggers
            program.load(CHANGED)
            assert held(await follows.take()) == visible(version, CHANGED)
            assert follows.triggers == triggers + 1
            assert feed.confirmation.serial == serial + 1

            confirmed_at = feed.confirmation.confirmed_at
            assert await follows.until(lambda: feed.confirmation and feed.confirmation.confirmed_at > confirmed_at)


async def test_a_restart_of_the_upstream_costs_nothing(tmp_path: Path) -> None:
    """Lost, with a reason; then back, and asked for the changes only, though version 0 has a new session by then."""
    with Program(tmp_path, MAX_VERSION=0) as program:
        async with following(f"rtr://{LOOPBACK}:{program.rtr[1]}", tmp_path) as follows:
            await follows.take()
            program.stop()
            reason = await follows.refusal()
            assert f"rtr://{LOOPBACK}:{program.rtr[1]}: " in reason
            assert "next attempt in " in reason
            assert follows.triggers == 2
            program.start()
            program.load(CHANGED)
            assert held(await follows.take()) == visible(0, CHANGED)
            assert follows.feed.loss is None
            assert follows.feed.loss_count == 1
            assert program.metrics()['pyrtr_responses_total{kind="full"}'] == 0


async def test_nobody_is_there(tmp_path: Path) -> None:
    async with tcp(Cache()) as port:
        pass
    async with following(f"rtr://{LOOPBACK}:{port}", tmp_path) as follows:
        assert f"rtr://{LOOPBACK}:{port}: connection refused, next attempt in " in await follows.refusal()
        assert follows.feed.expires_at is None


async def test_what_was_handed_out_can_be_had_again(tmp_path: Path) -> None:
    """A load may be refused, or held back; the next look is at the whole of it, under another name."""
    async with tcp(Cache.of(*SAMPLE)) as port, following(f"rtr://{LOOPBACK}:{port}", tmp_path) as follows:
        names = set()
        for _ in range(3):
            follows.known = None
            found = await follows.until(follows.look)
            names.add(found.path)  # type: ignore[attr-defined]
            assert held(await follows.take()) == seen_by(2, *SAMPLE)
        assert len(names) == 3


async def test_tables_that_nobody_takes_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be large: it is not the event loop that removes them."""
    unlink, loop_thread = Path.unlink, threading.get_ident()
    on_loop: list[Path] = []

    def noted(path: Path, missing_ok: bool = False) -> None:
        if threading.get_ident() == loop_thread:
            on_loop.append(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    cache = Cache.of(*SAMPLE)
    folder = tmp_path / "feed"
    async with tcp(cache) as port:
        url = f"rtr://{LOOPBACK}:{port}"
        async with following(url, tmp_path) as follows:
            for change in range(2):
                cache.source = cache.source.updated(vrp(f"192.0.2.{change}/32"))
                await follows.until(partial(serves, follows.feed, cache.source.serial))
            await follows.until(lambda: len(list(folder.iterdir())) == 1)
            assert on_loop == []


async def test_a_follower_that_dies_is_started_again(tmp_path: Path) -> None:
    async with tcp(Cache.of(*SAMPLE)) as port, following(f"rtr://{LOOPBACK}:{port}", tmp_path) as follows:
        await follows.take()
        os.kill(pid_of(follows), signal.SIGKILL)
        follows.known, known = None, follows.known
        assert "the follower process was killed by SIGKILL, next attempt in " in await follows.refusal()
        assert follows.feed.expires_at is not None
        assert await follows.until(lambda: follows.feed.loss is None)
        assert await follows.feed.look(known) is None  # the same set, though it was asked for whole


def test_a_follower_that_dies_before_it_is_told_whom_to_follow_is_a_loss(monkeypatch, tmp_path: Path) -> None:
    """With the event loop that the program has, which takes it for a bug if somebody writes to a closed pipe."""

    async def watch() -> None:
        feed = rtr.feed(Location("rtr", f"rtr://{LOOPBACK}:1"), tmp_path, Settings())
        watching = asyncio.create_task(feed.watch(lambda: None))
        with pytest.raises(SourceError, match="the follower process was killed by SIGKILL, next attempt in "):
            await feed.look(None)
        assert not watching.done()
        watching.cancel()

    spawn_the_dead(monkeypatch, rtr)
    uvloop.run(watch())


def test_a_follower_dies_with_its_parent(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from pathlib import Path
from tests.upstream import following
async def main():
    async with following(sys.argv[1], Path(sys.argv[2])) as follows:
        await follows.until(lambda: follows.feed._process)
        print(follows.feed._process.pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    arguments = [sys.executable, "-c", code, f"rtr://{LOOPBACK}:1", str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as parent:
        assert parent.stdout is not None
        follower = int(parent.stdout.readline())
        assert is_running(follower)
        parent.kill()
    deadline = time.monotonic() + 10
    while is_running(follower):
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_a_fault_is_reported_even_behind_what_nobody_reads(tmp_path: Path) -> None:
    """B83, for our side: the Error Report arrives, and what the cache had said before still counts."""
    cache = Cache.of(TWO)
    async with tcp(cache) as port, following(f"rtr://{LOOPBACK}:{port}", tmp_path) as follows:
        assert held(await follows.take()) == seen_by(2, TWO)
    twice = encode(Version.V2, Prefix(TWO, announce=True)) * 2
    end = encode(Version.V2, EndOfData(7, 1, Timing()))
    cache.script = encode(Version.V2, CacheResponse(7)) + twice + end + bytes(1 << 20)
    cache.heard = b""
    async with tcp(cache) as port, following(f"rtr://{LOOPBACK}:{port}", tmp_path) as follows:
        assert "broke the protocol: Duplicate announcement received: 198.51.100.0/24" in await follows.refusal()
        assert await follows.until(lambda: len(cache.heard) > 8)
        report = parse(cache.heard[8:])
        assert (report.code, report.copy) == (7, twice[:20])
        assert list((tmp_path / "feed").iterdir()) == []


async def test_a_shutdown_ends_what_the_cache_had_said(tmp_path: Path) -> None:
    """8210bis §8.6."""
    with Program(tmp_path, FAREWELL="shutdown") as program:
        async with following(f"rtr://{LOOPBACK}:{program.rtr[1]}", tmp_path) as follows:
            await follows.take()
            program.stop()
            await follows.refusal()
            assert follows.feed.expires_at is not None
            assert follows.feed.expires_at <= time.time()
            follows.known = None
            assert "next attempt in" in await follows.refusal()


async def test_no_data_is_a_reason(tmp_path: Path) -> None:
    cache = Cache()
    cache.script = error_report(2, 2)
    async with tcp(cache) as port, following(f"rtr://{LOOPBACK}:{port}", tmp_path) as follows:
        assert "the cache has no data yet, next attempt in " in await follows.refusal()


def serves(feed: RtrFeed, serial: int) -> bool:
    return feed.confirmation is not None and feed.confirmation.serial == serial


def pid_of(follows: Following) -> int:
    process = follows.feed._process
    assert process is not None
    return process.pid


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
