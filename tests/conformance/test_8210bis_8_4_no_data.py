"""8210bis §8.4 to §8.6 (RFC 8210 §8.4): a cache without data, and one that goes away."""

from dataclasses import replace

import pytest
from tests.conformance.harness import SAMPLE, Pair, Source, report, seen_by
from tests.model_core import Event, Sync, reset_query
from tests.model_pdus import ERROR_REPORT, Pdu

from pyrtr.wire.enums import ErrorCode

NO_DATA = 2
FAREWELLS = [ErrorCode.CACHE_RESTART, ErrorCode.CACHE_SHUTDOWN, None]


def codes(events: list[Event]) -> list[int]:
    return [event.code for event in events if isinstance(event, Pdu) and event.type == ERROR_REPORT]


@pytest.mark.parametrize("is_serial", [True, False])
def test_no_data_is_not_the_end(version: int, is_serial: bool) -> None:
    """B79, B91: no usable data yet: code 2 to either query; the connection stays, and serves a later query."""
    pair = Pair(version)
    pair.source = Source(is_ready=False)
    for _ in range(3):
        answer = report(pair.query(7) if is_serial else pair.send(reset_query(version)))
        assert (answer.code, answer.copy) == (NO_DATA, b"")
    pair.source = Source(Pair(version, *SAMPLE).source.table)
    assert pair.closed is None
    assert pair.reset().payload == seen_by(version, *SAMPLE)


def test_data_that_is_gone_for_a_while_does_not_end_a_session(version: int) -> None:
    """B91, B92: between two code 2 the router keeps its session and serial, and resumes with them."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    pair.source = replace(pair.source, is_ready=False)
    assert report(pair.send(pair.router.query())).code == NO_DATA
    pair.source = replace(pair.source, is_ready=True)
    assert pair.update().pdus == ()


@pytest.mark.parametrize("farewell", FAREWELLS)
def test_leaving_an_idle_router(version: int, farewell: ErrorCode | None) -> None:
    """B93, B94, B95: code 12 or 13 to a version 2 router, nothing to the others, and then a close."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    assert codes(pair.leave(farewell)) == ([farewell] if version == 2 and farewell else [])
    assert pair.closed is not None


@pytest.mark.parametrize("farewell", FAREWELLS)
def test_leaving_in_mid_response(version: int, farewell: ErrorCode | None) -> None:
    """B63, B93, B95: the response in hand is finished first; queries that wait behind it are not answered."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = True
    pair.send(reset_query(version) * 2)
    assert pair.leave(farewell) == []
    assert pair.closed is None
    assert pair.send(reset_query(version)) == []
    sync, *rest = pair.go_on()
    assert isinstance(sync, Sync)
    assert codes(rest) == ([farewell] if version == 2 and farewell else [])
    assert len(rest) == len(codes(rest))
    assert pair.closed is not None


@pytest.mark.parametrize("farewell", FAREWELLS)
def test_leaving_before_a_version_is_agreed(version: int, farewell: ErrorCode | None) -> None:
    """B22, B95: a router whose version is not known yet is told nothing."""
    pair = Pair(version, *SAMPLE)
    pair.send(reset_query(version)[:7])
    assert pair.leave(farewell) == []
    assert pair.closed is not None


def test_a_cache_that_has_left_says_no_more(version: int) -> None:
    """B93: nothing follows the farewell: no answer, no Notify."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    pair.leave(ErrorCode.CACHE_RESTART)
    heard = len(pair.events)
    pair.send(reset_query(version))
    pair.publish()
    pair.wait(3600)
    pair.leave(ErrorCode.CACHE_SHUTDOWN)
    assert len(pair.events) == heard
