"""A process that answers one request after another, and what becomes of one that does not."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvloop
from tests.dead import kill, spawn_the_dead
from tests.generations import SERIES
from tests.http_server import HttpServer
from tests.other import Other

from pyrtr import processes
from pyrtr.compiler.job import Job, Report, Task
from pyrtr.errors import SourceError, StoreError
from pyrtr.processes import Answer, Companion
from pyrtr.sources.fetch.request import Limits, SourceTls
from pyrtr.sources.follow.messages import Followed, Order

WORKER = "pyrtr.compiler.worker"


def follower() -> Companion[Followed]:
    return Companion("pyrtr.sources.follow.worker", "follow", Answer[Followed])


@pytest.fixture
async def companion() -> AsyncIterator[Companion[Followed]]:
    companion = follower()
    yield companion
    await companion.stop()


def order(folder: Path, url: str = "http://127.0.0.1:1") -> Order:
    return Order(url, SourceTls(), Limits(), None, 0.0, str(folder / "table"), str(folder / "steps"))


def pid(companion: Companion[Followed]) -> int:
    assert companion._process is not None
    return companion._process.pid


async def refused(companion: Companion[Followed], folder: Path, *, timeout_s: float = 20) -> str:
    with pytest.raises(SourceError) as refusal:
        await companion.ask(order(folder), timeout_s=timeout_s)
    return str(refusal.value)


async def test_one_process_answers_everything(companion, tmp_path):
    with HttpServer() as server:
        other = Other(server, SERIES[0])
        followed = await companion.ask(order(tmp_path, other.url), timeout_s=20)
        assert followed.is_whole
        first = pid(companion)
        assert first != os.getpid()
        with pytest.raises(StoreError, match="can't be written"):
            await companion.ask(order(tmp_path / "missing", other.url), timeout_s=20)
        assert pid(companion) == first
    await companion.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


async def test_one_that_dies_is_a_reason_and_another_takes_over(companion, tmp_path):
    assert await refused(companion, tmp_path) == "no connection: connection refused"
    first = pid(companion)
    os.kill(first, signal.SIGKILL)
    assert await refused(companion, tmp_path) == "the follow process was killed by SIGKILL"
    assert await refused(companion, tmp_path) == "no connection: connection refused"
    assert pid(companion) != first


def test_one_that_is_known_to_be_dead_is_the_same(tmp_path):
    async def ask() -> None:
        companion = follower()
        await refused(companion, tmp_path)
        assert companion._process is not None
        await kill(companion._process)
        assert await refused(companion, tmp_path) == "the follow process was killed by SIGKILL"

    uvloop.run(ask())


async def test_one_that_hangs_is_ended(companion, tmp_path):
    await refused(companion, tmp_path)
    first = pid(companion)
    os.kill(first, signal.SIGSTOP)
    assert await refused(companion, tmp_path, timeout_s=0.05) == (
        "the follow process took longer than 0.05 s and was ended"
    )
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


async def test_one_that_nobody_waits_for_is_ended(companion, tmp_path):
    await refused(companion, tmp_path)
    first = pid(companion)
    os.kill(first, signal.SIGSTOP)
    asking = asyncio.create_task(companion.ask(order(tmp_path), timeout_s=20))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


async def test_a_module_that_is_none_is_a_reason():
    companion = Companion("pyrtr.nothing", "follow", Answer[Followed])
    with pytest.raises(SourceError, match=r"the follow process ended with status 1: .*No module named pyrtr\.nothing"):
        await companion.ask(order(Path()), timeout_s=20)


def job(folder: Path) -> Job:
    """Nothing is to be served: it needs no input."""
    table, delta, slurm = (str(folder / name) for name in ("table", "delta", "slurm"))
    return Job(Task.WITHDRAW, 0.0, (), 60.0, None, None, None, None, table, delta, slurm)


@pytest.fixture
def waiting() -> Iterator[processes._Prepared]:
    """A compile process that was started for the first request."""
    processes.prepare(WORKER)
    prepared = processes._prepared[WORKER]
    yield prepared
    processes._prepared.pop(WORKER, None)
    prepared.kill()
    prepared._process.communicate()


async def test_one_that_was_prepared_takes_the_first_request(waiting, tmp_path):
    report = await processes.run(WORKER, "compile", job(tmp_path), Answer[Report], timeout_s=20)
    assert report.change_count == 0
    assert (waiting.returncode, WORKER in processes._prepared) == (0, False)


async def test_one_that_has_ended_meanwhile_takes_none(waiting, tmp_path):
    waiting.kill()
    await waiting.wait()
    await processes.run(WORKER, "compile", job(tmp_path), Answer[Report], timeout_s=20)


async def test_one_that_waits_for_too_long_takes_none(waiting, tmp_path):
    waiting._asked_until = 0.0
    await processes.run(WORKER, "compile", job(tmp_path), Answer[Report], timeout_s=20)
    assert waiting.returncode is None


def test_one_that_has_ended_before_it_is_asked_is_a_reason(monkeypatch, tmp_path):
    async def run() -> None:
        with pytest.raises(SourceError, match="the compile process was killed by SIGKILL"):
            await processes.run(WORKER, "compile", job(tmp_path), Answer[Report], timeout_s=20)

    spawn_the_dead(monkeypatch, processes)
    uvloop.run(run())


async def test_one_that_takes_too_long_is_ended(waiting, tmp_path):
    waiting._process.send_signal(signal.SIGSTOP)
    with pytest.raises(SourceError, match=r"took longer than 0\.1 s"):
        await processes.run(WORKER, "compile", job(tmp_path), Answer[Report], timeout_s=0.1)
    assert waiting.returncode == -signal.SIGKILL
