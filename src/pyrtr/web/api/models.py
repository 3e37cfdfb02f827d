"""What the answers look like: for the document that describes them, which tests hold the answers to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from pyrtr.payload.values import MAX_ASN, MAX_PROVIDERS

Time = Annotated[str, Meta(description="UTC in ISO 8601, with milliseconds", examples=["2026-09-01T12:00:00.000Z"])]
Seconds = Annotated[float, Meta(description="seconds")]
Count = Annotated[int, Meta(ge=0)]
Asn = Annotated[int, Meta(ge=0, le=MAX_ASN, examples=[64496])]
AsnText = Annotated[str, Meta(pattern="^AS[0-9]{1,10}$", examples=["AS64496"])]
Prefix = Annotated[str, Meta(description="a prefix", examples=["192.0.2.0/24", "2001:db8::/32"])]
Serial = Annotated[int, Meta(ge=0, lt=2**32, description="the serial that routers are told")]
Next = Annotated[str | None, Meta(description="where the next page is; null on the last one")]
Total = Annotated[int, Meta(ge=0, description="how many there are on all pages")]


class Problem(Struct, omit_defaults=True):
    """What is wrong with a request, or keeps it from being answered (RFC 9457)."""

    type: Literal["about:blank"]
    title: Annotated[str, Meta(description="the status in words")]
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(description="the thing, its value, the limit, and what to do")]
    parameter: Annotated[str, Meta(description="the parameter at fault")] | msgspec.UnsetType = msgspec.UNSET


class Counts(Struct):
    """Unique payload by kind."""

    ipv4: Count
    ipv6: Count
    router_keys: Count
    aspas: Count


class RouterSums(Struct):
    """The routers that are connected."""

    connected: Count
    current: Annotated[int, Meta(ge=0, description="that hold all that is published")]
    behind: Annotated[int, Meta(ge=0, description="that lack some of it")]
    by_version: dict[str, Count]
    by_transport: dict[str, Count]


class HeldLoad(Struct):
    """A load that waits for an operator's word."""

    since: Time
    reasons: list[str]
    accepted_in_s: Seconds


class Attempts(Struct, omit_defaults=True):
    """Looks at a source, by what came of them."""

    success: Count
    failure: Count
    unchanged: Count | msgspec.UnsetType = msgspec.UNSET


class SourceSum(Struct, omit_defaults=True):
    """The source as a whole, as `/healthz` tells it."""

    location: str
    last_attempt: Time | None
    last_success: Time | None
    attempts: Attempts
    error: str | None
    age_s: Seconds | None
    build_time: Time | None
    counts: dict[str, Count] | msgspec.UnsetType = msgspec.UNSET
    records: dict[str, Count] | msgspec.UnsetType = msgspec.UNSET
    vrps_by_ta: dict[str, Count] | msgspec.UnsetType = msgspec.UNSET
    dropped: dict[str, Count] | msgspec.UnsetType = msgspec.UNSET
    durations_s: dict[str, float] | msgspec.UnsetType = msgspec.UNSET


class Status(Struct):
    """How the program does, at a glance."""

    status: Annotated[str, Meta(description="`ok`, or all reasons in one line")]
    healthy: bool
    reasons: Annotated[list[str], Meta(description="why what is served may not be trusted")]
    warnings: Annotated[list[str], Meta(description="what else to look at")]
    version: str
    uptime_s: Seconds
    serial: Serial | None
    sessions: Annotated[dict[str, int], Meta(description="the session id of each version")]
    published: Annotated[Time | None, Meta(description="when the serial came to be")]
    age_s: Annotated[float | None, Meta(description="how old the data is, in seconds")]
    stale_in_s: Annotated[float | None, Meta(description="seconds until it is stale; negative once it is")]
    counts: Counts | None
    vrps_by_ta: Annotated[dict[str, Count], Meta(description="VRPs by trust anchor, as the last good look found them")]
    routers: RouterSums
    held: HeldLoad | None
    source: SourceSum
    next_look_s: Annotated[float | None, Meta(description="seconds until the next look; null while one is under way")]


class LastError(Struct):
    """An Error Report of a router."""

    code: Count
    name: str
    text: str


class Router(Struct):
    """A router, as `/clients` tells it."""

    client: Annotated[str, Meta(description="address and port")]
    version: Literal["V0", "V1", "V2"] | None
    transport: str
    connected_since: Time
    session: int | None
    serial: Serial | None
    behind_s: Annotated[float | None, Meta(description="seconds; 0 if it holds all that is published")]
    queries: dict[str, Count]
    responses: dict[str, Count]
    bytes: dict[str, Count]
    last_sync_s: dict[str, float | None]
    last_error: LastError | None


class Routers(Struct):
    """The routers, who came first stands first."""

    routers: list[Router]
    total: Total
    next: Next


class LocationState(Struct):
    """A location of the source; what its kind of source tells besides stands there too."""

    location: str
    used: bool
    last_attempt: Time | None
    last_success: Time | None
    attempts: Attempts
    error: str | None
    age_s: Seconds | None
    records: dict[str, Count] | None
    dropped: dict[str, Count] | None


class SlurmFileState(Struct):
    """A SLURM file in force, with what it removed and added, by kind."""

    file: str
    filtered: dict[str, Count] | None
    added: dict[str, Count] | None


class SlurmState(Struct):
    """The SLURM files."""

    locations: list[str]
    error: str | None
    files: list[SlurmFileState]


class Sources(Struct):
    """Where the payload comes from."""

    source: SourceSum
    locations: list[LocationState]
    slurm: SlurmState


class Vrp(Struct):
    """A VRP."""

    prefix: Prefix
    max_length: Annotated[int, Meta(ge=0, le=128)]
    asn: Asn
    ta: Annotated[str, Meta(description="its trust anchor")]
    expires: Time | None


class Vrps(Struct):
    """VRPs, ascending: IPv4 before IPv6, then by address."""

    serial: Serial
    published: Time
    total: Total
    items: list[Vrp]
    next: Next


class CacheVrp(Struct, omit_defaults=True):
    """A VRP as rpki-client writes it."""

    asn: Asn
    prefix: Prefix
    maxLength: int  # noqa: N815 - the member's own spelling
    ta: str
    expires: int | msgspec.UnsetType = msgspec.UNSET


class CacheKey(Struct, omit_defaults=True):
    """A router key as rpki-client writes it."""

    asn: Asn
    ski: str
    pubkey: str
    expires: int | msgspec.UnsetType = msgspec.UNSET


class CacheAspa(Struct, omit_defaults=True):
    """An ASPA as rpki-client writes it."""

    customer_asid: Asn
    providers: list[Asn]
    expires: int | msgspec.UnsetType = msgspec.UNSET


class CacheDocument(Struct):
    """All payload in rpki-client's own JSON, with what the source says of itself."""

    metadata: dict[str, Any]
    roas: list[CacheVrp]
    bgpsec_keys: list[CacheKey]
    aspas: list[CacheAspa]


class Aspa(Struct):
    """An ASPA."""

    customer_asn: Asn
    provider_asns: Annotated[list[Asn], Meta(min_length=1, max_length=MAX_PROVIDERS)]
    expires: Time | None


class Aspas(Struct):
    """ASPAs, ascending by customer."""

    serial: Serial
    published: Time
    total: Total
    items: list[Aspa]
    next: Next


class RouterKey(Struct):
    """A BGPsec router key."""

    asn: Asn
    ski: Annotated[str, Meta(pattern="^[0-9A-F]{40}$")]
    spki: Annotated[str, Meta(description="SubjectPublicKeyInfo, DER in base64")]
    expires: Time | None


class RouterKeys(Struct):
    """Router keys, ascending by SKI."""

    serial: Serial
    published: Time
    total: Total
    items: list[RouterKey]
    next: Next


class Route(Struct):
    """A route."""

    origin_asn: AsnText
    prefix: Prefix


class RouteVrp(Struct):
    """A VRP, all text."""

    asn: AsnText
    prefix: Prefix
    max_length: Annotated[str, Meta(pattern="^[0-9]{1,3}$")]


class RouteVrps(Struct):
    """The VRPs that cover the prefix of a route, the most specific first, at most 1000 in a list."""

    matched: Annotated[list[RouteVrp], Meta(description="that make it valid")]
    unmatched_as: Annotated[list[RouteVrp], Meta(description="that allow the prefix with other origin ASNs")]
    unmatched_length: Annotated[list[RouteVrp], Meta(description="that allow no prefix as long as that")]


class RouteValidity(Struct, omit_defaults=True):
    """The validity of a route (RFC 6811)."""

    state: Literal["valid", "invalid", "not-found"]
    description: str
    VRPs: RouteVrps
    reason: Literal["as", "length"] | msgspec.UnsetType = msgspec.UNSET


class ValidatedRoute(Struct):
    """A route and its validity."""

    route: Route
    validity: RouteValidity


class Validated(Struct):
    """The validity of one route."""

    validated_route: ValidatedRoute
    generatedTime: Time  # noqa: N815 - Routinator's spelling


class ValidatedRoutes(Struct):
    """The validity of several routes, in their order."""

    validated_routes: list[ValidatedRoute]
    generatedTime: Time  # noqa: N815


class AskedRoute(Struct, forbid_unknown_fields=True):
    """A route that is asked about."""

    asn: Asn | Annotated[str, Meta(extra_json_schema={"format": "asn"}, examples=["AS64496"])]
    prefix: Annotated[str, Meta(extra_json_schema={"format": "prefix"}, examples=["192.0.2.0/24"])]


class AskedRoutes(Struct, forbid_unknown_fields=True):
    """Routes that are asked about."""

    routes: Annotated[list[AskedRoute], Meta(min_length=1, max_length=10_000)]


class Accepted(Struct):
    """What became of a load that was held back."""

    accepted: bool
    result: str


class Refused(Struct):
    """Why nothing was changed."""

    error: str
