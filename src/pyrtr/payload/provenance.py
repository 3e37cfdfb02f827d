"""What brought or took each change of a delta: for people, never for routers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyrtr.payload.delta import Delta
from pyrtr.payload.table import Anchors

Codes = NDArray[np.uint16]


class OriginKind(StrEnum):
    """What may bring or take payload."""

    SOURCE = "source"
    FILTER = "slurm-filter"
    ASSERTION = "slurm-assertion"
    EXPIRY = "expiry"


class Origin(NamedTuple):
    """What brought or took payload.

    Attributes:
        kind: of it.
        name: of the location or SLURM file; of expiry, what has ended: the payload, or all of the data.
    """

    kind: OriginKind
    name: str


EXPIRED = Origin(OriginKind.EXPIRY, "expired")
STALE = Origin(OriginKind.EXPIRY, "stale")
UNKNOWN = 0xFFFF  # stands in the place of an index into the origins


@dataclass(frozen=True, slots=True, eq=False)
class Provenance:
    """What is known of the changes of a delta, by the names of its parts (`parts`), in the order of each.

    Attributes:
        by: for each change an index into `origins`, or `UNKNOWN`.
        origins: what brought or took any of them.
        anchors: for each change of a VRP an index into `anchor_names`; none where nothing is known of trust anchors.
        anchor_names: of trust anchors.
    """

    by: Mapping[str, Codes]
    origins: tuple[Origin, ...]
    anchors: Mapping[str, Anchors] = field(default_factory=dict)
    anchor_names: tuple[str, ...] = ()


def parts(delta: Delta) -> dict[str, int]:
    """The parts of a delta, and how many changes are in each."""
    return {
        "ipv4_announce": len(delta.ipv4.announce),
        "ipv4_withdraw": len(delta.ipv4.withdraw),
        "ipv6_announce": len(delta.ipv6.announce),
        "ipv6_withdraw": len(delta.ipv6.withdraw),
        "router_keys_announce": len(delta.router_keys.announce),
        "router_keys_withdraw": len(delta.router_keys.withdraw),
        "aspas": len(delta.aspas),
    }


def all_by(delta: Delta, origin: Origin) -> Provenance:
    """Of a delta that one thing has brought about, as far as we know."""
    return Provenance({name: np.zeros(count, np.uint16) for name, count in parts(delta).items()}, (origin,))
