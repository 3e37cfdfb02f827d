"""`vrps`, `aspas`, `aspa`, `router-keys`: what routers are served. The lookup process makes these answers."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from fastapi import APIRouter, Request, Response

from pyrtr.payload.origin import Match
from pyrtr.server.publisher import Published
from pyrtr.web.api import models, parameters
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.api.operations import CSV, JSON, Operation
from pyrtr.web.api.paging import LIMIT, cursor, url_to_continue
from pyrtr.web.api.parameters import Query
from pyrtr.web.api.tags import is_known, not_modified, tag_of
from pyrtr.web.coding import accepted
from pyrtr.web.context import Context
from pyrtr.web.copies import portable
from pyrtr.web.lookup.answers import answer
from pyrtr.web.lookup.client import RETRY_AFTER
from pyrtr.web.lookup.messages import Asked, AspaOf, AspasOf, Form, RouterKeysOf, TableName, VrpsOf
from pyrtr.web.replies import METHODS, iso_time

PREFIX = parameters.prefix("prefix", "only VRPs that relate to this prefix as `match` says")
MATCH = parameters.choice(
    "match", "how the prefix of a VRP relates to `prefix`: is it, covers it, or is covered by it", Match, Match.EXACT
)
ASN = parameters.asn("asn", "only those of this ASN")
ANCHOR = parameters.text(
    "ta", "only VRPs of this trust anchor, as `status` names it", ".{1,200}", "apnic", "a name of up to 200 characters"
)
FORM = parameters.choice(
    "format", "what the answer looks like; without it, CSV where `Accept` is text/csv, else JSON", Form
)
ROW = cursor("([0-9a-f]{20}|[0-9a-f]{44})", "c0000200181800000001")
CUSTOMER = parameters.asn("customer", "only the ASPA of this customer", lowest=1)
CUSTOMER_IN_PATH = parameters.asn("customer", "whose ASPA it is", is_in_path=True, lowest=1)
PROVIDER = parameters.asn("provider", "only ASPAs that name this provider")
CUSTOMER_BEFORE = cursor("[0-9]{1,10}", "64496")
SKI = parameters.text("ski", "only keys with this SKI", "[0-9A-Fa-f]{40}", "AB" * 20, "40 hexadecimal digits")
PASSED = cursor("[0-9]{1,9}", "100")

_MEDIA_TYPES = {Form.JSON: JSON, Form.CSV: CSV, Form.RPKI_CLIENT: JSON}
# What another cache would take for all that there is has to be that.
_WHOLE = (PREFIX, MATCH, ASN, ANCHOR, LIMIT, ROW)

_HEAD = {"serial": 4711, "published": "2026-09-01T12:00:00.000Z", "total": 1}
_EXPIRES = "2026-09-02T12:00:00.000Z"
_VRP = {"prefix": "192.0.2.0/24", "max_length": 24, "asn": 64496, "ta": "apnic", "expires": _EXPIRES}
_ASPA = {"customer_asn": 64496, "provider_asns": [64497, 64498], "expires": _EXPIRES}
_KEY = {"asn": 64496, "ski": "AB" * 20, "spki": "MAMCASo=", "expires": _EXPIRES}
_CSV = "ASN,IP Prefix,Max Length,Trust Anchor,Expires\nAS64496,192.0.2.0/24,24,apnic,1788264000\n"
OPERATIONS = (
    Operation(
        "/api/v1/vrps",
        "VRPs, as JSON, as CSV, or all payload as rpki-client's JSON for other caches",
        (models.Vrps, models.CacheDocument),
        {**_HEAD, "items": [_VRP], "next": None},
        (PREFIX, MATCH, ASN, ANCHOR, FORM, LIMIT, ROW),
        texts={CSV: _CSV},
        is_tagged=True,
    ),
    Operation(
        "/api/v1/aspas",
        "ASPAs",
        (models.Aspas,),
        {**_HEAD, "items": [_ASPA], "next": None},
        (CUSTOMER, PROVIDER, LIMIT, CUSTOMER_BEFORE),
        is_tagged=True,
    ),
    Operation(
        "/api/v1/aspa/{customer}",
        "The ASPA of a customer",
        (models.Aspa,),
        _ASPA,
        (CUSTOMER_IN_PATH,),
        (404,),
        is_tagged=True,
    ),
    Operation(
        "/api/v1/router-keys",
        "BGPsec router keys",
        (models.RouterKeys,),
        {**_HEAD, "items": [_KEY], "next": None},
        (ASN, SKI, LIMIT, PASSED),
        is_tagged=True,
    ),
)


def routes(context: Context) -> APIRouter:
    """The endpoints."""
    router = APIRouter()

    @router.api_route("/api/v1/vrps", methods=METHODS)
    async def vrps(request: Request) -> Response:
        query = Query(request, PREFIX, MATCH, ASN, ANCHOR, FORM, LIMIT, ROW)
        form = query.get(FORM) or (Form.CSV if request.headers.get("accept") == CSV else Form.JSON)
        if form is Form.RPKI_CLIENT and (partial := query.first(*_WHOLE)) is not None:
            text = f"{partial} is given: expected none beside format=rpki-client, since other caches load all of that"
            raise ProblemError(400, text, partial)
        prefix = query.get(PREFIX)

        def question(published: Published) -> VrpsOf:
            return VrpsOf(
                table=name_of(published),
                head=metadata_of(published) if form is Form.RPKI_CLIENT else head_of(published),
                limit=query.get(LIMIT),
                url=url_to_continue(request),
                form=form,
                prefix="" if prefix is None else str(prefix),
                match=query.get(MATCH) or Match.EXACT,
                asn=query.get(ASN),
                anchor=query.get(ANCHOR),
                after=bytes.fromhex(query.get(ROW) or ""),
            )

        return await _answer(context, request, question, _MEDIA_TYPES[form])

    @router.api_route("/api/v1/aspas", methods=METHODS)
    async def aspas(request: Request) -> Response:
        query = Query(request, CUSTOMER, PROVIDER, LIMIT, CUSTOMER_BEFORE)

        def question(published: Published) -> AspasOf:
            return AspasOf(
                table=name_of(published),
                head=head_of(published),
                limit=query.get(LIMIT),
                url=url_to_continue(request),
                customer=query.get(CUSTOMER),
                provider=query.get(PROVIDER),
                after=int(query.get(CUSTOMER_BEFORE) or -1),
            )

        return await _answer(context, request, question)

    @router.api_route("/api/v1/aspa/{customer}", methods=METHODS)
    async def aspa(request: Request, customer: str) -> Response:
        Query(request)
        asn = CUSTOMER_IN_PATH.of(customer)
        return await _answer(context, request, lambda published: AspaOf(table=name_of(published), customer=asn))

    @router.api_route("/api/v1/router-keys", methods=METHODS)
    async def router_keys(request: Request) -> Response:
        query = Query(request, ASN, SKI, LIMIT, PASSED)
        ski = query.get(SKI)

        def question(published: Published) -> RouterKeysOf:
            return RouterKeysOf(
                table=name_of(published),
                head=head_of(published),
                limit=query.get(LIMIT),
                url=url_to_continue(request),
                asn=query.get(ASN),
                ski=None if ski is None else bytes.fromhex(ski),
                passed=int(query.get(PASSED) or 0),
            )

        return await _answer(context, request, question)

    return router


async def _answer(
    context: Context, request: Request, question: Callable[[Published], Asked], media_type: str = JSON
) -> Response:
    """The answer about what is published at this moment, unless the client has it already."""
    published = need_data(context)
    tag = tag_of(published, media_type, accepted(request.headers.get("accept-encoding", "")))
    if is_known(request, tag):
        return not_modified({"etag": tag})
    return await answer(context.lookup, request, question(published), media_type, {"etag": tag})


def need_data(context: Context) -> Published:
    """What is published.

    Raises:
        ProblemError: there is nothing yet.
    """
    published = context.publisher.current
    if not published.is_ready:
        raise ProblemError(503, "there is no data to serve yet: /healthz says why; ask again", headers=RETRY_AFTER)
    return published


def name_of(published: Published) -> TableName:
    """What the lookup process is told of the table."""
    return TableName(str(published.path), published.digest)


def head_of(published: Published) -> bytes:
    """The members that begin an answer about what is published."""
    return msgspec.json.encode({"serial": published.serial, "published": iso_time(published.published_at)})


def metadata_of(published: Published) -> bytes:
    """The source's own metadata, by which another cache tells how old the data is."""
    return msgspec.json.encode(portable(published.metadata))
