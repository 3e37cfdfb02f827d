"""The lookup process: it answers questions about tables, a piece at a time.

What it keeps, it keeps to be fast: mapped tables, and what a filter has found. A question brings all else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from pyrtr import processes
from pyrtr.store.archive_search import Reader
from pyrtr.store.table_file import StoredTable
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.coding import Coding, encode
from pyrtr.web.lookup import history, objects, validity, vrps
from pyrtr.web.lookup.listing import Answer, Listing
from pyrtr.web.lookup.messages import (
    Asked,
    AspaOf,
    AspasOf,
    ChangesOf,
    DiffOf,
    GenerationOf,
    GenerationsOf,
    OfHistory,
    Piece,
    Place,
    Question,
    Refused,
    RouterKeysOf,
    TableName,
    ValidityOf,
    VrpsOf,
)
from pyrtr.web.lookup.tables import MAX_TABLES, Recent, open_table

# Routers come first.
NICENESS = 10
# Streams take turns, and each needs what its filter has found again and again: more than may be under way at once.
MAX_LISTINGS = 8


class Worker:
    """Answers."""

    def __init__(self) -> None:
        self._tables: Recent[TableName, StoredTable] = Recent(open_table, MAX_TABLES)
        self._readers: Recent[str, Reader] = Recent(lambda path: Reader(Path(path)), 1)
        self._listings: Recent[Any, Answer] = Recent(self._listing, MAX_LISTINGS)

    def answer(self, question: Question) -> Piece:
        """Answer a question with the piece at its place.

        Raises:
            StoreError: what it asks about is gone.
        """
        place = question.place
        try:
            listing = self._listings.get(msgspec.structs.replace(question, place=Place(), coding=Coding.IDENTITY))
            octets, at = listing.piece(place.at)
        except ProblemError as error:
            return Piece(refused=Refused(error.status, error.detail, error.parameter))
        coded, tally = encode(question.coding, octets, place.tally, is_last=at is None)
        return Piece(coded, None if at is None else Place(at, tally))

    def _listing(self, question: Question) -> Answer:
        if isinstance(question, OfHistory):
            return _HISTORIES[type(question)](self._readers.get(question.archive), question)
        return _LISTINGS[type(question)](self._tables.get, question)


# What makes an answer of a question.
_HISTORIES: dict[type[Question], Callable[[Reader, Any], Answer]] = {
    GenerationsOf: history.Generations,
    GenerationOf: history.Generation,
    ChangesOf: history.Changes,
    DiffOf: history.Diff,
}
_LISTINGS: dict[type[Question], Callable[[Callable[[TableName], StoredTable], Any], Listing]] = {
    VrpsOf: vrps.listing,
    AspasOf: objects.aspas,
    AspaOf: objects.aspa,
    RouterKeysOf: objects.router_keys,
    ValidityOf: validity.listing,
}


if __name__ == "__main__":
    os.nice(NICENESS)
    processes.answer_all(cast("type[Question]", Asked), Worker().answer)
