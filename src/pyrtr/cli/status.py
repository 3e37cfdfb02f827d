"""`pyrtr status`: whether the running program can be trusted, and what it serves."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping

import msgspec

from pyrtr.cli.api import ask
from pyrtr.cli.arguments import BAD, GOOD
from pyrtr.cli.output import print_json, print_result
from pyrtr.logs import printable

_KINDS = {"ipv4": "IPv4 VRPs", "ipv6": "IPv6 VRPs", "router_keys": "router keys", "aspas": "ASPAs"}


class Routers(msgspec.Struct):
    """Who is connected."""

    connected: int
    current: int
    behind: int
    by_version: dict[str, int]


class Held(msgspec.Struct):
    """A load that is held back."""

    since: str | None
    reasons: list[str]
    accepted_in_s: float


class Status(msgspec.Struct):
    """What is read of `/api/v1/status`."""

    healthy: bool
    reasons: list[str]
    warnings: list[str]
    version: str
    uptime_s: float
    serial: int | None
    published: str | None
    age_s: float | None
    stale_in_s: float | None
    counts: dict[str, int] | None
    vrps_by_ta: dict[str, int]
    routers: Routers
    held: Held | None


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Ask for the status; returns the exit status."""
    answer = ask("status", Status, options, environ)
    status = answer.content
    written = print_json(answer.document) if options.json else print_result("\n".join(map(printable, _lines(status))))
    return GOOD if written == GOOD and status.healthy else BAD


def _lines(status: Status) -> Iterator[str]:
    yield f"health     {'good' if status.healthy else 'bad'}"
    yield from (f"           {text}" for text in status.reasons)
    yield from (f"warning    {text}" for text in status.warnings)
    yield f"version    {status.version}, up for {_seconds(status.uptime_s)}"
    yield f"serial     {_or_none(status.serial)}, published {_or_none(status.published)}"
    yield f"data       {_seconds(status.age_s)} old, stale in {_seconds(status.stale_in_s)}"
    yield f"payload    {_counts({_KINDS.get(kind, kind): count for kind, count in (status.counts or {}).items()})}"
    yield f"VRPs of    {_counts(status.vrps_by_ta)}"
    routers = status.routers
    yield f"routers    {routers.connected} connected, {routers.current} current, {routers.behind} behind"
    yield f"           {_counts(routers.by_version)}"
    if status.held is not None:
        yield f"held back  since {status.held.since}: {'; '.join(status.held.reasons)}"
        yield f"           accepted in {_seconds(status.held.accepted_in_s)}, or at once by pyrtr accept"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f} s"


def _or_none(value: object) -> str:
    return "none" if value is None else str(value)
