"""The lookup process: it answers questions about tables, a piece at a time.

Mapped tables and what a filter has found are kept to be fast; the encoder of a stream is kept until its end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from pyrtr import processes
from pyrtr.errors import StoreError
from pyrtr.store.archive_search import Reader
from pyrtr.store.table_file import StoredTable
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.coding import Coding, Encoder
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
# Streams take turns, and each needs again and again what its filter has found: as many as may be under way at once, and
# some that nobody reads any more.
MAX_LISTINGS = 16
MAX_STREAMS = 16
_NUMBER_BITS = 60


class Worker:
    """Answers."""

    def __init__(self) -> None:
        self._tables: Recent[TableName, StoredTable] = Recent(open_table, MAX_TABLES)
        self._readers: Recent[str, Reader] = Recent(lambda path: Reader(Path(path)), 1)
        self._streams: OrderedDict[int, Encoder] = OrderedDict()
        self._listings: Recent[Any, Answer] = Recent(self._listing, MAX_LISTINGS)

    def answer(self, question: Question) -> Piece:
        """Answer a question with the piece at its place.

        Raises:
            StoreError: what it asks about is gone.
        """
        place = question.place
        try:
            listing = self._listings.get(msgspec.structs.replace(question, place=Place(), coding=Coding.IDENTITY))
            number, encoder = self._stream(question)
            octets, at = listing.piece(place.at)
        except ProblemError as error:
            return Piece(refused=Refused(error.status, error.detail, error.parameter))
        coded = encoder.encode(octets, is_last=at is None)
        if at is None:
            return Piece(coded)
        self._streams[number] = encoder
        while len(self._streams) > MAX_STREAMS:
            self._streams.popitem(last=False)
        return Piece(coded, Place(at, number))

    def _stream(self, question: Question) -> tuple[int, Encoder]:
        number = question.place.stream
        if not number:
            return secrets.randbits(_NUMBER_BITS) + 1, Encoder(question.coding)
        if number not in self._streams:
            raise StoreError("the process that began the answer is gone")
        return number, self._streams.pop(number)

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


def give_way() -> None:
    """Let everything else go first, where the service manager does not forbid even that (`SystemCallFilter`)."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)


if __name__ == "__main__":
    give_way()
    processes.answer_all(cast("type[Question]", Asked), Worker().answer)
