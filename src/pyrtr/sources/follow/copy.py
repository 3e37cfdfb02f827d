"""A copy of the other's tables, proved generation by generation. Pure, time passed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyrtr.errors import DeltaError
from pyrtr.payload.delta import apply, inverse
from pyrtr.payload.history import Step
from pyrtr.payload.serial import next_serial, previous_serial
from pyrtr.payload.table import PayloadTable
from pyrtr.store.table_file import content_digest


def forward(
    table: PayloadTable, start: tuple[int, bytes], steps: Sequence[Step], end: tuple[int, bytes]
) -> PayloadTable:
    """The table that steps lead to, each of which is proved.

    Args:
        table: where they begin.
        start: its serial and its digest.
        steps: each with the digest of the table that it leads from.
        end: the serial and the digest of the table that they are to lead to.

    Raises:
        DeltaError: a step does not fit, or leads to something else.
    """
    at = start
    for step in steps:
        _require_agreement((step.from_serial, step.content), at)
        table = apply(table, step.delta)
        at = next_serial(step.from_serial), content_digest(table)
    _require_agreement(end, at)
    return table


def proved(table: PayloadTable, serial: int, steps: Sequence[Step], is_time_over: Callable[[], bool]) -> Sequence[Step]:
    """The last of the steps that lead to a table, as many as can be proved in the time, by going back.

    Args:
        table: where they end.
        serial: of that.
        steps: all that there are.
        is_time_over: asked after each step. Those before it are left out.

    Raises:
        DeltaError: a step does not fit, or leads from something else than what it says.
    """
    for count, step in enumerate(reversed(steps)):
        if is_time_over():
            return steps[len(steps) - count :]
        table, serial = apply(table, inverse(step.delta)), previous_serial(serial)
        _require_agreement((step.from_serial, step.content), (serial, content_digest(table)))
    return steps


def _require_agreement(said: tuple[int, bytes], found: tuple[int, bytes]) -> None:
    if said[0] != found[0]:
        raise DeltaError(f"serial {said[0]} comes where {found[0]} would have to")
    if said[1] != found[1]:
        raise DeltaError(f"serial {said[0]} differs from what it says it is")
