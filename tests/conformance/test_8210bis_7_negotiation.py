"""8210bis §7 (RFC 8210 §7): which version is spoken, and what becomes of any other."""

from dataclasses import replace

import pytest
from tests.conformance.harness import ALL_VERSIONS, PAYLOAD_TYPES, SAMPLE, Pair, Source, report, seen_by
from tests.model_core import Sync, error_report, reset_query, serial_query
from tests.model_pdus import ERROR_REPORT, Pdu

UNSUPPORTED_VERSION, UNEXPECTED_VERSION = 4, 8
RANGES = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]  # lowest and highest version of a cache
SERVED = [(low, high, asked) for low, high in RANGES for asked in range(low, high + 1)]
TOO_HIGH = [(low, high, asked) for low, high in RANGES for asked in (high + 1, 3, 77, 255)]
TOO_LOW = [(low, high, asked) for low, high in RANGES for asked in range(low)]
MIXED = [(version, other) for version in ALL_VERSIONS for other in (*ALL_VERSIONS, 3, 255) if other != version]


def pair_of(low: int, high: int, asked: int) -> Pair:
    return Pair(asked, *SAMPLE, cache_versions=range(low, high + 1))


@pytest.mark.parametrize(("low", "high", "asked"), SERVED)
def test_a_served_version_is_spoken_from_first_to_last(low: int, high: int, asked: int) -> None:
    """B14, B23: the version of the first PDU is that of every PDU, across Cache Reset, code 2 and new queries."""
    pair = pair_of(low, high, asked)
    ready = pair.source
    pair.source = Source(is_ready=False)
    assert report(pair.send(reset_query(asked))).version == asked
    pair.source = ready
    pair.reset()
    pair.query(pair.router.serial - 7)
    pair.publish()
    assert pair.update().payload == frozenset()
    assert {event.version for event in pair.events if isinstance(event, Pdu)} == {asked}
    assert pair.router.cache_resets == 1
    assert pair.closed is None


@pytest.mark.parametrize(("low", "high", "asked"), TOO_HIGH)
@pytest.mark.parametrize("is_serial", [True, False])
def test_a_higher_version_is_refused_in_our_highest(low: int, high: int, asked: int, is_serial: bool) -> None:
    """B15, B16, B25, R2: Q > C gets an Error Report of version C with code 4, and the connection stays open."""
    pair = pair_of(low, high, asked)
    query = serial_query(asked, 9, 9) if is_serial else reset_query(asked)
    answer = report(pair.send(query))
    assert (answer.code, answer.version, answer.copy) == (UNSUPPORTED_VERSION, high, query)
    assert pair.closed is None


@pytest.mark.parametrize(("low", "high", "asked"), TOO_HIGH)
@pytest.mark.parametrize("step", [0, 1])
def test_a_refused_router_may_ask_again_on_the_same_connection(low: int, high: int, asked: int, step: int) -> None:
    """B16, B17, R1: the refused PDU is consumed whole, whatever its octets say, and the next query is served."""
    pair = pair_of(low, high, asked)
    report(pair.send(serial_query(asked, 0x0102, 0x01020000), step))
    pair.router.speak(high)
    (answer,) = pair.send(reset_query(high), step)
    assert isinstance(answer, Sync)
    assert pair.router.payload == seen_by(high, *SAMPLE)


@pytest.mark.parametrize("step", [0, 1, 9])
def test_a_refused_pdu_is_consumed_by_its_length(step: int) -> None:
    """B17: that holds for a PDU of any type and length, even with a query inside."""
    pair = Pair(3, *SAMPLE)
    odd = bytes([3, 200, 0, 0, 0, 0, 0, 20]) + reset_query(2) + b"\2\2\2\2"
    assert report(pair.send(odd, step)).copy == odd
    pair.router.speak(2)
    assert pair.reset().payload == seen_by(2, *SAMPLE)


def test_both_attempts_may_share_a_segment() -> None:
    """B1, B17: a query of a refused version and one of a served version in one segment get one answer each."""
    pair = Pair(2, *SAMPLE)
    refusal, answer = pair.send(serial_query(3, 0x0202, 0x02020000) + reset_query(2))
    assert isinstance(refusal, Pdu)
    assert refusal.code == UNSUPPORTED_VERSION
    assert isinstance(answer, Sync)


@pytest.mark.parametrize(("low", "high", "asked"), TOO_LOW)
def test_a_lower_version_is_refused_and_disconnected(low: int, high: int, asked: int) -> None:
    """B18, B25: Q < M gets an Error Report of version C with code 4, and the connection is closed."""
    pair = pair_of(low, high, asked)
    answer = report(pair.send(reset_query(asked)))
    assert (answer.code, answer.version) == (UNSUPPORTED_VERSION, high)
    assert pair.closed is not None


def test_a_refused_router_that_falls_silent_is_closed_in_the_end() -> None:
    """B16, R11: the invitation to ask again stands for a minute, half a PDU does not prolong it."""
    pair = Pair(3, *SAMPLE)
    report(pair.send(reset_query(3)))
    pair.wait(59)
    pair.send(reset_query(2)[:5])
    assert pair.closed is None
    assert pair.wait(1) == []
    assert pair.closed is not None


@pytest.mark.parametrize("is_ready", [True, False])
def test_a_served_router_is_not_closed_for_an_earlier_refusal(is_ready: bool) -> None:
    """B13, B16: once a version is agreed, the minute no longer counts, even if there was no data to serve."""
    pair = Pair(3, *SAMPLE)
    pair.source = replace(pair.source, is_ready=is_ready)
    report(pair.send(reset_query(3)))
    pair.router.speak(2)
    assert len(pair.send(reset_query(2))) == 1
    assert pair.wait(86400) == []
    assert pair.closed is None


def test_a_router_that_never_learns_is_closed() -> None:
    """B16: the invitation is not for ever: at the fourth refusal the connection is closed."""
    pair = Pair(3, *SAMPLE)
    for _ in range(3):
        report(pair.send(reset_query(3)))
        assert pair.closed is None
    report(pair.send(reset_query(3)))
    assert pair.closed is not None


@pytest.mark.parametrize("asked", [*ALL_VERSIONS, 3, 77, 255])
@pytest.mark.parametrize("copy", [b"", reset_query(2), b"\xff" * 40])
def test_an_error_report_first_is_closed_in_silence(asked: int, copy: bytes) -> None:
    """B19, B20, B85: no answer to an Error Report, whatever its version; before any query the connection is closed."""
    pair = Pair(asked, *SAMPLE)
    assert pair.send(error_report(asked, 0, copy)) == []
    assert pair.closed is not None


def test_lower_versions_get_no_newer_features(version: int) -> None:
    """B21: no Router Key below version 1, no ASPA below 2, and End of Data without intervals in version 0."""
    pair = Pair(version, *SAMPLE)
    sync = pair.reset()
    assert {pdu.type for pdu in sync.pdus} == PAYLOAD_TYPES[version]
    assert (sync.timing is None) == (version == 0)


def test_no_notify_before_a_version_is_agreed(version: int) -> None:
    """B22: no Serial Notify before negotiation is complete, and none in front of the first answer."""
    pair = Pair(version, *SAMPLE)
    assert pair.publish() == []
    assert pair.wait(3600) == []
    assert pair.send(reset_query(version)[:6]) == []
    assert pair.publish(*SAMPLE) == []
    (answer,) = pair.send(reset_query(version)[6:])
    assert isinstance(answer, Sync)
    assert pair.wait(3600) == []


@pytest.mark.parametrize(("version", "other"), MIXED)
@pytest.mark.parametrize("is_slow", [True, False])
def test_another_version_after_negotiation_is_dropped(version: int, other: int, is_slow: bool) -> None:
    """B24, B100: a PDU of another version gets code 8 in the negotiated one, and a close; version 0 has none."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = is_slow
    pair.send(reset_query(version))
    pair.send(reset_query(other))
    if is_slow:
        assert pair.closed is None  # the response in hand is finished first
        pair.go_on()
    sync, *reports = pair.events
    assert isinstance(sync, Sync)
    assert [(event.version, event.code) for event in reports if isinstance(event, Pdu)] == (
        [] if version == 0 else [(version, UNEXPECTED_VERSION)]
    )
    assert pair.closed is not None


@pytest.mark.parametrize(("version", "other"), MIXED)
def test_an_error_report_of_another_version_is_closed_in_silence(version: int, other: int) -> None:
    """B24, B85, R10: no report in answer to a report, even to one in the wrong version."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    assert pair.send(error_report(other, 8)) == []
    assert pair.closed is not None
    assert ERROR_REPORT not in {event.type for event in pair.events if isinstance(event, Pdu)}
