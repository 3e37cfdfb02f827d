"""What is wrong with a request, or keeps it from being answered, as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from fastapi import Request, Response

from pyrtr.logs import printable
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.replies import json_reply

MEDIA_TYPE = "application/problem+json"
API = "/api/v1"
# It was there before there were problem details, and refuses as it always did.
_OLDER = f"{API}/accept"


def _is_described(path: str) -> bool:
    """Whether what is wrong with a request for this path is told as a problem."""
    return f"{path}/".startswith(f"{API}/") and path != _OLDER


def problem(
    status: int, detail: str, parameter: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """A problem as an answer. RFC 9457 §4.2.1: of type "about:blank", its title is the status in words."""
    members = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": printable(detail)}
    if parameter is not None:
        members["parameter"] = parameter
    return Response(msgspec.json.encode(members), status, {"cache-control": "no-store", **(headers or {})}, MEDIA_TYPE)


def refusal(path: str, detail: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal in the form that belongs to the path: a problem, or an object with `error` elsewhere."""
    if _is_described(path):
        return problem(status, detail, headers=headers)
    return json_reply({"error": detail}, status, headers)


def answer(_request: Request, error: Exception) -> Response:
    """The answer to a request that was refused by a `ProblemError`."""
    assert isinstance(error, ProblemError)
    return problem(error.status, error.detail, error.parameter, error.headers)
