"""8210bis §5.1, §5.3 (RFC 8210 §5.1): what a session id binds, and what becomes of a query with another one."""

from dataclasses import replace

import pytest
from tests.conformance.harness import (
    ALL_VERSIONS,
    FIRST_SERIAL,
    SAMPLE,
    SESSION_IDS,
    Pair,
    is_cache_reset,
    notify,
    report,
)
from tests.model_core import serial_query

from pyrtr.wire.enums import Version

CORRUPT_DATA = 0


def test_each_version_has_its_session(version: int) -> None:
    """B28, B30: Cache Response, End of Data and Serial Notify carry the session of the connection's version."""
    pair = Pair(version, *SAMPLE)
    assert pair.reset().session_id == SESSION_IDS[Version(version)]
    assert notify(pair.publish()).session_id == pair.update().session_id == SESSION_IDS[Version(version)]
    assert len(set(SESSION_IDS.values())) == len(SESSION_IDS)


def test_a_session_goes_on_over_updates(version: int) -> None:
    """B29: the session id stays the same while serials continue."""
    pair = Pair(version, *SAMPLE)
    states = [pair.reset()]
    for values in (SAMPLE[1:], (), SAMPLE):
        pair.publish(*values)
        states.append(pair.update())
    assert {state.session_id for state in states} == {pair.router.session_id}
    assert [state.serial - FIRST_SERIAL for state in states] == [0, 1, 2, 3]


@pytest.mark.parametrize("after_updates", [0, 1])
def test_another_session_than_was_told_is_corrupt(version: int, after_updates: int) -> None:
    """B31: a Serial Query with a session other than the one this connection was told: code 0 with a copy, and close."""
    pair = Pair(version, *SAMPLE)
    sync = pair.reset()
    for _ in range(after_updates):
        pair.publish(*SAMPLE[1:])
        pair.update()
    query = serial_query(version, sync.session_id ^ 1, sync.serial)
    answer = report(pair.send(query))
    assert (answer.code, answer.copy) == (CORRUPT_DATA, query)
    assert pair.closed is not None


@pytest.mark.parametrize("session_id", [0, 1, 0xFFFF])
@pytest.mark.parametrize("serial", [0, FIRST_SERIAL, 2**32 - 1])
def test_an_unknown_session_on_a_fresh_connection_gets_cache_reset(version: int, session_id: int, serial: int) -> None:
    """B32, R4, R15: as first exchange, a session that the cache does not know gets Cache Reset and not code 0."""
    pair = Pair(version, *SAMPLE)
    assert is_cache_reset(pair.query(serial, session_id))
    assert pair.closed is None
    assert pair.reset().session_id != session_id


def test_an_unknown_session_may_be_asked_for_again(version: int) -> None:
    """B32: Cache Reset tells no session, so the next query on the connection is still judged as a first one."""
    pair = Pair(version, *SAMPLE)
    assert is_cache_reset(pair.query(7, 1))
    assert is_cache_reset(pair.query(7, 2))
    pair.reset()
    assert report(pair.query(7, 2)).code == CORRUPT_DATA


@pytest.mark.parametrize("other", ALL_VERSIONS)
def test_a_serial_means_nothing_in_another_version(version: int, other: int) -> None:
    """B28, R4: a session and serial of another version are unknown here: Cache Reset."""
    pair = Pair(other, *SAMPLE)
    sync = pair.reset()
    pair.router.speak(version)
    pair.reconnect()
    answer = pair.send(serial_query(version, sync.session_id, sync.serial))
    assert is_cache_reset(answer) is (version != other)


def test_a_reset_query_moves_the_connection_to_the_current_session(version: int) -> None:
    """B33: a Reset Query may be answered with a new session; the connection then uses that one."""
    pair = Pair(version, *SAMPLE)
    old = pair.reset().session_id
    pair.source = replace(pair.source, session_shift=1)
    assert is_cache_reset(pair.query(pair.router.serial, old))  # known to the connection, no longer to the cache
    assert pair.closed is None
    new = pair.reset().session_id
    assert new == old + 1
    assert pair.update().session_id == new
    assert report(pair.send(serial_query(version, old, 0))).code == CORRUPT_DATA
