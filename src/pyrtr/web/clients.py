"""`/clients`: who is connected, and what each router holds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import msgspec
from fastapi import APIRouter, Request, Response

from pyrtr.logs import printable
from pyrtr.server.connection import Connection
from pyrtr.server.publisher import Published
from pyrtr.server.registry import Registry
from pyrtr.session.cache import CacheSession
from pyrtr.web.context import Context
from pyrtr.web.replies import METHODS, in_slices, iso_time, stream
from pyrtr.wire.enums import HIGHEST_ERROR_CODE, ErrorCode


def routes(context: Context) -> APIRouter:
    """The endpoint."""
    router = APIRouter()

    @router.api_route("/clients", methods=METHODS)
    async def clients(request: Request) -> Response:
        return stream(request, _clients(context.registry), "application/json")

    return router


async def _clients(registry: Registry) -> AsyncIterator[bytes]:
    """The list, in pieces: ten thousand routers are some megabytes, and take longer than the event loop may pause."""
    lag = Lag(registry.publisher.current, time.time())
    separator = b"["
    async for connections in in_slices(list(registry)):
        records = [describe(connection, lag) for connection in connections]
        yield separator + msgspec.json.encode(records)[1:-1]
        separator = b","
    yield b"[]" if separator == b"[" else b"]"


class Lag:
    """How far routers are behind what is published, at one moment.

    Args:
        published: what is published.
        now: Unix time.
    """

    def __init__(self, published: Published, now: float) -> None:
        self._published = published
        self._since_published_s = round(max(0.0, now - published.published_at), 3)

    def seconds(self, session: CacheSession) -> float | None:
        """Seconds since the current serial was published, if the router lacks any of it, else 0.

        None before its first End of Data. A router may lack nothing and yet hold an older serial, where only payload
        changed that its version does not have: it is not notified then, and is not behind.
        """
        if session.version is None or session.held is None:
            return None
        state = self._published.state(session.version)
        if session.held == state:
            return 0.0
        if session.held.session_id != state.session_id:
            return self._since_published_s
        is_news = self._published.is_news(session.version, session.held.serial)
        return self._since_published_s if is_news else 0.0


def describe(connection: Connection, lag: Lag) -> dict[str, object]:
    """One router, as `/clients` shows it."""
    session = connection.session
    held = session.held
    return {
        "client": connection.address,
        "version": None if session.version is None else session.version.name,
        "transport": str(connection.transport),
        "connected_since": iso_time(connection.connected_at),
        "session": None if held is None else held.session_id,
        "serial": None if held is None else held.serial,
        "behind_s": lag.seconds(session),
        "queries": {"reset": session.reset_queries, "serial": session.serial_queries},
        "responses": {
            "full": session.full_responses,
            "delta": session.delta_responses,
            "cache_reset": session.cache_resets,
            "notify": session.notifies,
        },
        "bytes": {"received": connection.bytes_received, "sent": connection.bytes_sent},
        "last_sync_s": {"full": connection.full_sync_s, "delta": connection.delta_sync_s},
        "last_error": _last_error(session),
    }


def _last_error(session: CacheSession) -> dict[str, object] | None:
    """The last Error Report that the router sent."""
    report = session.error_received
    if report is None or session.version is None:
        return None
    is_known = report.code <= HIGHEST_ERROR_CODE[session.version]
    return {
        "code": int(report.code),
        "name": ErrorCode(report.code).name if is_known else "unassigned",
        "text": printable(report.text),
    }
