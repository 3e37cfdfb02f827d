"""8210bis §9: "If a transport is stalled…": a router that begins a PDU and does not end it."""

import pytest
from tests.conformance.harness import SAMPLE, Pair, report

from pyrtr.session.cache import PDU_TIMEOUT_S

TRANSPORT_FAILURE = 10


def is_closed(pair: Pair) -> bool:
    return pair.closed is not None


@pytest.mark.parametrize("size", [1, 7, 8, 11])
def test_half_a_pdu_times_out(version: int, size: int) -> None:
    """B12, B99: code 10, which the router can still take, where its version has it; else a mere close."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    assert pair.send(pair.router.query()[:size]) == []
    assert pair.wait(PDU_TIMEOUT_S - 1) == []
    assert not is_closed(pair)
    events = pair.wait(1)
    if version == 2:
        assert report(events).code == TRANSPORT_FAILURE
    else:
        assert events == []
    assert pair.closed is not None
    assert not pair.closed.abort  # so that the report arrives


def test_octet_by_octet_gains_nothing(version: int) -> None:
    pair = Pair(version, *SAMPLE)
    pair.reset()
    for octet in pair.router.query()[:11]:
        pair.send(bytes([octet]))
        pair.wait(PDU_TIMEOUT_S / 11)
    assert pair.closed is not None


def test_each_pdu_has_its_time(version: int) -> None:
    """A router whose segments never end where its PDUs end is as good as any."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    query = pair.router.query()
    pair.send(query[:5])
    for _ in range(5):
        pair.wait(PDU_TIMEOUT_S - 1)
        assert len(pair.send(query[5:] + query[:5])) == 1
    pair.send(query[5:])
    pair.wait(86400)
    assert not is_closed(pair)


def test_a_response_is_not_cut_short_for_it(version: int) -> None:
    """The time of a PDU that has begun counts from the end of the response."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = True
    pair.send(bytes([version, 2, 0, 0, 0, 0, 0, 8, version]))
    pair.wait(PDU_TIMEOUT_S * 2)
    pair.go_on()
    pair.wait(PDU_TIMEOUT_S - 1)
    assert not is_closed(pair)
    pair.wait(1)
    assert pair.closed is not None
