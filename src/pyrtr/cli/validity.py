"""`pyrtr validity ASN PREFIX`: whether a route is valid (RFC 6811), and which VRPs say so."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator, Mapping

import msgspec

from pyrtr.cli.api import Answer, ask
from pyrtr.cli.arguments import BAD, GOOD, NO_ANSWER, NOT_FOUND, USAGE_ERROR, Ended
from pyrtr.cli.output import print_json, print_problems, print_result
from pyrtr.errors import SourceError
from pyrtr.logs import printable
from pyrtr.payload.origin import Network, Validity
from pyrtr.web.api.parameters import read_prefix

_STATUSES = {Validity.VALID: GOOD, Validity.INVALID: BAD, Validity.NOT_FOUND: NOT_FOUND}


class Vrp(msgspec.Struct):
    """A VRP that covers the prefix, as Routinator writes it."""

    asn: str
    prefix: str
    max_length: str


class Vrps(msgspec.Struct):
    """The VRPs that cover the prefix, by what they say of the route."""

    matched: list[Vrp]
    unmatched_as: list[Vrp]
    unmatched_length: list[Vrp]


class State(msgspec.Struct):
    """The validation state, and why."""

    state: Validity
    description: str
    VRPs: Vrps


class Route(msgspec.Struct):
    """What was asked for."""

    origin_asn: str
    prefix: str


class Validated(msgspec.Struct):
    """A route with its state."""

    route: Route
    validity: State


class Single(msgspec.Struct):
    """What is read of `/api/v1/validity/AS{asn}/{prefix}`."""

    validated_route: Validated


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Validate a route; returns the exit status."""
    try:
        prefix = read_prefix(options.prefix)
    except ValueError as error:
        print_problems([f'pyrtr validity: PREFIX is "{printable(options.prefix)}": expected {error}'])
        return USAGE_ERROR
    if options.file is None:
        answer = ask(f"validity/AS{options.asn}/{prefix}", Single, options, environ)
    else:
        answer = _looked_up(options, prefix)
    validated = answer.content.validated_route
    text = "\n".join(map(printable, _lines(validated)))
    written = print_json(answer.document) if options.json else print_result(text)
    return _STATUSES[validated.validity.state] if written == GOOD else NO_ANSWER


def _looked_up(options: Namespace, prefix: Network) -> Answer[Single]:
    """What a file says, in the words of the API."""
    from pyrtr.cli.diff import read_document
    from pyrtr.sources.fetch.request import SourceTls
    from pyrtr.sources.location import Location
    from pyrtr.web.lookup.validity import validated

    try:
        side = read_document(Location("file", options.file), SourceTls(), options.timeout, time.time())
    except SourceError as error:
        print_problems([f"pyrtr validity: {printable(str(error))}"])
        raise Ended(NO_ANSWER) from None
    document = {"validated_route": validated(side.table, prefix, options.asn)}
    return Answer(msgspec.convert(document, Single), document)


def _lines(validated: Validated) -> Iterator[str]:
    """The state, why, and each VRP that covers the prefix, with what it says."""
    yield f"{validated.route.prefix} of {validated.route.origin_asn}: {validated.validity.state}"
    yield validated.validity.description
    vrps = validated.validity.VRPs
    for listed, words in (
        (vrps.matched, "allows it"),
        (vrps.unmatched_as, "is of another AS"),
        (vrps.unmatched_length, "allows no prefix as long as that"),
    ):
        for vrp in listed:
            yield f"  {vrp.prefix} up to /{vrp.max_length} of {vrp.asn} {words}"
