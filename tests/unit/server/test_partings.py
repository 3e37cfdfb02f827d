"""Why a conversation ended, in one word: every way in which our side ends one has its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.unit.web.world import SESSION_IDS, published

from pyrtr.payload.table import PayloadTable
from pyrtr.session.actions import Parting
from pyrtr.session.cache import MAX_REFUSALS, OPENING_TIMEOUT_S, CacheSession
from pyrtr.wire.codec import encode
from pyrtr.wire.enums import ErrorCode, Version
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.pdu import ErrorReport, ResetQuery, SerialQuery

PUBLISHED = published(PayloadTable.of())
QUERY = encode(Version.V1, ResetQuery())
TOO_HIGH = bytes([7]) + QUERY[1:]


def synced() -> CacheSession:
    session = CacheSession(Version.V0, Version.V2)
    session.receive(QUERY, PUBLISHED, 0)
    session.responded(PUBLISHED, 0)
    return session


def refused(session: CacheSession) -> None:
    for _ in range(MAX_REFUSALS):
        session.receive(TOO_HIGH, PUBLISHED, 0)


def silent(session: CacheSession) -> None:
    session.receive(QUERY[:3], PUBLISHED, 0)
    session.timer(PUBLISHED, OPENING_TIMEOUT_S)


def stalled(session: CacheSession) -> None:
    session.blocked(PUBLISHED, 0)
    session.timer(PUBLISHED, 3 * PUBLISHED.timing.retry)


def told(session: CacheSession) -> None:
    session.receive(encode(Version.V1, ErrorReport(ErrorCode.INTERNAL_ERROR, b"", "no memory")), PUBLISHED, 0)


def confused(session: CacheSession) -> None:
    session.receive(encode(Version.V1, SerialQuery(7, 7)), PUBLISHED, 0)


def renewed(session: CacheSession) -> None:
    session.notify(replace(PUBLISHED, session_ids={**SESSION_IDS, Version.V1: (9,)}), 0)


def failed(session: CacheSession) -> None:
    session.fail(ProtocolError(ErrorCode.INTERNAL_ERROR, "the answer can't be made"))


@pytest.mark.parametrize(
    ("is_synced", "happens", "parting"),
    [
        (False, refused, Parting.VERSION_REFUSED),
        (False, silent, Parting.SILENT),
        (False, told, Parting.ROUTER_ERROR),
        (True, told, Parting.ROUTER_ERROR),
        (True, stalled, Parting.STALLED),
        (True, confused, Parting.PROTOCOL_ERROR),
        (True, renewed, Parting.SESSION_OVER),
        (True, failed, Parting.INTERNAL_ERROR),
        (True, lambda session: session.leave(ErrorCode.CACHE_RESTART), Parting.STOPPING),
    ],
)
def test_each_end_has_its_word(is_synced: bool, happens: Callable[[CacheSession], object], parting: Parting) -> None:
    session = synced() if is_synced else CacheSession(Version.V0, Version.V2)
    assert session.parting is None
    happens(session)
    assert session.parting is parting
