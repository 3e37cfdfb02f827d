"""`vrps`, `aspas`, `router-keys`: what routers are served."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from pyrtr.payload.origin import Match
from pyrtr.server.publisher import Published
from pyrtr.web.api import parameters
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.api.paging import LIMIT, cursor, url_to_continue
from pyrtr.web.api.parameters import Query
from pyrtr.web.api.tags import is_known, not_modified, tag_of
from pyrtr.web.coding import accepted
from pyrtr.web.context import Context
from pyrtr.web.lookup.answers import answer
from pyrtr.web.lookup.client import RETRY_AFTER
from pyrtr.web.lookup.messages import Form, TableName, VrpsOf
from pyrtr.web.replies import METHODS, iso_time

PREFIX = parameters.prefix("prefix", "only VRPs that relate to this prefix as `match` says")
MATCH = parameters.choice(
    "match", "how a VRP relates to `prefix`: is for it, covers it, is covered by it", Match, Match.EXACT
)
ASN = parameters.asn("asn", "only VRPs of this ASN")
ANCHOR = parameters.text(
    "ta", "only VRPs of this trust anchor, as `status` names it", ".{1,200}", "apnic", "a name of up to 200 characters"
)
FORM = parameters.choice(
    "format", "what the answer looks like; instead of it `Accept` may name a media type", Form, Form.JSON
)
ROW = cursor("[0-9a-f]{20}|[0-9a-f]{44}", "c0000200181800010200")
MEDIA_TYPES = {Form.JSON: "application/json", Form.CSV: "text/csv", Form.RPKI_CLIENT: "application/json"}


def routes(context: Context) -> APIRouter:
    """The endpoints."""
    router = APIRouter()

    @router.api_route("/api/v1/vrps", methods=METHODS)
    async def vrps(request: Request) -> Response:
        query = Query(request, PREFIX, MATCH, ASN, ANCHOR, FORM, LIMIT, ROW)
        form = query.get(FORM) or (Form.CSV if request.headers.get("accept") == "text/csv" else Form.JSON)
        published = need_data(context)
        tag = tag_of(published, form, accepted(request.headers.get("accept-encoding", "")))
        if is_known(request, tag):
            return not_modified({"etag": tag})
        prefix, after = query.get(PREFIX), query.get(ROW) or ""
        question = VrpsOf(
            table=TableName(str(published.path), published.digest),
            form=form,
            head=head_of(published),
            prefix=str(prefix or ""),
            match=query.get(MATCH) or Match.EXACT,
            asn=query.get(ASN),
            anchor=query.get(ANCHOR),
            limit=query.get(LIMIT),
            after=bytes.fromhex(after),
            url=url_to_continue(request),
        )
        return await answer(context.lookup, request, question, MEDIA_TYPES[form], {"etag": tag})

    return router


def need_data(context: Context) -> Published:
    """What is published.

    Raises:
        ProblemError: there is nothing yet.
    """
    published = context.publisher.current
    if not published.is_ready:
        raise ProblemError(503, "there is no data to serve yet: /healthz says why; ask again", headers=RETRY_AFTER)
    return published


def head_of(published: Published) -> bytes:
    """The members that begin an answer about what is published."""
    return msgspec.json.encode({"serial": published.serial, "published": iso_time(published.published_at)})
