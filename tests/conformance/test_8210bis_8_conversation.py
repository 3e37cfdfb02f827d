"""8210bis §5.2, §6, §8.1, §8.2, §9: the shape of a response, Serial Notify, the intervals, and stalls."""

from dataclasses import replace

import pytest
from tests.conformance.harness import FIRST_SERIAL, SAMPLE, Pair, Source, is_cache_reset, notify, report, seen_by, vrp
from tests.model_core import Sync, reset_query

from pyrtr.wire.pdu import Timing

OTHERS = tuple(vrp(f"203.0.113.{number}/32") for number in range(8))


def test_nothing_stands_within_a_response(version: int) -> None:
    """B63, B68, R5: Cache Response, payload, End of Data: no Notify, report or second answer in between."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = True
    pair.send(pair.router.query())
    assert pair.publish(*OTHERS) == []
    assert pair.wait(90) == []
    assert pair.send(reset_query(version) + b"\xff" * 16) == []
    first, second, *_ = pair.go_on()
    assert isinstance(first, Sync)
    assert isinstance(second, Sync)
    assert (first.payload, second.payload) == (seen_by(version, *SAMPLE), seen_by(version, *OTHERS))
    assert pair.closed is not None


def test_nothing_is_unsolicited_but_notifies(version: int) -> None:
    """B65: without a query nothing is sent, whatever happens, but Serial Notify."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    for count in range(5):
        pair.source = replace(pair.source, is_ready=bool(count % 2), timing=Timing(refresh=count + 1))
        pair.wait(30)
    assert len(pair.events) == 1
    notify(pair.publish(*OTHERS))


def test_a_change_is_notified(version: int) -> None:
    """B66: a Serial Notify names the current serial when it changes."""
    pair = Pair(version, *SAMPLE)
    session_id = pair.reset().session_id
    heard = notify(pair.publish(*OTHERS))
    assert (heard.session_id, heard.serial, heard.version) == (session_id, FIRST_SERIAL + 1, version)
    pair.wait(3600)
    assert pair.remind() == []  # one serial is told once
    assert pair.update().payload == seen_by(version, *OTHERS)


@pytest.mark.parametrize("answers", [True, False])
def test_notifies_are_a_minute_apart_and_the_last_is_not_lost(version: int, answers: bool) -> None:
    """B67, R6: not more than one Notify per minute; they coalesce to the newest serial, asked upon or ignored."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    notify(pair.publish(*OTHERS[:1]))
    if answers:
        pair.update()
    for count in range(2, 6):
        assert pair.wait(10) == []
        assert pair.publish(*OTHERS[:count]) == []
    assert notify(pair.wait(20)).serial == FIRST_SERIAL + 5
    assert pair.wait(86400) == []
    assert pair.update().payload == seen_by(version, *OTHERS[:5])


def test_a_notify_that_has_become_stale_is_not_sent(version: int) -> None:
    """B67, B68: a router that has asked meanwhile is not told what it has."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    notify(pair.publish(*OTHERS[:1]))
    assert pair.publish(*OTHERS[:2]) == []
    assert pair.update().serial == FIRST_SERIAL + 2
    assert pair.wait(86400) == []


def test_a_router_is_not_notified_of_what_cancels_out(version: int) -> None:
    """B41, B67: a change that was taken back before the minute was over is no news."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    notify(pair.publish(*OTHERS))
    pair.update()
    assert pair.publish(*SAMPLE) == []
    assert pair.publish(*OTHERS) == []
    assert pair.wait(86400) == []


def test_a_change_within_a_response_is_notified_after_it(version: int) -> None:
    """B66, B68: what changed while a response was sent is told right after its End of Data."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = True
    pair.send(pair.router.query())
    pair.publish(*OTHERS)
    sync, *rest = pair.go_on()
    assert isinstance(sync, Sync)
    assert notify(rest).serial == FIRST_SERIAL + 1


@pytest.mark.parametrize("is_ready", [True, False])
def test_no_notify_to_a_router_without_data(version: int, is_ready: bool) -> None:
    """B68: none to a router that has had only Cache Reset or code 2."""
    pair = Pair(version, *SAMPLE)
    pair.source = replace(pair.source, is_ready=is_ready)
    assert len(pair.query(7)) == 1
    pair.source = replace(pair.source, is_ready=True)
    assert pair.publish(*OTHERS) == []
    assert pair.wait(3600) == []


def test_any_query_may_come_at_any_time(version: int) -> None:
    """R5, R7: Reset Queries twice in a row, instead of a Serial Query after Notify, and polling without a pause."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    notify(pair.publish(*OTHERS))
    assert pair.reset().payload == pair.reset().payload == seen_by(version, *OTHERS)
    for _ in range(100):
        assert pair.update().pdus == ()
    assert is_cache_reset(pair.query(7))
    assert pair.reset().payload == seen_by(version, *OTHERS)


@pytest.mark.parametrize("timing", [Timing(), Timing(1, 1, 600), Timing(86400, 7200, 172800), Timing(599, 600, 601)])
def test_end_of_data_tells_the_intervals(version: int, timing: Timing) -> None:
    """B69, B70, B71: the intervals in force, within their ranges (the model router checks); none in version 0."""
    pair = Pair(version, *SAMPLE)
    pair.source = replace(pair.source, timing=timing)
    told = (timing.refresh, timing.retry, timing.expire)
    for sync in (pair.reset(), pair.update()):
        assert sync.timing == (None if version == 0 else told)


@pytest.mark.parametrize("retry", [1, 600, 7200])
def test_a_stalled_router_is_given_up(version: int, retry: int) -> None:
    """B99, R12: a transport that takes nothing for three Retry Intervals is terminated."""
    pair = Pair(version, *SAMPLE)
    pair.source = Source(pair.source.table, timing=Timing(retry=retry, expire=172800))
    pair.is_slow = True
    pair.send(reset_query(version))
    assert pair.wait(3 * retry - 1) == []
    pair.session.progressed(pair.source, pair.now)  # some octets were taken: the time starts again
    pair.wait(3 * retry - 1)
    assert pair.session.wants_input
    assert pair.wait(1) == []
    assert pair.closed is not None
    assert pair.closed.abort


def test_a_router_that_takes_an_answer_in_drops_is_given_up(version: int) -> None:
    """B102: each former table that somebody is still sent takes memory; after the Expire Interval it is of no use."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = True
    pair.send(reset_query(version))
    for _ in range(7):
        pair.wait(1000)
        pair.session.progressed(pair.source, pair.now)
    pair.wait(199)
    assert pair.session.wants_input
    assert pair.wait(1) == []
    assert pair.closed is not None
    assert pair.closed.abort
    assert pair.closed.reason == "an answer not taken within the expire interval"


def test_a_router_that_reads_again_is_not_given_up(version: int) -> None:
    """R12: a router that was busy for minutes gets the rest of its response, and stays."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = True
    pair.send(reset_query(version))
    pair.wait(600)
    (sync,) = pair.go_on()
    assert isinstance(sync, Sync)
    pair.wait(86400)
    assert pair.closed is None


def test_a_query_behind_a_bad_pdu_is_not_answered(version: int) -> None:
    """B3, B9: nothing that follows a fatal fault counts; what came before it is answered first."""
    pair = Pair(version, *SAMPLE)
    bad = bytes([version, 99, 0, 0, 0, 0, 0, 8])
    sync, *rest = pair.send(reset_query(version) + bad + reset_query(version))
    assert isinstance(sync, Sync)
    assert report(rest).copy == bad
