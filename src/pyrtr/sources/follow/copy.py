"""A copy of the other's tables, proved generation by generation. Pure, time passed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyrtr.errors import DeltaError
from pyrtr.payload.delta import apply, inverse
from pyrtr.payload.history import Step
from pyrtr.payload.serial import next_serial
from pyrtr.payload.table import PayloadTable
from pyrtr.store.table_file import content_digest


def forward(table: PayloadTable, serial: int, steps: Sequence[Step], end: tuple[int, bytes]) -> PayloadTable:
    """The table that steps lead to, each of which is proved.

    Args:
        table: where they begin.
        serial: of that.
        steps: each with the digest of the table that it leads from.
        end: the serial and the digest of the table that they are to lead to.

    Raises:
        DeltaError: a step does not fit, or leads to something else.
    """
    for step in steps:
        _require(step, serial, table)
        table, serial = apply(table, step.delta), next_serial(serial)
    if (serial, content_digest(table)) != end:
        raise DeltaError(f"serial {end[0]} differs from what it says it is")
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
        if next_serial(step.from_serial) != serial:
            raise DeltaError(f"serial {step.from_serial} is not the one before {serial}")
        table, serial = apply(table, inverse(step.delta)), step.from_serial
        _require(step, serial, table)
    return steps


def _require(step: Step, serial: int, table: PayloadTable) -> None:
    if step.from_serial != serial:
        raise DeltaError(f"serial {step.from_serial} is not {serial}")
    if content_digest(table) != step.content:
        raise DeltaError(f"serial {serial} differs from what it says it is")
