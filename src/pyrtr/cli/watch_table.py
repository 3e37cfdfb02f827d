"""What `pyrtr watch` shows on a terminal: a table of the caches, drawn anew as things change."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from itertools import islice

from rich.box import SIMPLE
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from pyrtr.cli.followed import Fleet, Followed
from pyrtr.cli.sets import worded
from pyrtr.logs import printable

_COLUMNS = ("cache", "state", "version", "session", "serial", "VRPs", "keys", "ASPAs", "changed", "differs")
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"))
_A_SECOND = 2.0  # drawn so often


@contextlib.contextmanager
def shown(fleet: Fleet) -> Iterator[None]:
    """Draw the table while the context lasts."""
    with Live(get_renderable=lambda: table(fleet, time.time()), refresh_per_second=_A_SECOND):
        yield


def table(fleet: Fleet, now: float) -> Table:
    """The table at Unix time `now`; below it what differs first."""
    columns = (Column(name, overflow="fold") for name in _COLUMNS)  # the end of a name tells caches apart
    drawn = Table(*columns, box=SIMPLE, pad_edge=False, caption_justify="left")
    for member in fleet.members:
        style = "red" if member.trouble else "yellow" if member.difference else ""
        drawn.add_row(*(Text(printable(cell)) for cell in _row(member, now)), style=style)
    lines = []
    for member in fleet.members:
        if (difference := member.difference) is not None:
            lines += [f"{member.cache.name} {worded(change)}" for change in islice(difference.changes(), fleet.limit)]
    drawn.caption = Text("\n".join(map(printable, lines)))
    return drawn


def _row(member: Followed, now: float) -> tuple[str, ...]:
    side, difference = member.side, member.difference
    state = member.trouble or ("answers" if side is not None else "connecting")
    if side is None or side.held is None:
        return (member.cache.name, state, *[""] * (len(_COLUMNS) - 2))
    held = side.held
    changed = "" if member.changed_at is None else _age(now - member.changed_at)
    differs = ""
    if difference is not None and member.differs_since is not None:
        differs = f"{len(difference.delta)} for {_age(now - member.differs_since)}"
    return (
        *(member.cache.name, state, held.version.name, str(held.state.session_id), str(held.state.serial)),
        *(str(side.table.vrp_count), str(len(side.table.router_keys)), str(len(side.table.aspas)), changed, differs),
    )


def _age(seconds: float) -> str:
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= 2 * size), (1, "s"))
    return f"{seconds / size:.0f} {unit}"
