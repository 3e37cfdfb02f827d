"""Replicas on a disk of their own, without threads or processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.fleet.replica import Replica
from tests.fleet.sea import Sea
from tests.generations import memory_folder
from tests.quiet import Log, direct, one_by_one

from pyrtr.compiler import process
from pyrtr.compiler.job import Job, Report
from pyrtr.compiler.worker import compile_table

Fleet = Callable[..., list[Replica]]


@pytest.fixture
def fleet(monkeypatch) -> Iterator[Fleet]:
    """Make replicas, which do not run yet."""

    async def run(job: Job) -> Report:
        return compile_table(job)

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr("asyncio.to_thread", direct)
    monkeypatch.setattr("asyncio.gather", one_by_one)
    log = Log()
    for module in ("updater", "look", "ledger"):
        monkeypatch.setattr(f"pyrtr.compiler.{module}.get_logger", lambda: log)
    with memory_folder() as folder:
        (folder / "sea").mkdir()

        def make(count: int, **settings) -> list[Replica]:
            sea = Sea(folder / "sea")
            return [Replica(folder / str(number), sea, f"replica{number}", **settings) for number in range(count)]

        yield make
