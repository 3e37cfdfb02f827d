"""8210bis §4, §5.3, §8.1 (RFC 8210 §4): what a serial names, and which ones can be asked from."""

from dataclasses import replace

import pytest
from tests.conformance.harness import (
    FIRST_SERIAL,
    PAYLOAD_TYPES,
    SAMPLE,
    Pair,
    Source,
    is_cache_reset,
    notify,
    seen_by,
    vrp,
)
from tests.model_core import Sync
from tests.model_pdus import ASPA, ROUTER_KEY

from pyrtr.payload.serial import State

MODULUS = 2**32
STEPS = tuple(vrp(f"198.51.100.{number}/32") for number in range(5))


@pytest.mark.parametrize("first", [0, MODULUS - 1, MODULUS - 2, 2**31 - 1, 2**31])
def test_serials_wrap(version: int, first: int) -> None:
    """B34: a serial is 32 bits wide and wraps to 0, which is a value like any other: deltas go on across it."""
    pair = Pair(version)
    pair.source = Source(serial=first)
    assert pair.reset().serial == first
    for count in range(1, len(STEPS) + 1):
        pair.now += 60
        notify(pair.publish(*STEPS[:count]))
        sync = pair.update()
        assert (sync.is_full, sync.serial, len(sync.pdus)) == (False, (first + count) % MODULUS, 1)
    (sync_from_first,) = pair.query(first)
    assert isinstance(sync_from_first, Sync)
    assert len(sync_from_first.pdus) == len(STEPS)


@pytest.mark.parametrize("offset", [-1, 1, 2, 2**31 - 1, 2**31, 2**31 + 1, -(2**30), FIRST_SERIAL * -1])
@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_serial_that_is_not_in_the_history_gets_cache_reset(version: int, offset: int, is_fresh: bool) -> None:
    """B35, B38: too old, never issued, in the future or 2^31 away: Cache Reset, and the Reset Query is served."""
    pair = Pair(version, *SAMPLE)
    if not is_fresh:
        pair.reset()
    assert is_cache_reset(pair.query(FIRST_SERIAL + offset))
    assert pair.closed is None
    assert pair.reset().payload == seen_by(version, *SAMPLE)


@pytest.mark.parametrize("offset", range(-3, 9))
def test_exactly_the_serials_of_the_history_can_be_asked_from(version: int, offset: int) -> None:
    """B35, B38, B39: with the oldest steps gone, the serials that are left get a delta, all others Cache Reset."""
    pair = Pair(version)
    for count in range(1, len(STEPS) + 1):
        pair.publish(*STEPS[:count])
    pair.source = replace(pair.source, history=replace(pair.source.history, steps=pair.source.history.steps[2:]))
    answer = pair.query(FIRST_SERIAL + offset)
    if 2 <= offset <= 5:
        (sync,) = answer
        assert isinstance(sync, Sync)
        assert [pdu.payload[1] for pdu in sync.pdus] == [str(step.prefix) for step in reversed(STEPS[offset:])]
    else:
        assert is_cache_reset(answer)


def test_a_response_belongs_to_one_snapshot(version: int) -> None:
    """B36, B64: a change during a response does not leak into it; End of Data names the serial that was sent."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = True
    pair.send(pair.router.query())
    pair.publish(*SAMPLE[1:])
    pair.publish()
    held_before = pair.session.held
    sync, *notifies = pair.go_on()
    assert isinstance(sync, Sync)
    assert (held_before, pair.session.held) == (None, State(sync.session_id, sync.serial))
    assert (sync.serial, sync.payload) == (FIRST_SERIAL, seen_by(version, *SAMPLE))
    assert notify(notifies).serial == FIRST_SERIAL + 2
    assert pair.update().payload == frozenset()


@pytest.mark.parametrize("is_fresh", [True, False])
def test_the_current_serial_gets_an_empty_response(version: int, is_fresh: bool) -> None:
    """B37: a query with the current serial: Cache Response, no payload, End of Data with that serial."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    if is_fresh:
        pair.reconnect()
    sync = pair.update()
    assert (sync.is_full, sync.pdus, sync.serial) == (False, (), FIRST_SERIAL)


def test_a_router_resumes_on_a_fresh_connection(version: int) -> None:
    """B40: a Serial Query on a fresh connection gets the delta if session, version and serial are known."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    pair.publish(*SAMPLE, *STEPS)
    pair.reconnect()
    sync = pair.update()
    assert (sync.is_full, len(sync.pdus)) == (False, len(STEPS))
    assert sync.payload == seen_by(version, *SAMPLE, *STEPS)


@pytest.mark.parametrize(("dropped", "kind"), [(SAMPLE[3], ROUTER_KEY), (SAMPLE[4], ASPA)])
def test_a_change_that_a_version_does_not_see(version: int, dropped: object, kind: int) -> None:
    """B41: a change that is invisible in a version wakes nobody there and is an empty delta."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    is_visible = kind in PAYLOAD_TYPES[version]
    heard = pair.publish(*(value for value in SAMPLE if value is not dropped))
    assert len(heard) == int(is_visible)
    sync = pair.update()
    assert (sync.serial, len(sync.pdus)) == (FIRST_SERIAL + 1, int(is_visible))


def test_an_update_without_a_change_is_an_empty_delta(version: int) -> None:
    """B41: where a serial was raised for nothing, the delta is empty and nobody is woken."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    assert pair.publish(*SAMPLE) == []
    assert pair.update().pdus == ()
