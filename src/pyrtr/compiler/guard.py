"""When new data is doubted: it takes too much away at once, or it is too old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pyrtr.payload import slurm

# A small trust anchor may well lose a fifth of its VRPs in one load.
MIN_ANCHOR_VRPS = 100
# A load that takes away at most so much more than another one counts as the same.
TOLERANCE = 1.1


class Loss(NamedTuple):
    """How many there were, and how many of them a load takes away."""

    held: int
    lost: int

    @property
    def percent(self) -> float:
        """The share that is taken away, 0..100."""
        return 100 * self.lost / self.held if self.held else 0.0


class Losses(NamedTuple):
    """What a load takes away from the table before it: VRPs in sum and by trust anchor, and ASPAs."""

    vrps: Loss
    vrps_by_anchor: Mapping[str, Loss]
    aspas: Loss


def objections(losses: Losses, max_shrink: float) -> dict[str, str]:
    """Why a load should wait for an operator's word, with the figures; empty if it need not.

    Args:
        losses: what it takes away.
        max_shrink: percent of the VRPs, in sum or of one trust anchor, that one load may take away.

    Returns:
        The reasons by what they are about. What an operator asserts by SLURM is no trust anchor's, and may go.
    """
    limit = f"at most {max_shrink:g} % are accepted"
    reasons = {}
    if losses.vrps.percent > max_shrink:
        reasons["VRPs"] = f"takes away {_figures(losses.vrps)} VRPs, {limit}"
    for anchor, loss in sorted(losses.vrps_by_anchor.items()):
        if anchor != slurm.ANCHOR and loss.held >= MIN_ANCHOR_VRPS and loss.percent > max_shrink:
            reasons[f"VRPs of {anchor}"] = f"takes away {_figures(loss)} VRPs of {anchor}, {limit}"
    if losses.aspas.held and losses.aspas.lost == losses.aspas.held:
        reasons["ASPAs"] = f"takes away all {losses.aspas.held} ASPAs"
    return reasons


def is_worse(losses: Losses, known: Losses, max_shrink: float) -> bool:
    """Whether a load gives another reason to doubt it than a known one, or takes clearly more away.

    A little more is what changes in the world anyway while the known one waits.
    """
    has_new_reason = not objections(losses, max_shrink).keys() <= objections(known, max_shrink).keys()
    return has_new_reason or losses.vrps.lost > known.vrps.lost * TOLERANCE


def _figures(loss: Loss) -> str:
    return f"{loss.lost} of {loss.held} ({loss.percent:.1f} %)"
