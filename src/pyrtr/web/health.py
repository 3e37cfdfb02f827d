"""`/healthz` and `/readyz`: whether what is served may be trusted, and whether there is anything to serve."""

from __future__ import annotations

import os
import time

from fastapi import APIRouter, Response

from pyrtr.compiler.slurm import SlurmStatus
from pyrtr.compiler.status import SourceStatus
from pyrtr.compiler.updater import Located
from pyrtr.fleet.status import FleetStatus
from pyrtr.logs import printable
from pyrtr.metrics import largest, program_version
from pyrtr.web.context import Context
from pyrtr.web.replies import METHODS, iso_time, json_reply
from pyrtr.web.verdict import Verdict, condition, judge


def routes(context: Context) -> APIRouter:
    """The endpoints."""
    router = APIRouter()

    @router.api_route("/healthz", methods=METHODS)
    async def healthz() -> Response:
        verdict = _verdict(context)
        return json_reply(_health(context, verdict, time.time()), 200 if verdict.is_healthy else 503)

    @router.api_route("/readyz", methods=METHODS)
    async def readyz() -> Response:
        if context.publisher.current.is_ready:
            return json_reply({"ready": True})
        return json_reply({"ready": False, "reason": "; ".join(_verdict(context).reasons)}, 503)

    return router


def _verdict(context: Context) -> Verdict:
    return judge(condition(context, time.time()))


def _health(context: Context, verdict: Verdict, now: float) -> dict[str, object]:
    published, status = context.publisher.current, context.loader.status
    published_at = published.published_at if published.is_ready else None
    last_update = status.last_success or published_at
    return {
        "status": "; ".join(verdict.reasons) or "ok",
        "reasons": verdict.reasons,
        "warnings": verdict.warnings,
        "version": program_version(),
        "pid": os.getpid(),
        "uptime_s": round(max(0.0, now - context.started_at), 3),
        "rtr": context.rtr_addresses,
        "tls": () if context.doors is None else context.doors.addresses["tls"],
        "ssh": () if context.doors is None else context.doors.addresses["ssh"],
        "http": context.http_addresses,
        "routers": len(context.registry.connections),
        "datasources": {version.name: {"last_update": iso_time(last_update)} for version in context.versions},
        "sessions": {version.name: published.session_ids[version][0] for version in context.versions},
        "serials": {version.name: published.serial if published.is_ready else None for version in context.versions},
        "published": iso_time(published_at),
        "source": describe_source(status, context.loader.agenda.age_s(now)),
        "locations": [describe_location(place, now) for place in context.loader.places],
        "slurm": describe_slurm(context.loader.slurm.status),
        "fleet": None if context.loader.fleet is None else describe_fleet(context.loader.fleet),
    }


def describe_fleet(status: FleetStatus) -> dict[str, object]:
    """The replicas that serve as one."""
    return {
        "name": status.name,
        "member": status.member,
        "error": None if status.error is None else printable(status.error),
        "on_duty": None if status.on_duty is None else printable(status.on_duty),
        "members": [printable(member) for member in status.members],
        "sequence": status.sequence,
        "generations": status.counts,
    }


def describe_source(status: SourceStatus, age_s: float | None) -> dict[str, object]:
    """The source. What a good look found stays there while later ones fail."""
    source: dict[str, object] = {
        "location": printable(status.location),
        "last_attempt": iso_time(status.last_attempt),
        "last_success": iso_time(status.last_success),
        "attempts": {"success": status.success_count, "failure": status.failure_count},
        "error": None if status.error is None else printable(status.error),
    }
    source["age_s"] = None if age_s is None else round(age_s, 3)
    found = status.found
    if found is None:
        return {**source, "build_time": None}
    return {
        **source,
        "build_time": iso_time(found.built_at),
        "counts": status.counts,
        "records": found.records,
        "vrps_by_ta": largest(status.vrps_by_anchor),
        "dropped": found.dropped,
        "oversized_aspas": status.oversized_aspas,
        "durations_s": status.seconds,
    }


def describe_location(place: Located, now: float) -> dict[str, object]:
    """One location of the source."""
    status, built_at = place.status, place.built_at
    return {
        "location": printable(status.location),
        "used": status.is_used,
        "last_attempt": iso_time(status.last_attempt),
        "last_success": iso_time(status.last_success),
        "attempts": {
            "success": status.success_count,
            "failure": status.failure_count,
            "unchanged": status.unchanged_count,
        },
        "error": None if status.error is None else printable(status.error),
        "age_s": None if built_at is None else round(now - built_at, 3),
        "records": None if place.share is None else place.share.source.records,
        "dropped": None if place.share is None else place.share.source.dropped,
        **place.details(),
    }


def describe_slurm(status: SlurmStatus) -> dict[str, object]:
    """The SLURM files: where they are, and what each of them removed and added."""
    names = sorted(status.filtered.keys() | status.added.keys())
    return {
        "locations": [printable(location) for location in status.locations],
        "error": None if status.error is None else printable(status.error),
        "files": [
            {"file": printable(name), "filtered": status.filtered.get(name), "added": status.added.get(name)}
            for name in names
        ],
    }
