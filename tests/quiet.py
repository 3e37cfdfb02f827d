"""To run the loader without an event loop, threads or log lines."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from pyrtr.compiler import process
from pyrtr.compiler.job import Job, Report
from pyrtr.compiler.worker import compile_table

Result = TypeVar("Result")


class Log:
    """Takes the place of a logger; remembers events with their fields."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def events(self, level: str) -> list[str]:
        return [event for line_level, event, _ in self.lines if line_level == level]

    def __getattr__(self, level: str) -> Callable[..., None]:
        def note(event: str, **fields: Any) -> None:
            self.lines.append((level, event, fields))

        return note


async def direct(function: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
    """In the place of `asyncio.to_thread`."""
    return function(*arguments, **named)


async def one_by_one(*coroutines: Coroutine[Any, Any, Result], return_exceptions: bool) -> list[Result | Exception]:
    """In the place of `asyncio.gather`."""
    assert return_exceptions
    results: list[Result | Exception] = []
    for coroutine in coroutines:
        try:
            results.append(await coroutine)
        except Exception as error:
            results.append(error)
    return results


def quieten(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Compile in this process, without threads; the log of all that loads."""

    async def run(job: Job) -> Report:
        return compile_table(job)

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr("asyncio.to_thread", direct)
    monkeypatch.setattr("asyncio.gather", one_by_one)
    log = Log()
    for module in ("updater", "look", "ledger"):
        monkeypatch.setattr(f"pyrtr.compiler.{module}.get_logger", lambda: log)
    return log


def drive(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that waits for nothing to its end."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    coroutine.close()
    raise AssertionError("it waits for something")
