"""The loader on a disk of its own, and without threads or processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.generations import memory_folder
from tests.quiet import Log, direct, one_by_one
from tests.unit.compiler.program import Program, Start

from pyrtr.compiler import process
from pyrtr.compiler.job import Job, Report
from pyrtr.compiler.worker import compile_table


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a program's files are."""
    with memory_folder() as folder:
        yield folder


@pytest.fixture
def start(monkeypatch, folder) -> Iterator[Start]:
    """Start a program; it is stopped at the end."""

    async def run(job: Job) -> Report:
        return compile_table(job)

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr("asyncio.to_thread", direct)
    monkeypatch.setattr("asyncio.gather", one_by_one)
    log = Log()
    for module in ("updater", "look", "ledger"):
        monkeypatch.setattr(f"pyrtr.compiler.{module}.get_logger", lambda: log)
    started: list[Program] = []

    def start(**settings) -> Program:
        started.append(Program(folder, **settings))
        return started[-1].start()

    yield start
    for program in started:
        program.stop()
