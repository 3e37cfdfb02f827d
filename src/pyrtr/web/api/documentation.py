"""`openapi.json` describes all of `/api/v1` (OpenAPI 3.1); `docs` shows it with Swagger UI, which we bring along."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from pathlib import Path

import msgspec
from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool
from swagger_ui_bundle import swagger_ui_path

from pyrtr.metrics import program_version
from pyrtr.web.api import events, history, models, payload, status, validity
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.api.operations import JSON, Operation
from pyrtr.web.api.parameters import Parameter
from pyrtr.web.api.problems import API, MEDIA_TYPE
from pyrtr.web.replies import METHODS

# Whoever adds endpoints names them here.
OPERATIONS: tuple[Operation, ...] = (
    *status.OPERATIONS,
    *payload.OPERATIONS,
    *validity.OPERATIONS,
    *history.OPERATIONS,
    *events.OPERATIONS,
    Operation(
        f"{API}/accept",
        "Accept the load that is held back",
        (models.Accepted,),
        {"accepted": False, "result": "nothing is held back"},
        method="post",
        refusals=(401, 403),
        needs_token=True,
    ),
)
_DESCRIPTION = """\
What is served to routers, and how they do. Times are UTC in ISO 8601, durations end in `_s`, what is not known is null.
What answers GET answers HEAD. An unknown parameter is refused. Long lists are streamed whole, or with `limit` in pages.
Answers are coded with zstd or gzip where `Accept-Encoding` asks for it."""
_WORDS = {
    304: "the client has it already: `If-None-Match` names its ETag",
    400: "a parameter, or the body, can't be used",
    404: "there is no such thing",
    405: "another method is expected",
    411: "the length of the body is not announced",
    413: "the body is too long",
    415: "the body is of another media type",
    431: "the head of the request is too long",
    500: "a fault of ours, which the log tells of",
    503: "not now: there is no data yet, or too much is asked at once; `Retry-After` says when to ask again",
}
# What any request can come to.
_ALWAYS = (400, 431, 500, 503)

_FILES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pyRTR API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/show.js"></script>
</body>
</html>
"""
# This Swagger UI knows OpenAPI 3.0 only, which names the type "null" apart.
_SHOW = """
function older(value) {
  if (Array.isArray(value)) return value.map(older);
  if (value === null || typeof value !== "object") return value;
  const result = {};
  for (const [name, member] of Object.entries(value)) result[name] = older(member);
  if (Array.isArray(result.anyOf)) {
    const others = result.anyOf.filter((schema) => schema.type !== "null");
    if (others.length < result.anyOf.length) {
      result.nullable = true;
      if (others.length === 1) { delete result.anyOf; return { ...others[0], ...result }; }
      result.anyOf = others;
    }
  }
  return result;
}
fetch("openapi.json").then((reply) => reply.json()).then((document) => {
  const spec = { ...older(document), openapi: "3.0.3" };
  SwaggerUIBundle({ spec, dom_id: "#api", deepLinking: true, validatorUrl: null });
});
"""


def routes() -> APIRouter:
    """The endpoints."""
    router = APIRouter()

    @router.api_route("/api/v1/openapi.json", methods=METHODS)
    async def openapi() -> Response:
        return Response(await run_in_threadpool(document), media_type=JSON, headers={"cache-control": "no-cache"})

    @router.api_route("/api/v1/docs", methods=METHODS)
    async def docs() -> Response:
        return _file(_PAGE.encode(), "text/html")

    @router.api_route("/api/v1/docs/{name}", methods=METHODS)
    async def docs_file(name: str) -> Response:
        if name == "show.js":
            return _file(_SHOW.encode(), "text/javascript")
        if name not in _FILES:
            raise ProblemError(404, f"there is no {name} here: expected {', '.join(_FILES)}")
        return _file(await run_in_threadpool((Path(swagger_ui_path) / name).read_bytes), _FILES[name])

    return router


def _file(octets: bytes, media_type: str) -> Response:
    headers = {"cache-control": "no-cache", "content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    return Response(octets, media_type=media_type, headers=headers)


@cache
def document() -> bytes:
    """The OpenAPI document."""
    models_used = {model for operation in OPERATIONS for model in (*operation.answers, operation.body) if model}
    _, components = msgspec.json.schema_components(
        sorted({*models_used, models.Problem, models.Refused}, key=lambda model: model.__name__),
        ref_template="#/components/schemas/{name}",
    )
    paths: dict[str, dict[str, object]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "pyRTR", "version": program_version(), "description": _DESCRIPTION},
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "HTTP_TOKEN"}},
            },
        }
    )


def _described(operation: Operation) -> dict[str, object]:
    described: dict[str, object] = {
        "summary": operation.summary,
        "operationId": f"{operation.method} {operation.path.removeprefix(API)}",
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": dict(_responses(operation)),
    }
    if operation.body is not None:
        content = {JSON: {"schema": _reference(operation.body), "example": operation.body_example}}
        described["requestBody"] = {"required": True, "content": content}
    if operation.needs_token:
        described["security"] = [{"token": []}]
    return described


def _parameter(parameter: Parameter[object]) -> dict[str, object]:
    return {
        "name": parameter.name,
        "in": "path" if parameter.is_in_path else "query",
        "required": parameter.is_required or parameter.is_in_path,
        "description": parameter.description,
        "schema": parameter.schema,
        "example": parameter.example,
    }


def _responses(operation: Operation) -> Iterable[tuple[str, dict[str, object]]]:
    content: dict[str, object] = {}
    if answers := [_reference(model) for model in operation.answers]:
        schema = answers[0] if len(answers) == 1 else {"anyOf": answers}
        content[JSON] = {"schema": schema, "example": operation.example}
    for media_type, text in operation.texts.items():
        content[media_type] = {"schema": {"type": "string"}, "example": text}
    yield "200", {"description": "the answer", "content": content}
    if operation.is_tagged:
        yield "304", {"description": _WORDS[304]}
    for code in operation.refusals:
        yield _refusal(code, "the token is missing, or another one", JSON, models.Refused, {"error": _title(code)})
    for code in sorted({*operation.problems, *_ALWAYS}):
        example = {"type": "about:blank", "title": _title(code), "status": code, "detail": _WORDS[code]}
        yield _refusal(code, _WORDS[code], MEDIA_TYPE, models.Problem, example)


def _refusal(
    code: int, description: str, media_type: str, model: type, example: object
) -> tuple[str, dict[str, object]]:
    content = {media_type: {"schema": _reference(model), "example": example}}
    return str(code), {"description": description, "content": content}


def _title(code: int) -> str:
    return HTTPStatus(code).phrase


def _reference(model: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
