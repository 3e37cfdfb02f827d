"""RFC 1982 with 32 bits."""

import pytest

from pyrtr.payload.serial import State, is_newer, next_serial, previous_serial

HALF, LAST = 2**31, 2**32 - 1


@pytest.mark.parametrize(("serial", "after"), [(0, 1), (HALF - 1, HALF), (LAST - 1, LAST), (LAST, 0)])
def test_the_serial_after(serial, after):
    assert next_serial(serial) == after
    assert previous_serial(after) == serial
    assert is_newer(after, serial)
    assert not is_newer(serial, after)


@pytest.mark.parametrize(
    ("newer", "older"),
    [(1, 0), (0, LAST), (100, LAST), (HALF - 1, 0), (HALF, 1), (0, HALF + 1), (HALF - 2, LAST), (LAST, HALF)],
)
def test_newer(newer, older):
    assert is_newer(newer, older)
    assert not is_newer(older, newer)


@pytest.mark.parametrize(("one", "other"), [(0, 0), (LAST, LAST), (0, HALF), (1, HALF + 1), (HALF - 1, LAST)])
def test_neither_is_newer(one, other):
    assert not is_newer(one, other)
    assert not is_newer(other, one)


def test_a_state_is_compared_by_value():
    assert State(1, 2) == State(1, 2) != State(2, 2)
    assert len({State(1, 2), State(1, 2), State(1, 3)}) == 2
