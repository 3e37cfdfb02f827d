"""`status`, `routers`, `sources`: how the program does, who is connected, and where the payload comes from."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from pyrtr.compiler.status import Held
from pyrtr.logs import printable
from pyrtr.metrics import largest, program_version
from pyrtr.server.connection import Connection
from pyrtr.web.api import models, parameters
from pyrtr.web.api.operations import JSON, Operation
from pyrtr.web.api.paging import LIMIT, cursor, url_of_next
from pyrtr.web.api.parameters import Query
from pyrtr.web.clients import Lag, describe
from pyrtr.web.context import Context
from pyrtr.web.health import describe_location, describe_slurm, describe_source
from pyrtr.web.replies import METHODS, in_slices, iso_time
from pyrtr.web.verdict import condition, judge

BEHIND = parameters.flag("behind", "only routers that lack something of what is published, or only those that do not")
PASSED = cursor("[0-9]{1,6}", "100")
_HEADERS = {"cache-control": "no-cache"}

_TIME = "2026-09-01T12:00:00.000Z"
_SOURCE = {
    "location": "/var/lib/rpki-client/json",
    "last_attempt": _TIME,
    "last_success": _TIME,
    "attempts": {"success": 1, "failure": 0},
    "error": None,
    "age_s": 60.0,
    "build_time": _TIME,
}
_ROUTER = {
    "client": "192.0.2.1:4321",
    "version": "V1",
    "transport": "tcp",
    "connected_since": _TIME,
    "session": 1001,
    "serial": 4711,
    "behind_s": 0.0,
    "queries": {"reset": 1, "serial": 0},
    "responses": {"full": 1, "delta": 0, "cache_reset": 0, "notify": 0},
    "bytes": {"received": 8, "sent": 22400032},
    "last_sync_s": {"full": 0.05, "delta": None},
    "last_error": None,
}
OPERATIONS = (
    Operation(
        "/api/v1/status",
        "How the program does, at a glance",
        (models.Status,),
        {
            "status": "ok",
            "healthy": True,
            "reasons": [],
            "warnings": [],
            "version": "0.1.0",
            "uptime_s": 60.0,
            "serial": 4711,
            "sessions": {"V0": 1000, "V1": 1001, "V2": 1002},
            "published": _TIME,
            "age_s": 60.0,
            "stale_in_s": 86340.0,
            "counts": {"ipv4": 1, "ipv6": 0, "router_keys": 0, "aspas": 0},
            "vrps_by_ta": {"apnic": 1},
            "routers": {
                "connected": 1,
                "current": 1,
                "behind": 0,
                "by_version": {"V1": 1},
                "by_transport": {"tcp": 1},
            },
            "held": None,
            "source": _SOURCE,
            "next_look_s": 840.0,
        },
    ),
    Operation(
        "/api/v1/routers",
        "The routers that are connected, and what each holds",
        (models.Routers,),
        {"routers": [_ROUTER], "total": 1, "next": None},
        (BEHIND, LIMIT, PASSED),
    ),
    Operation(
        "/api/v1/sources",
        "Where the payload comes from, each location and SLURM file",
        (models.Sources,),
        {
            "source": _SOURCE,
            "locations": [
                {
                    "location": "/var/lib/rpki-client/json",
                    "used": True,
                    "last_attempt": _TIME,
                    "last_success": _TIME,
                    "attempts": {"success": 1, "failure": 0, "unchanged": 0},
                    "error": None,
                    "age_s": 60.0,
                    "records": {"vrps": 1, "router_keys": 0, "aspas": 0},
                    "dropped": {},
                }
            ],
            "slurm": {"locations": [], "error": None, "files": []},
        },
    ),
)


def routes(context: Context) -> APIRouter:
    """The endpoints."""
    router = APIRouter()

    @router.api_route("/api/v1/status", methods=METHODS)
    async def status(request: Request) -> Response:
        Query(request)
        return _reply(await describe_status(context))

    @router.api_route("/api/v1/routers", methods=METHODS)
    async def routers(request: Request) -> Response:
        query = Query(request, BEHIND, LIMIT, PASSED)
        is_behind, limit, passed = query.get(BEHIND), query.get(LIMIT), int(query.get(PASSED) or 0)
        lag = Lag(context.publisher.current, time.time())
        found = [each async for each in _of_lag(list(context.registry.connections), lag, is_behind)]
        page = found[passed:] if limit is None else found[passed : passed + limit]
        end = passed + len(page)
        url = url_of_next(request, str(end)) if page and end < len(found) else None
        content = _routers(page, lag, len(found), url)
        return StreamingResponse(content, headers=_HEADERS, media_type=JSON)

    @router.api_route("/api/v1/sources", methods=METHODS)
    async def sources(request: Request) -> Response:
        Query(request)
        now, loader = time.time(), context.loader
        return _reply(
            {
                "source": describe_source(loader.status, loader.agenda.age_s(now)),
                "locations": [describe_location(place, now) for place in loader.places],
                "slurm": describe_slurm(loader.slurm.status),
            }
        )

    return router


def _reply(value: object) -> Response:
    return Response(msgspec.json.encode(value), 200, _HEADERS, JSON)


async def describe_status(context: Context) -> dict[str, object]:
    """What `status` says: of the events, too."""
    now = time.time()
    published, source, agenda = context.publisher.current, context.loader.status, context.loader.agenda
    verdict = judge(condition(context, now))
    age_s = agenda.age_s(now)
    return {
        "status": "; ".join(verdict.reasons) or "ok",
        "healthy": verdict.is_healthy,
        "reasons": verdict.reasons,
        "warnings": verdict.warnings,
        "version": program_version(),
        "uptime_s": round(max(0.0, now - context.started_at), 3),
        "serial": published.serial if published.is_ready else None,
        "sessions": {version.name: published.session_ids[version][0] for version in context.versions},
        "published": iso_time(published.published_at) if published.is_ready else None,
        "age_s": None if age_s is None else round(age_s, 3),
        "stale_in_s": None if age_s is None else round(agenda.max_age_s - age_s, 3),
        "counts": None if published.table is None else published.table.counts,
        "vrps_by_ta": largest(source.vrps_by_anchor),
        "routers": await _describe_routers(context, now),
        "held": None if source.held is None else _held(source.held, agenda.policy.hold_s, now),
        "source": describe_source(source, age_s),
        "next_look_s": round(max(0.0, agenda.load_at - now), 3) if math.isfinite(agenda.load_at) else None,
    }


def _held(held: Held, hold_s: float, now: float) -> dict[str, object]:
    """The load that waits for an operator's word."""
    return {
        "since": iso_time(held.since),
        "reasons": [printable(reason) for reason in held.reasons],
        "accepted_in_s": round(max(0.0, held.since + hold_s - now), 3),
    }


async def _describe_routers(context: Context, now: float) -> dict[str, object]:
    """How many there are, and how they do."""
    lag = Lag(context.publisher.current, now)
    seconds: Counter[bool] = Counter()
    versions: Counter[str] = Counter()
    transports: Counter[str] = Counter()
    async for connections in in_slices(list(context.registry.connections)):
        for connection in connections:
            behind_s = lag.seconds(connection.session)
            if behind_s is not None:
                seconds[behind_s > 0] += 1
            version = connection.session.version
            versions["unknown" if version is None else version.name] += 1
            transports[str(connection.transport)] += 1
    return {
        "connected": versions.total(),
        "current": seconds[False],
        "behind": seconds[True],
        "by_version": versions,
        "by_transport": transports,
    }


async def _of_lag(connections: Sequence[Connection], lag: Lag, is_behind: bool | None) -> AsyncIterator[Connection]:
    """The routers that are behind, or those that are not; all of them if that is not asked. Who came first is first."""
    connections = sorted(connections, key=lambda connection: connection.connected_at)
    async for some in in_slices(connections):
        for connection in some:
            if is_behind is None or bool(lag.seconds(connection.session)) is is_behind:
                yield connection


async def _routers(page: Sequence[Connection], lag: Lag, total: int, url: str | None) -> AsyncIterator[bytes]:
    separator = b'{"routers":['
    async for connections in in_slices(page):
        records = [describe(connection, lag) for connection in connections]
        yield separator + msgspec.json.encode(records)[1:-1]
        separator = b","
    begin = separator if separator != b"," else b""
    yield begin + b'],"total":%d,"next":' % total + msgspec.json.encode(url) + b"}"
