"""What becomes of the current table: the new one, the delta between them, and the proof of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyrtr.compiler.guard import Loss, Losses
from pyrtr.errors import DeltaError
from pyrtr.payload.delta import Delta, apply, contains, difference
from pyrtr.payload.order import Rows
from pyrtr.payload.table import Anchors, Facts, PayloadTable, count_by_anchor, unexpired


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a new table means for the current one.

    Attributes:
        delta: from the current to the new table, None if it failed the proof.
        change_count: entries in it.
        losses: what it takes away.
    """

    delta: Delta | None
    change_count: int
    losses: Losses


def compare(current: PayloadTable, facts: Facts, new: PayloadTable, now: float) -> Outcome:
    """Work out the delta from the current table to the new one, and prove it: current + delta == new.

    A delta that is wrong would leave routers with false data behind a clean End of Data, so one that does not hold is
    not used; routers then get Cache Reset and the whole table. What has expired by `now` is no loss.
    """
    delta = difference(current, new)
    live, live_facts, live_delta = current, facts, delta
    if facts.next_expiry <= now:
        live, live_facts = unexpired(current, facts, now)
        live_delta = difference(live, new)
    return Outcome(
        delta=delta if is_proved(current, delta, new) else None,
        change_count=len(delta),
        losses=_losses(live, live_facts, live_delta),
    )


def is_proved(current: PayloadTable, delta: Delta, new: PayloadTable) -> bool:
    """Whether the delta, applied strictly to the current table, gives exactly the new one."""
    try:
        return apply(current, delta) == new
    except DeltaError:
        return False


def _losses(current: PayloadTable, facts: Facts, delta: Delta) -> Losses:
    held = count_by_anchor(facts)
    lost = np.bincount(
        np.concatenate(
            (
                _anchors_of(current.ipv4, facts.ipv4_anchors, delta.ipv4.withdraw),
                _anchors_of(current.ipv6, facts.ipv6_anchors, delta.ipv6.withdraw),
            )
        ),
        minlength=len(facts.anchors),
    )
    return Losses(
        vrps=Loss(current.vrp_count, int(lost.sum())),
        vrps_by_anchor={name: Loss(held[name], int(count)) for name, count in zip(facts.anchors, lost, strict=True)},
        aspas=Loss(len(current.aspas), sum(not change.new_provider_asns for change in delta.aspas)),
    )


def _anchors_of(rows: Rows, anchors: Anchors, wanted: Rows) -> Anchors:
    known = wanted[contains(rows, wanted)]
    return anchors[np.searchsorted(rows, known)]
