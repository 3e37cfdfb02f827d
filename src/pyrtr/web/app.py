"""The HTTP application: its endpoints, and what is answered to everything else."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from pyrtr.logs import printable
from pyrtr.web import changes, clients, copies, exposition, generation, health
from pyrtr.web.context import Context
from pyrtr.web.limits import Limits
from pyrtr.web.replies import json_reply

__all__ = ["Context", "create_app"]

PATHS = (
    "/clients", "/copies", "/copies/{version}", "/generation", "/generation/steps", "/generation/table",
    "/healthz", "/readyz", "/metrics", "/api/v1/accept",
)  # fmt: skip


def create_app(context: Context) -> FastAPI:
    """The application over a running program."""
    app = FastAPI(docs_url=None, openapi_url=None, redoc_url=None, redirect_slashes=False)
    for group in (clients, copies, generation, health, exposition, changes):
        app.include_router(group.routes(context))
    app.add_middleware(Limits)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(Exception, _fail)
    return app


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = printable(request.url.path)
    match error.status_code:
        case 404:
            return json_reply({"error": f"{path} does not exist: expected {', '.join(PATHS)}"}, 404)
        case 405:
            allowed = ", ".join(sorted((error.headers or {})["Allow"].split(", ")))
            text = f"{printable(request.method)} is not allowed on {path}: expected {allowed}"
            return json_reply({"error": text}, 405, {"allow": allowed})
        case status:
            return json_reply({"error": str(error.detail)}, status)


def _fail(_request: Request, _error: Exception) -> Response:
    # What happened is raised again after this, and logged with its traceback.
    return json_reply({"error": "the answer can't be made: the log says why"}, 500)
