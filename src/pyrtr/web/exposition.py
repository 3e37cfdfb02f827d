"""`/metrics`, in Prometheus' text format or as OpenMetrics, whichever is asked for."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from pyrtr.metrics import RouterSums, render
from pyrtr.web.context import Context
from pyrtr.web.replies import METHODS, in_slices


def routes(context: Context) -> APIRouter:
    """The endpoint."""
    router = APIRouter()

    @router.api_route("/metrics", methods=METHODS)
    async def metrics(request: Request) -> Response:
        sums = RouterSums(context.registry.totals)
        async for connections in in_slices(list(context.registry.connections)):
            sums.add(connections)
        body, content_type = await run_in_threadpool(render, context, sums, request.headers.get("accept", ""))
        return Response(body, headers={"cache-control": "no-store", "content-type": content_type})

    return router
