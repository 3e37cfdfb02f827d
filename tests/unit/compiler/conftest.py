"""The loader on a disk of its own, and without threads or processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.generations import memory_folder
from tests.quiet import quieten
from tests.unit.compiler.program import Program, Start


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a program's files are."""
    with memory_folder() as folder:
        yield folder


@pytest.fixture
def start(monkeypatch, folder) -> Iterator[Start]:
    """Start a program; it is stopped at the end."""
    quieten(monkeypatch)
    started: list[Program] = []

    def start(**settings) -> Program:
        started.append(Program(folder, **settings))
        return started[-1].start()

    yield start
    for program in started:
        program.stop()
