"""How much one request, and all of them at once, may ask of the program."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fastapi import Response

from pyrtr.web.replies import json_reply

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MAX_HEAD_BYTES = 16 * 1024
# No endpoint reads a body. A small one does no harm, and some clients can't do without.
MAX_BODY_BYTES = 4096
# Answers under way at once. Each of a whole table keeps a thread busy that competes with the one that serves routers.
MAX_UNDER_WAY = 64
MAX_TABLES_UNDER_WAY = 4
_TABLES = ("/copies", "/generation/table")
# Lasts as long as somebody reads it, costs nothing meanwhile, and has a limit of its own.
_STREAM = "/api/v1/events"


class Limits:
    """An ASGI application before another one, which is asked only what is within the limits."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._under_way: Counter[bool] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        is_table = scope["path"].startswith(_TABLES)
        refusal = self._refusal(scope["headers"], is_table=is_table)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if scope["path"] == _STREAM:
            await self._app(scope, receive, send)
            return
        self._under_way[is_table] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way[is_table] -= 1

    def _refusal(self, headers: list[tuple[bytes, bytes]], *, is_table: bool) -> Response | None:
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if size > MAX_HEAD_BYTES:
            return _too_much(f"a head of {size} octets: expected at most {MAX_HEAD_BYTES}", 431)
        fields = dict(headers)
        if b"transfer-encoding" in fields:
            return _too_much("a body of unknown length: expected none, or Content-Length", 411)
        length = int(fields.get(b"content-length", b"0"))  # the HTTP server refuses what is no number
        if length > MAX_BODY_BYTES:
            return _too_much(f"a body of {length} octets: expected at most {MAX_BODY_BYTES}", 413)
        limit = MAX_TABLES_UNDER_WAY if is_table else MAX_UNDER_WAY
        if self._under_way[is_table] >= limit:
            text = f"{limit} such requests are under way, which is the limit: try again later"
            return json_reply({"error": text}, 503, {"retry-after": "1"})
        return None


def _too_much(text: str, status: int) -> Response:
    # Closed, since what else the request brings would have to be read to find the next one.
    return json_reply({"error": text}, status, {"connection": "close"})
