"""What is shown of long work: on standard error, and only where that is a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Show = Callable[[int], None]
"""Is told how far the work is."""


@contextlib.contextmanager
def progress(what: str, unit: str, total: int | None = None) -> Iterator[Show]:
    """Show that something is under way while the context lasts.

    Args:
        what: is done, in words.
        unit: of the numbers that are told.
        total: where they end, if that is known.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _done: None
        return
    bar, task = _bar(what, unit, total)
    with bar:
        yield lambda done: bar.update(task, completed=done)


def counted(pieces: Iterable[tuple[int, str]], show: Show) -> Iterator[str]:
    """The pieces of a text, of which each says how far the work is with it."""
    for done, piece in pieces:
        show(done)
        yield piece


def _bar(what: str, unit: str, total: int | None) -> tuple[Progress, TaskID]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    count = "{task.completed:,.0f}" + ("" if total is None else "/{task.total:,.0f}")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn(f"{count} {unit}"))
    bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    return bar, bar.add_task(what, total=total)
