"""The validity of routes (RFC 6811), in the shape that Routinator gave it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pyrtr.logs import printable
from pyrtr.payload.order import Rows, octets, unpack_vrp
from pyrtr.payload.origin import Network, Places, Validity, Verdict, rows_for, validate
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import MAX_ASN
from pyrtr.store.table_file import StoredTable
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.api.parameters import ASN_TEXT, read_prefix
from pyrtr.web.lookup.listing import Listing, Section, one_by_one
from pyrtr.web.lookup.messages import TableName, ValidityOf

MAX_ROUTES = 10_000
# Of one list. A prefix of the real world has some tens.
MAX_LISTED = 1000
_DESCRIPTIONS = {
    (Validity.VALID, ""): "At least one VRP matches the route",
    (Validity.INVALID, "as"): "At least one VRP allows the prefix of the route, but none with its origin ASN",
    (Validity.INVALID, "length"): "At least one VRP covers the prefix of the route, which is longer than each allows",
    (Validity.NOT_FOUND, ""): "No VRP covers the prefix of the route",
}


class _Route(msgspec.Struct):
    asn: int | float | str  # in JSON, 64496.0 is a whole number, too
    prefix: str


class _Routes(msgspec.Struct):
    routes: list[_Route]


def listing(table_of: Callable[[TableName], StoredTable], question: ValidityOf) -> Listing:
    """The answer for several routes, or for a single one.

    Raises:
        ProblemError: the body is no list of routes.
    """
    table = table_of(question.table).table
    routes = read_routes(question.body)

    def write(index: int) -> bytes:
        return msgspec.json.encode(validated(table, *routes[index]))

    end = b',"generatedTime":' + question.generated + b"}"
    if question.is_single:
        return Listing((Section(b'{"validated_route":', 0, 1, one_by_one(write)),), end)
    return Listing((Section(b'{"validated_routes":[', 0, len(routes), one_by_one(write)),), b"]" + end)


def read_routes(body: bytes) -> list[tuple[Network, int]]:
    """The routes of a request.

    Raises:
        ProblemError: there are none, too many, or one is no route.
    """
    try:
        routes = msgspec.json.decode(body, type=_Routes).routes
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        text = 'the body is no list of routes: expected {"routes": [{"asn": 64496, "prefix": "192.0.2.0/24"}, …]}'
        raise ProblemError(400, f"{text}: {error}", "routes") from None
    if not 1 <= len(routes) <= MAX_ROUTES:
        raise ProblemError(400, f"{len(routes)} routes: expected 1 to {MAX_ROUTES}, more in further requests", "routes")
    return [_route(place, route) for place, route in enumerate(routes)]


def _route(place: int, route: _Route) -> tuple[Network, int]:
    match route.asn:
        case str(text):
            found = ASN_TEXT.fullmatch(text)
            asn = int(found[1]) if found else -1
        case number:
            asn = int(number) if number == number // 1 else -1
    if not 0 <= asn <= MAX_ASN:
        raise ProblemError(400, f'asn of route {place} is "{_told(str(route.asn))}": expected 0 to {MAX_ASN}', "routes")
    try:
        return read_prefix(route.prefix), asn
    except ValueError as error:
        told = _told(route.prefix)
        raise ProblemError(400, f'prefix of route {place} is "{told}": expected {error}', "routes") from None


def _told(text: str) -> str:
    return printable(text[:80])


def validated(table: PayloadTable, prefix: Network, asn: int) -> dict[str, object]:
    """A route and its validity."""
    rows = rows_for(table, prefix)
    verdict = validate(rows, prefix, asn)
    validity: dict[str, object] = {"state": verdict.validity}
    reason = _reason(verdict)
    if reason:
        validity["reason"] = reason
    validity["description"] = _DESCRIPTIONS[verdict.validity, reason]
    validity["VRPs"] = {
        "matched": _vrps(rows, verdict.matched),
        "unmatched_as": _vrps(rows, verdict.unmatched_as),
        "unmatched_length": _vrps(rows, verdict.unmatched_length),
    }
    return {"route": {"origin_asn": f"AS{asn}", "prefix": str(prefix)}, "validity": validity}


def _reason(verdict: Verdict) -> str:
    if verdict.validity is not Validity.INVALID:
        return ""
    return "as" if len(verdict.unmatched_as) else "length"


def _vrps(rows: Rows, places: Places) -> list[dict[str, str]]:
    """The most specific first."""
    vrps = [unpack_vrp(row.tobytes()) for row in octets(rows)[places[:MAX_LISTED]]]
    vrps.sort(key=lambda vrp: -vrp.prefix.prefixlen)
    return [{"asn": f"AS{vrp.asn}", "prefix": str(vrp.prefix), "max_length": str(vrp.max_length)} for vrp in vrps]
