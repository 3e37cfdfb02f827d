"""`/metrics`, in Prometheus' text format or as OpenMetrics, whichever is asked for."""

from __future__ import annotations

import asyncio
import gzip
import time

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from pyrtr.metrics import RouterSums, render
from pyrtr.web.context import Context
from pyrtr.web.replies import METHODS, in_slices

# Names and labels repeat so much that more effort gains little.
GZIP_LEVEL = 1


def routes(context: Context) -> APIRouter:
    """The endpoint."""
    router = APIRouter()
    turn = asyncio.Lock()  # that of thousands of routers takes a second: one at a time leaves the event loop its share

    @router.api_route("/metrics", methods=METHODS)
    async def metrics(request: Request) -> Response:
        sums = RouterSums(context.registry, time.time())
        async for connections in in_slices(list(context.registry.connections)):
            sums.add(connections)
        async with turn:
            body, content_type = await run_in_threadpool(render, context, sums, request.headers.get("accept", ""))
        headers = {"cache-control": "no-store", "content-type": content_type, "vary": "accept, accept-encoding"}
        if _takes_gzip(request.headers.get("accept-encoding", "")):
            body = await run_in_threadpool(gzip.compress, body, GZIP_LEVEL)
            headers["content-encoding"] = "gzip"
        return Response(body, headers=headers)

    return router


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether a request says that gzip may be answered (RFC 9110 section 12.5.3)."""
    for coding in accept_encoding.lower().split(","):
        name, *parameters = (part.strip() for part in coding.split(";"))
        if name == "gzip":
            return not any(parameter.rstrip("0") in ("q=", "q=0.") for parameter in parameters)
    return False
