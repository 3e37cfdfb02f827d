"""How much one request, and all of them at once, may ask of the program."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fastapi import Response

from pyrtr.web.api.problems import refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MAX_HEAD_BYTES = 16 * 1024
# Most endpoints read no body. A small one does no harm, and some clients can't do without.
MAX_BODY_BYTES = 4096
# Of many routes, which one endpoint reads.
MAX_ROUTES_BYTES = 2**20
_ROUTES = ("POST", "/api/v1/validity")
# Answers under way at once. Each of a whole table keeps a thread busy that competes with the one that serves routers.
MAX_UNDER_WAY = 64
MAX_TABLES_UNDER_WAY = 4
# The lookup process makes these a piece at a time, each in its turn, and keeps what their filters have found.
MAX_STREAMS_UNDER_WAY = 8
# Who listens asks for nothing more until it goes away.
MAX_LISTENERS = 64
_GROUPS = {
    "/copies": "tables",
    "/generation/table": "tables",
    "/api/v1/vrps": "streams",
    "/api/v1/aspas": "streams",
    "/api/v1/router-keys": "streams",
    "/api/v1/changes": "streams",
    "/api/v1/diff": "streams",
    "/api/v1/generations": "streams",
    "/api/v1/events": "listeners",
}


class Limits:
    """An ASGI application before another one, which is asked only what is within the limits."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        group = "streams" if (scope["method"], scope["path"]) == _ROUTES else _group(scope["path"])
        answer = self._refusal(scope, group)
        if answer is not None:
            await answer(scope, receive, send)
            return
        self._under_way[group] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way[group] -= 1

    def _refusal(self, scope: Scope, group: str) -> Response | None:
        path, headers = scope["path"], scope["headers"]
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if size > MAX_HEAD_BYTES:
            return _too_much(path, f"a head of {size} octets: expected at most {MAX_HEAD_BYTES}", 431)
        fields = dict(headers)
        if b"transfer-encoding" in fields:
            return _too_much(path, "a body of unknown length: expected none, or Content-Length", 411)
        length = int(fields.get(b"content-length", b"0"))  # the HTTP server refuses what is no number
        max_body = MAX_ROUTES_BYTES if (scope["method"], path) == _ROUTES else MAX_BODY_BYTES
        if length > max_body:
            return _too_much(path, f"a body of {length} octets: expected at most {max_body}", 413)
        limits = {"tables": MAX_TABLES_UNDER_WAY, "streams": MAX_STREAMS_UNDER_WAY, "listeners": MAX_LISTENERS}
        limit = limits.get(group, MAX_UNDER_WAY)
        if self._under_way[group] >= limit:
            text = f"{limit} such requests are under way, which is the limit: try again later"
            return refusal(path, text, 503, {"retry-after": "1"})
        return None


def _group(path: str) -> str:
    """Which answers it has its limit in common with."""
    return next((group for start, group in _GROUPS.items() if path.startswith(start)), "others")


def _too_much(path: str, text: str, status: int) -> Response:
    # Closed, since what else the request brings would have to be read to find the next one.
    return refusal(path, text, status, {"connection": "close"})
