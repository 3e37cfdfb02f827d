"""Replicas on a disk of their own, without threads or processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.fleet.replica import Replica
from tests.fleet.sea import Sea
from tests.generations import memory_folder
from tests.quiet import quieten

Fleet = Callable[..., list[Replica]]


@pytest.fixture
def fleet(monkeypatch) -> Iterator[Fleet]:
    """Make replicas, which do not run yet."""
    quieten(monkeypatch)
    with memory_folder() as folder:
        (folder / "sea").mkdir()

        def make(count: int, **settings) -> list[Replica]:
            sea = Sea(folder / "sea")
            return [Replica(folder / str(number), sea, f"replica{number}", **settings) for number in range(count)]

        yield make
