"""What the lookup process is asked, and what it answers.

Each question is answered in one piece, with a place to go on from: the next question is the same with that place.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pyrtr.payload.origin import Match
from pyrtr.store.archive_search import END_OF_TIME, Kind, Relation
from pyrtr.web.coding import Coding


class Form(StrEnum):
    """What an answer looks like."""

    JSON = "json"
    CSV = "csv"
    RPKI_CLIENT = "rpki-client"


class TableName(msgspec.Struct, frozen=True, array_like=True):
    """A table: its file, and the digest of that."""

    path: str
    digest: bytes


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a stream goes on.

    Attributes:
        at: what the answer's own code makes of it; empty at the start.
        stream: the number of the encoder that goes on with it; 0 at the start.
    """

    at: tuple[int, ...] = ()
    stream: int = 0


class Question(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What all questions have in common.

    Attributes:
        coding: of the answer.
        place: where it goes on.
    """

    coding: Coding = Coding.IDENTITY
    place: Place = Place()


class Page(Question, frozen=True, kw_only=True):
    """Some of a table's entries, in its order.

    Attributes:
        table: the table.
        head: the members that stand before the list, as a JSON object.
        limit: how many at most; None for all.
        url: of this page, without its cursor and without an end.
    """

    table: TableName
    head: bytes = b"{}"
    limit: int | None = None
    url: str = ""


class VrpsOf(Page, frozen=True):
    """The VRPs that match all that is given.

    Attributes:
        form: of the answer.
        prefix, match: "192.0.2.0/24" and how VRPs have to relate to it; "" for any.
        asn, anchor: of the VRPs; None for any.
        after: the row that the page before ended with; empty for the first.
    """

    form: Form
    prefix: str = ""
    match: Match = Match.EXACT
    asn: int | None = None
    anchor: str | None = None
    after: bytes = b""


class AspasOf(Page, frozen=True):
    """The ASPAs that match all that is given.

    Attributes:
        customer, provider: an ASN; None for any.
        after: the customer that the page before ended with; -1 for the first.
    """

    customer: int | None = None
    provider: int | None = None
    after: int = -1


class AspaOf(Question, frozen=True):
    """The ASPA of a customer, which is a problem where there is none."""

    table: TableName
    customer: int


class RouterKeysOf(Page, frozen=True):
    """The router keys that match all that is given.

    Attributes:
        asn, ski: of the keys; None for any.
        passed: how many that match were on the pages before.
    """

    asn: int | None = None
    ski: bytes | None = None
    passed: int = 0


class ValidityOf(Question, frozen=True):
    """The validity of routes.

    Attributes:
        table: the table.
        generated: when that was published, in JSON.
        body: of the request: `{"routes": [{"asn": …, "prefix": …}, …]}`, whatever a client made of it.
        is_single: whether the answer is that for a single route, which there is then.
    """

    table: TableName
    generated: bytes
    body: bytes
    is_single: bool = False


class OfHistory(Question, frozen=True, kw_only=True):
    """What questions about the history have in common.

    Attributes:
        archive: path of its file.
        limit: how many items at most; None for all.
        cursor: where the page before ended (see `lookup.history`); empty for the first.
        url: of this page, without its cursor and without an end.
    """

    archive: str
    limit: int | None = None
    cursor: tuple[int, ...] = ()
    url: str = ""


class GenerationsOf(OfHistory, frozen=True):
    """The generations, newest first.

    Attributes:
        fields: which members each has; empty for all.
    """

    fields: tuple[str, ...] = ()


class GenerationOf(OfHistory, frozen=True):
    """The newest generation with a serial, and its changes."""

    serial: int


class ChangesOf(OfHistory, frozen=True):
    """The changes that match all that is given, newest first.

    Attributes:
        prefix, relation: "192.0.2.0/24" and how VRPs have to relate to it; "" for any.
        asn: of VRPs and router keys, or the customer of an ASPA; None for any.
        kind: of the payload; None for any.
        since, until: serials, after and up to which; None for no bound.
        since_time, until_time: the same in Unix seconds.
    """

    prefix: str = ""
    relation: Relation = Relation.RELATED
    asn: int | None = None
    kind: Kind | None = None
    since: int | None = None
    until: int | None = None
    since_time: float = 0.0
    until_time: float = END_OF_TIME


class DiffOf(OfHistory, frozen=True):
    """What leads from one serial to another."""

    first: int
    last: int


# Every question that there is.
Asked = VrpsOf | AspasOf | AspaOf | RouterKeysOf | ValidityOf | GenerationsOf | GenerationOf | ChangesOf | DiffOf


class Refused(msgspec.Struct, frozen=True):
    """Why a question has no answer: a problem (see `web.api.problems`)."""

    status: int
    detail: str
    parameter: str | None = None


class Piece(msgspec.Struct, frozen=True):
    """A piece of an answer.

    Attributes:
        octets: coded.
        next: where it goes on; None at its end.
        refused: instead of the first piece, why there is none.
    """

    octets: bytes = b""
    next: Place | None = None
    refused: Refused | None = None
