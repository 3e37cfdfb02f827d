"""What the answers about the history look like (see `models`)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pyrtr.payload.provenance import OriginKind
from pyrtr.web.api.models import Asn, Count, Counts, Next, Prefix, Serial, Time

Cause = Annotated[str, Meta(description="`load`, `expire` or `withdraw`", examples=["load"])]
Action = Literal["announce", "withdraw", "replace"]
Ski = Annotated[str, Meta(pattern="^[0-9a-f]{40}$")]
Providers = Annotated[list[Asn], Meta(description="empty where there is no ASPA")]


class Came(Struct, omit_defaults=True):
    """How many entries there are of each kind; none where that is not known."""

    vrps: Count | UnsetType = UNSET
    router_keys: Count | UnsetType = UNSET
    aspas: Count | UnsetType = UNSET


class Generation(Struct, omit_defaults=True):
    """What was published at a serial; with `fields`, some of its members."""

    id: Annotated[int, Meta(description="counts generations, over all sessions")] | UnsetType = UNSET
    serial: Serial | UnsetType = UNSET
    from_serial: Annotated[Serial | None, Meta(description="null where nothing leads to it")] | UnsetType = UNSET
    time: Annotated[Time | None, Meta(description="when it was published")] | UnsetType = UNSET
    cause: Cause | UnsetType = UNSET
    why: Annotated[str | None, Meta(description="in words; null where that is lost")] | UnsetType = UNSET
    sources: Annotated[list[str], Meta(description="locations that had something new")] | UnsetType = UNSET
    build_time: Annotated[Time | None, Meta(description="when its data was built")] | UnsetType = UNSET
    counts: Counts | UnsetType = UNSET
    vrps_by_ta: dict[str, Count] | UnsetType | None = UNSET
    announced: Came | UnsetType = UNSET
    withdrawn: Came | UnsetType = UNSET
    replaced: Came | UnsetType = UNSET
    has_changes: Annotated[bool, Meta(description="whether its changes can be told")] | UnsetType = UNSET


class Generations(Struct):
    """Generations, newest first."""

    items: list[Generation]
    next: Next


class Origin(Struct):
    """What brought or took payload."""

    kind: OriginKind
    name: Annotated[str, Meta(description="of the location or SLURM file; of expiry, `expired` or `stale`")]


class _Change(Struct):
    serial: Serial
    time: Time | None
    cause: Cause
    action: Action
    by: Annotated[Origin | None, Meta(description="null where that is lost")]


class VrpChange(_Change, tag_field="kind", tag="vrp"):
    """A VRP that came or went."""

    prefix: Prefix
    max_length: Count
    asn: Asn
    ta: Annotated[str | None, Meta(description="trust anchor, or `slurm`; null where that is lost")]


class RouterKeyChange(_Change, tag_field="kind", tag="router_key"):
    """A router key that came or went."""

    asn: Asn
    ski: Ski


class AspaChange(_Change, tag_field="kind", tag="aspa"):
    """An ASPA that came, went, or has other providers."""

    customer_asn: Asn
    old_provider_asns: Providers
    new_provider_asns: Providers


Change = VrpChange | RouterKeyChange | AspaChange


class GenerationChanges(Struct):
    """A generation and its changes."""

    generation: Generation
    changes: list[Change]
    next: Next


class Changes(Struct):
    """Changes, newest first."""

    items: list[Change]
    next: Next
    reaches_back_to: Annotated[Time | None, Meta(description="how far back the history reaches")]


class NetVrp(Struct, tag_field="kind", tag="vrp"):
    """A VRP that is new, or gone."""

    prefix: Prefix
    max_length: Count
    asn: Asn


class NetRouterKey(Struct, tag_field="kind", tag="router_key"):
    """A router key that is new, or gone."""

    asn: Asn
    ski: Ski


class NetAspa(Struct, tag_field="kind", tag="aspa"):
    """An ASPA that is new, gone, or another one."""

    customer_asn: Asn
    old_provider_asns: Providers
    new_provider_asns: Providers


class Diff(Struct, rename={"first": "from", "last": "to"}):
    """What leads from one serial to another, as a whole."""

    first: Serial
    last: Serial
    total: Count
    announced: list[NetVrp | NetRouterKey | NetAspa]
    withdrawn: list[NetVrp | NetRouterKey | NetAspa]
    replaced: list[NetAspa]
