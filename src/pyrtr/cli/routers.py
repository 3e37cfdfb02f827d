"""`pyrtr routers`: who is connected to the running program, and what each router holds."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

import msgspec

from pyrtr.cli.api import ask
from pyrtr.cli.arguments import BAD, GOOD
from pyrtr.cli.output import aligned, print_json, print_result

_HEADING = ("ROUTER", "VERSION", "TRANSPORT", "SERIAL", "BEHIND", "CONNECTED SINCE", "LAST ERROR")


class Report(msgspec.Struct):
    """An Error Report of a router."""

    name: str
    text: str


class Router(msgspec.Struct):
    """What is read of one router."""

    client: str
    version: str | None
    transport: str
    serial: int | None
    behind_s: float | None
    connected_since: str | None
    last_error: Report | None


class Routers(msgspec.Struct):
    """What is read of `/api/v1/routers`."""

    routers: list[Router]


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Ask for the routers; returns the exit status."""
    answer = ask("routers?behind=true" if options.behind else "routers", Routers, options, environ)
    routers = answer.content.routers
    table = aligned([_HEADING, *map(_row, routers)])
    written = print_json(answer.document) if options.json else print_result(table)
    return BAD if written != GOOD or any(router.behind_s for router in routers) else GOOD


def _row(router: Router) -> tuple[str, ...]:
    report, behind_s = router.last_error, router.behind_s
    cells = (router.client, router.version, router.transport, router.serial)
    return (
        *("-" if cell is None else str(cell) for cell in cells),
        "-" if behind_s is None else f"{behind_s:.0f} s",
        router.connected_since or "-",
        "-" if report is None else f"{report.name}: {report.text}",
    )
