"""`/api/v1/…`: what changes something, for those who know the token (RFC 6750)."""

from __future__ import annotations

import hmac
import time
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from pyrtr.logs import get_logger
from pyrtr.web.context import Context
from pyrtr.web.replies import json_reply

# Log lines about refused requests are no more frequent, however many there are.
REFUSALS_INTERVAL_S = 60.0


def routes(context: Context) -> APIRouter:
    """The endpoints."""
    router = APIRouter()
    guard = Guard(context)

    @router.api_route("/api/v1/accept", methods=["POST"])
    async def accept(request: Request) -> Response:
        if (refusal := guard.refusal(request)) is not None:
            return refusal
        is_held = context.loader.status.held is not None
        return json_reply({"accepted": is_held, "result": context.loader.accept()})

    return router


class Guard:
    """Tells who may change something: whoever sends HTTP_TOKEN."""

    def __init__(self, context: Context) -> None:
        self._token = context.settings.http_token
        self._refused_count = 0
        self._quiet_until = 0.0  # monotonic

    def refusal(self, request: Request) -> Response | None:
        """What a request that may change nothing is answered; None for one that may."""
        if self._token is None:
            text = "changes over HTTP are off, since HTTP_TOKEN is not set: see `pyrtr accept`"
            return json_reply({"error": text}, HTTPStatus.FORBIDDEN)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            text, challenge = "no token: expected the header `Authorization: Bearer TOKEN`, with HTTP_TOKEN", "Bearer"
        elif not hmac.compare_digest(given.strip().encode(), self._token.get_secret_value().encode()):
            text, challenge = "this is not HTTP_TOKEN", 'Bearer error="invalid_token"'
        else:
            return None
        self._note(request, text)
        return json_reply({"error": text}, HTTPStatus.UNAUTHORIZED, {"www-authenticate": challenge})

    def _note(self, request: Request, text: str) -> None:
        self._refused_count += 1
        now = time.monotonic()
        if now >= self._quiet_until:
            peer = request.client.host if request.client else "unknown"
            get_logger().warning("change refused", peer=peer, reason=text, count=self._refused_count)
            self._refused_count, self._quiet_until = 0, now + REFUSALS_INTERVAL_S
