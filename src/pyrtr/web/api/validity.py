"""`validity`: what routers make of a route (RFC 6811), and why."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from pyrtr.payload.origin import Network, rows_for, span
from pyrtr.server.publisher import Published
from pyrtr.web.api import models, parameters
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.api.operations import Operation
from pyrtr.web.api.parameters import Query
from pyrtr.web.api.payload import name_of, need_data
from pyrtr.web.api.tags import is_known, not_modified, tag_of
from pyrtr.web.context import Context
from pyrtr.web.lookup.answers import answer
from pyrtr.web.lookup.messages import ValidityOf
from pyrtr.web.lookup.validity import validated
from pyrtr.web.replies import METHODS, iso_time

_PREFIX, _ASN = "the prefix of the route", "the origin ASN of the route"
PREFIX = parameters.prefix("prefix", _PREFIX, is_required=True)
ASN = parameters.asn("asn", _ASN, is_required=True)
PREFIX_IN_PATH = parameters.prefix("prefix", _PREFIX, is_in_path=True)
ASN_IN_PATH = parameters.asn("asn", _ASN, is_in_path=True)
# So many VRPs are looked at in a millisecond or two; more of them around one prefix are nobody's but an attacker's.
MAX_SPAN = 4096
_JSON = "application/json"

_VALID = {
    "route": {"origin_asn": "AS64496", "prefix": "192.0.2.0/24"},
    "validity": {
        "state": "valid",
        "description": "At least one VRP matches the route",
        "VRPs": {
            "matched": [{"asn": "AS64496", "prefix": "192.0.2.0/24", "max_length": "24"}],
            "unmatched_as": [],
            "unmatched_length": [],
        },
    },
}
_TIME = "2026-09-01T12:00:00.000Z"
_ONE = {"validated_route": _VALID, "generatedTime": _TIME}
OPERATIONS = (
    Operation(
        "/api/v1/validity/{asn}/{prefix}",
        "The validity of a route, and the VRPs that decided",
        (models.Validated,),
        _ONE,
        (ASN_IN_PATH, PREFIX_IN_PATH),
        (404,),
        is_tagged=True,
    ),
    Operation(
        "/api/v1/validity",
        "The same, with a query",
        (models.Validated,),
        _ONE,
        (ASN, PREFIX),
        is_tagged=True,
    ),
    Operation(
        "/api/v1/validity",
        "The validity of up to 10,000 routes",
        (models.ValidatedRoutes,),
        {"validated_routes": [_VALID], "generatedTime": _TIME},
        problems=(411, 413, 415),
        method="post",
        body=models.AskedRoutes,
        body_example={"routes": [{"asn": 64496, "prefix": "192.0.2.0/24"}]},
    ),
)


def routes(context: Context) -> APIRouter:
    """The endpoints."""
    router = APIRouter()

    @router.api_route("/api/v1/validity/{asn}/{prefix:path}", methods=METHODS)
    async def validity_of(request: Request) -> Response:
        Query(request)
        path = request.path_params  # as arguments they would cost as much as the validation
        return await _single(context, request, ASN_IN_PATH.of(path["asn"]), PREFIX_IN_PATH.of(path["prefix"]))

    @router.api_route("/api/v1/validity", methods=[*METHODS, "POST"])
    async def validity(request: Request) -> Response:
        if request.method == "POST":
            return await _several(context, request)
        query = Query(request, ASN, PREFIX)
        return await _single(context, request, query.need(ASN), query.need(PREFIX))

    return router


async def _single(context: Context, request: Request, asn: int, prefix: Network) -> Response:
    published = need_data(context)
    assert published.table is not None
    headers = {"cache-control": "no-cache", "etag": tag_of(published)}
    if is_known(request, headers["etag"]):
        return not_modified(headers)
    if span(rows_for(published.table, prefix), prefix) > MAX_SPAN:
        body = msgspec.json.encode({"routes": [{"asn": asn, "prefix": str(prefix)}]})
        question = ValidityOf(table=name_of(published), generated=_generated(published), body=body, is_single=True)
        return await answer(context.lookup, request, question, _JSON, headers)
    route = validated(published.table, prefix, asn)
    body = msgspec.json.encode({"validated_route": route, "generatedTime": iso_time(published.published_at)})
    return Response(body, 200, headers, _JSON)


async def _several(context: Context, request: Request) -> Response:
    Query(request)
    published = need_data(context)
    question = ValidityOf(table=name_of(published), generated=_generated(published), body=await _body(request))
    return await answer(context.lookup, request, question, _JSON, {"cache-control": "no-store"})


def _generated(published: Published) -> bytes:
    return msgspec.json.encode(iso_time(published.published_at))


async def _body(request: Request) -> bytes:
    """The body, whose announced length is within the limit (see `limits`)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise ProblemError(415, "the body is of another media type: expected application/json")
    return await request.body()
