"""`pyrtr status`: whether the running program can be trusted, and what it serves."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator, Mapping

import msgspec

from pyrtr.cli.api import ask
from pyrtr.cli.arguments import BAD, GOOD
from pyrtr.cli.output import duration, print_json, print_result
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
    for text in status.reasons:  # that of a load that is held back has a part for each trust anchor
        yield from (f"           {part}" for part in re.split("(?<=;) ", text))
    yield from (f"warning    {text}" for text in status.warnings)
    yield f"version    {status.version}, up for {duration(status.uptime_s)}"
    yield f"serial     {_or_none(status.serial)}, published {_or_none(status.published)}"
    yield f"data       {_age(status)}"
    yield f"payload    {_counts({_KINDS.get(kind, kind): count for kind, count in (status.counts or {}).items()})}"
    yield f"VRPs of    {_counts(status.vrps_by_ta)}"
    routers = status.routers
    yield f"routers    {routers.connected} connected, {routers.current} current, {routers.behind} behind"
    if routers.by_version:
        yield f"           {_counts(routers.by_version)}"
    if (held := status.held) is not None:
        how = f"accepted in {duration(held.accepted_in_s)}, or at once by pyrtr accept"
        yield f"held back  since {_or_none(held.since)}: {how}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _age(status: Status) -> str:
    age_s, stale_in_s = status.age_s, status.stale_in_s
    if age_s is None or stale_in_s is None:
        return "of unknown age"
    return f"{duration(age_s)} old, stale {'in' if stale_in_s > 0 else 'for'} {duration(stale_in_s)}"


def _or_none(value: object) -> str:
    return "none" if value is None else str(value)
