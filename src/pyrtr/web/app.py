"""The HTTP application: its endpoints, and what is answered to everything else."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from pyrtr.logs import printable
from pyrtr.web import changes, clients, copies, exposition, generation, health, page
from pyrtr.web.api import documentation, events, history, payload, problems, status, validity
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.api.problems import refusal
from pyrtr.web.context import Context
from pyrtr.web.limits import Limits

__all__ = ["Context", "create_app"]

PATHS = (
    "/", "/clients", "/copies", "/copies/{version}", "/generation", "/generation/steps", "/generation/table",
    "/healthz", "/readyz", "/metrics", "/api/v1/accept", "/api/v1/status", "/api/v1/routers", "/api/v1/sources",
    "/api/v1/vrps", "/api/v1/aspas", "/api/v1/aspa/{customer}", "/api/v1/router-keys", "/api/v1/validity",
    "/api/v1/validity/{asn}/{prefix}", "/api/v1/generations", "/api/v1/generations/{serial}", "/api/v1/changes",
    "/api/v1/diff", "/api/v1/events", "/api/v1/openapi.json", "/api/v1/docs",
)  # fmt: skip


def create_app(context: Context) -> FastAPI:
    """The application over a running program."""
    app = FastAPI(docs_url=None, openapi_url=None, redoc_url=None, redirect_slashes=False)
    # What is asked most often stands first, since each request is held against one path after the other.
    for group in (validity, health, clients, copies, generation, exposition, changes, status, payload, history, events):
        app.include_router(group.routes(context))
    app.include_router(documentation.routes())
    app.include_router(page.routes())
    app.add_middleware(Limits)
    app.add_exception_handler(ProblemError, problems.answer)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(Exception, _fail)
    return app


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = printable(request.url.path)
    headers = {}
    match error.status_code:
        case 404:
            text = f"{path} does not exist: expected {', '.join(PATHS)}"
        case 405:
            headers["allow"] = ", ".join(sorted((error.headers or {})["Allow"].split(", ")))
            text = f"{printable(request.method)} is not allowed on {path}: expected {headers['allow']}"
        case _:
            text = str(error.detail)
    return refusal(request.url.path, text, error.status_code, headers)


def _fail(request: Request, _error: Exception) -> Response:
    # What happened is raised again after this, and logged with its traceback.
    return refusal(request.url.path, "the answer can't be made: the log says why", 500)
