"""`generations`, `changes`, `diff`: what was published before, what came and went, and why."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from pyrtr.payload.serial import SERIAL_MODULUS
from pyrtr.store.archive import Archive
from pyrtr.store.archive_search import END_OF_TIME, Kind, Relation
from pyrtr.web.api import history_models, parameters
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.api.operations import JSON, Operation
from pyrtr.web.api.paging import LIMIT, cursor, url_to_continue
from pyrtr.web.api.parameters import Parameter, Query
from pyrtr.web.api.payload import need_data
from pyrtr.web.api.tags import is_known, not_modified, tag_of
from pyrtr.web.coding import accepted
from pyrtr.web.context import Context
from pyrtr.web.lookup.answers import answer
from pyrtr.web.lookup.messages import Asked, ChangesOf, DiffOf, GenerationOf, GenerationsOf
from pyrtr.web.replies import METHODS

# What a generation has, in the order in which it is told.
FIELDS = tuple(history_models.Generation.__struct_fields__)

_DAY = "20[0-9]{2}-((0[1-9]|1[0-2])-(0[1-9]|[12][0-9])|(0[13-9]|1[0-2])-30|(0[13578]|1[02])-31)"
_HOUR = r"T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?Z?"
_MOMENT = f"([0-9]{{1,10}}|{_DAY}({_HOUR})?)"
_EXPECTED = "a serial, or a time in UTC such as 2026-09-01 or 2026-09-01T12:00:00Z"
PREFIX = parameters.prefix("prefix", "only VRPs that relate to this prefix as `match` says")
MATCH = parameters.choice(
    "match",
    "how the prefix of a VRP relates to `prefix`: is it, covers it, is covered by it, or either of these two",
    Relation,
    Relation.RELATED,
)
ASN = parameters.asn("asn", "only VRPs and router keys of this ASN, and ASPAs of this customer")
KIND = parameters.choice("kind", "only payload of this kind", Kind)
SINCE = parameters.text(
    "since", "only what came after this serial, or from this time on", _MOMENT, "2026-09-01", _EXPECTED
)
UNTIL = parameters.text("until", "only what came up to this serial, or time", _MOMENT, "2026-09-02", _EXPECTED)
FIRST = parameters.number("from", "the serial that it leads from", 0, SERIAL_MODULUS - 1, 4711, is_required=True)
LAST = parameters.number(
    "to", "the serial that it leads to; the current one where it is not given", 0, SERIAL_MODULUS - 1, 4712
)
SERIAL_IN_PATH = parameters.number("serial", "its serial", 0, SERIAL_MODULUS - 1, 4712, is_in_path=True)
FIELDS_WANTED = parameters.text(
    "fields",
    "only these members of each, separated by commas",
    f"({'|'.join(FIELDS)})(,({'|'.join(FIELDS)}))*",
    "time,counts,announced,withdrawn",
    f"some of {', '.join(FIELDS)}, separated by commas",
)
ORDINAL = cursor("[0-9]{1,18}", "4711")
CHANGE = cursor("[0-9]{1,18}-[0-9]{1,9}", "4711-100")

_TIME = "2026-09-01T12:00:00.000Z"
_GENERATION = {
    "id": 17,
    "serial": 4712,
    "from_serial": 4711,
    "time": _TIME,
    "cause": "load",
    "why": f"new data at https://validator.example/json, built {_TIME}",
    "sources": ["https://validator.example/json"],
    "build_time": _TIME,
    "counts": {"ipv4": 1, "ipv6": 0, "router_keys": 0, "aspas": 0},
    "vrps_by_ta": {"apnic": 1},
    "announced": {"vrps": 1, "router_keys": 0, "aspas": 0},
    "withdrawn": {"vrps": 0, "router_keys": 0, "aspas": 0},
    "replaced": {"aspas": 0},
    "has_changes": True,
}
_VRP = {"kind": "vrp", "prefix": "192.0.2.0/24", "max_length": 24, "asn": 64496}
_CHANGE = {
    "serial": 4712,
    "time": _TIME,
    "cause": "load",
    "action": "announce",
    "by": {"kind": "source", "name": "https://validator.example/json"},
    **_VRP,
    "ta": "apnic",
}
OPERATIONS = (
    Operation(
        "/api/v1/generations",
        "What was published, and why, newest first",
        (history_models.Generations,),
        {"items": [_GENERATION], "next": None},
        (FIELDS_WANTED, LIMIT, ORDINAL),
        (404,),
        is_tagged=True,
    ),
    Operation(
        "/api/v1/generations/{serial}",
        "The newest generation with a serial, and its changes",
        (history_models.GenerationChanges,),
        {"generation": _GENERATION, "changes": [_CHANGE], "next": None},
        (SERIAL_IN_PATH, LIMIT, CHANGE),
        (404,),
        is_tagged=True,
    ),
    Operation(
        "/api/v1/changes",
        "Who came and went, when, and what brought that about, newest first",
        (history_models.Changes,),
        {"items": [_CHANGE], "next": None, "reaches_back_to": _TIME},
        (PREFIX, MATCH, ASN, KIND, SINCE, UNTIL, LIMIT, CHANGE),
        (404,),
        is_tagged=True,
    ),
    Operation(
        "/api/v1/diff",
        "What leads from one serial to another, without what came and went in between",
        (history_models.Diff,),
        {"from": 4711, "to": 4712, "total": 1, "announced": [_VRP], "withdrawn": [], "replaced": []},
        (FIRST, LAST),
        (404,),
        is_tagged=True,
    ),
)


def routes(context: Context) -> APIRouter:
    """The endpoints."""
    router = APIRouter()

    @router.api_route("/api/v1/generations", methods=METHODS)
    async def generations(request: Request) -> Response:
        query = Query(request, FIELDS_WANTED, LIMIT, ORDINAL)
        fields = query.get(FIELDS_WANTED)
        question = GenerationsOf(
            archive=str(_archive(context).path),
            limit=query.get(LIMIT),
            cursor=_cursor(query.get(ORDINAL)),
            url=url_to_continue(request),
            fields=() if fields is None else tuple(fields.split(",")),
        )
        return await _answer(context, request, question)

    @router.api_route("/api/v1/generations/{serial}", methods=METHODS)
    async def generation(request: Request, serial: str) -> Response:
        query = Query(request, LIMIT, CHANGE)
        question = GenerationOf(
            archive=str(_archive(context).path),
            limit=query.get(LIMIT),
            cursor=_cursor(query.get(CHANGE)),
            url=url_to_continue(request),
            serial=SERIAL_IN_PATH.of(serial),
        )
        return await _answer(context, request, question)

    @router.api_route("/api/v1/changes", methods=METHODS)
    async def changes(request: Request) -> Response:
        query = Query(request, PREFIX, MATCH, ASN, KIND, SINCE, UNTIL, LIMIT, CHANGE)
        prefix = query.get(PREFIX)
        since, until = _moment(query, SINCE), _moment(query, UNTIL)
        question = ChangesOf(
            archive=str(_archive(context).path),
            limit=query.get(LIMIT),
            cursor=_cursor(query.get(CHANGE)),
            url=url_to_continue(request),
            prefix="" if prefix is None else str(prefix),
            relation=query.get(MATCH) or Relation.RELATED,
            asn=query.get(ASN),
            kind=query.get(KIND),
            since=since if isinstance(since, int) else None,
            until=until if isinstance(until, int) else None,
            since_time=since if isinstance(since, float) else 0.0,
            until_time=until if isinstance(until, float) else END_OF_TIME,
        )
        return await _answer(context, request, question)

    @router.api_route("/api/v1/diff", methods=METHODS)
    async def diff(request: Request) -> Response:
        query = Query(request, FIRST, LAST)
        first, last = query.need(FIRST), query.get(LAST)
        archive = str(_archive(context).path)
        question = DiffOf(archive=archive, first=first, last=need_data(context).serial if last is None else last)
        return await _answer(context, request, question)

    return router


async def _answer(context: Context, request: Request, question: Asked) -> Response:
    """The answer, unless the client has it already."""
    coding = accepted(request.headers.get("accept-encoding", ""))
    # What a crash or a full disk left out is made up for later, when nothing new is published.
    tag = tag_of(context.publisher.current, "history", _archive(context).revision, coding)
    if is_known(request, tag):
        return not_modified({"etag": tag})
    return await answer(context.lookup, request, question, JSON, {"etag": tag})


def _archive(context: Context) -> Archive:
    """The history.

    Raises:
        ProblemError: there is none.
    """
    if context.archive is None:
        raise ProblemError(404, "HISTORY_DAYS is False, so no history is kept: set it to a number of days")
    return context.archive


def _cursor(text: str | None) -> tuple[int, ...]:
    return () if text is None else tuple(map(int, text.split("-")))


def _moment(query: Query, parameter: Parameter[str]) -> int | float | None:
    """A serial, or Unix seconds as a float.

    Raises:
        ProblemError: it is neither.
    """
    text = query.get(parameter)
    if text is None:
        return None
    try:
        if "-" in text:
            return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC).timestamp()
    except ValueError:  # the 29th of February in most years
        raise ProblemError(400, f'{parameter.name} is "{text}": expected {_EXPECTED}', parameter.name) from None
    return int(text)
