"""8210bis §8.2, §5.3: a router that comes from another cache of a session may hold a serial that we have not yet.

"If the cache cannot provide the delta … it responds with a Cache Reset": it can, a moment later.
"""

from dataclasses import replace

import pytest
from tests.conformance.harness import FIRST_SERIAL, SAMPLE, Pair, Source, is_cache_reset, notify, seen_by, vrp
from tests.model_core import Sync, error_report, reset_query, serial_query
from tests.model_pdus import ERROR_REPORT, Pdu

from pyrtr.payload.table import PayloadTable
from pyrtr.session.cache import CATCH_UP_S, MAX_PENDING, Phase
from pyrtr.wire.enums import ErrorCode

NEXT = (*SAMPLE, vrp("203.0.113.0/24"))
LAST = (*SAMPLE, vrp("203.0.113.0/25"))


def behind(version: int) -> Pair:
    """A cache that follows another one, and is behind: its router has seen one serial more on the other."""
    pair = Pair(version)
    ahead = Source(PayloadTable.of(SAMPLE), may_catch_up=True).updated(*NEXT)
    pair.source = ahead
    pair.reset()
    pair.source = Source(PayloadTable.of(SAMPLE), may_catch_up=True)
    pair.reconnect()
    return pair


def test_a_router_that_is_ahead_waits_for_the_publication(version: int) -> None:
    """The query is answered with an empty delta as soon as its serial is published, and without a Cache Reset."""
    pair = behind(version)
    assert pair.send(pair.router.query()) == []
    assert pair.session.phase is Phase.WAITING
    [sync] = pair.publish(*NEXT)
    assert isinstance(sync, Sync)
    assert (sync.pdus, sync.serial, pair.router.full_syncs) == ((), FIRST_SERIAL + 1, 1)
    assert pair.session.deadline is None
    assert pair.session.serial_queries == 1
    pair.wait(60)
    assert notify(pair.publish(*LAST)).serial == FIRST_SERIAL + 2
    assert pair.update().payload == seen_by(version, *LAST)


def test_a_publication_that_does_not_reach_the_serial_is_not_enough(version: int) -> None:
    """Two serials behind: the first of them is not what the router waits for."""
    pair = behind(version)
    pair.query(FIRST_SERIAL + 2)
    assert pair.publish(*NEXT) == []
    assert pair.session.deadline == pair.now + CATCH_UP_S
    [sync] = pair.publish(*LAST)
    assert isinstance(sync, Sync)
    assert sync.serial == FIRST_SERIAL + 2


def test_a_serial_that_never_comes_is_answered_with_a_cache_reset(version: int) -> None:
    pair = behind(version)
    assert pair.send(pair.router.query()) == []
    assert pair.wait(CATCH_UP_S - 0.1) == []
    assert is_cache_reset(pair.wait(0.1))
    assert pair.reset().payload == seen_by(version, *SAMPLE)
    assert pair.session.deadline is None


@pytest.mark.parametrize(
    ("serial", "change"),
    [
        (FIRST_SERIAL - 1, {}),  # older: it is not going to come
        (FIRST_SERIAL + 2**31, {}),  # RFC 1982: neither newer nor older
        (FIRST_SERIAL + 1, {"may_catch_up": False}),
        (FIRST_SERIAL + 1, {"session_shift": 1}),  # of a session that we know nothing of
    ],
)
def test_nothing_else_waits(version: int, serial: int, change: dict[str, object]) -> None:
    pair = behind(version)
    pair.source = replace(pair.source, **change)  # type: ignore[arg-type]  # members by name
    assert is_cache_reset(pair.query(serial, pair.router.session_id))


def test_what_comes_after_waits_its_turn(version: int) -> None:
    """§8: answers come in the order of the queries."""
    pair = behind(version)
    assert pair.send(pair.router.query()) == []
    assert pair.send(reset_query(version)) == []
    first, second = pair.publish(*NEXT)
    assert isinstance(first, Sync)
    assert isinstance(second, Sync)
    assert (first.is_full, second.is_full) == (False, True)


def test_a_router_that_asks_on_and_on_is_not_read_from() -> None:
    pair = behind(2)
    pair.send(pair.router.query() + serial_query(2, pair.router.session_id or 0, FIRST_SERIAL + 1) * (MAX_PENDING - 1))
    assert not pair.session.wants_input
    assert len(pair.publish(*NEXT)) == MAX_PENDING
    assert pair.session.wants_input


def test_a_fault_is_reported_after_the_answer(version: int) -> None:
    pair = behind(version)
    pair.send(pair.router.query())
    assert pair.send(bytes([version, 99, 0, 0, 0, 0, 0, 8])) == []
    sync, fault = pair.publish(*NEXT)
    assert isinstance(sync, Sync)
    assert isinstance(fault, Pdu)
    assert fault.type == ERROR_REPORT
    assert pair.closed is not None


def test_a_router_that_gives_up_is_heard(version: int) -> None:
    pair = behind(version)
    pair.send(pair.router.query())
    pair.send(error_report(version, ErrorCode.INTERNAL_ERROR))
    assert pair.closed is not None
    assert pair.session.deadline is None


def test_a_cache_that_stops_does_not_wait(version: int) -> None:
    pair = behind(version)
    pair.send(pair.router.query())
    pair.leave(None)
    assert pair.closed is not None


@pytest.mark.parametrize("serial", [FIRST_SERIAL, FIRST_SERIAL + 1])
def test_a_session_that_is_over_ends_the_connection(version: int, serial: int) -> None:
    """§5.1: serials of two sessions can't be compared: the router may hold the very number that is new."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    pair.source = replace(Source(PayloadTable.of(NEXT)), session_shift=1, serial=serial)
    assert pair.remind() == []
    assert pair.closed is not None
    pair.reconnect()
    assert is_cache_reset(pair.send(pair.router.query()))
    assert pair.reset().payload == seen_by(version, *NEXT)
