"""What the lookup process is asked, and what it answers.

Each question is answered in one piece, with a place to go on from: the next question is the same with that place. So
the process keeps nothing of a stream, and another one can go on with it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pyrtr.payload.origin import Match
from pyrtr.web.coding import Coding, Tally


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
        tally: what was coded before.
    """

    at: tuple[int, ...] = ()
    tally: Tally = Tally()


class Question(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What all questions have in common.

    Attributes:
        coding: of the answer.
        place: where it goes on.
    """

    coding: Coding = Coding.IDENTITY
    place: Place = Place()


class VrpsOf(Question, frozen=True):
    """The VRPs of a table that match all that is given.

    Attributes:
        table: the table.
        form: of the answer.
        head: the members that stand before the list, as a JSON object.
        prefix, match: "192.0.2.0/24" and how VRPs have to relate to it; "" for any.
        asn, anchor: of the VRPs; None for any.
        limit: how many at most; None for all.
        after: the row that the page before ended with; empty for the first.
        url: of this page, without its cursor and without an end.
    """

    table: TableName
    form: Form
    head: bytes = b"{}"
    prefix: str = ""
    match: Match = Match.EXACT
    asn: int | None = None
    anchor: str | None = None
    limit: int | None = None
    after: bytes = b""
    url: str = ""


# Every question that there is: history adds its own.
Asked = VrpsOf


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
