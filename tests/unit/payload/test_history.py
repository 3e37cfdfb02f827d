"""The window: which serials can be asked for, and when a step is no longer worth keeping."""

from dataclasses import replace

import numpy as np
import pytest

from pyrtr.payload.delta import NO_CHANGE, Delta, RowChanges
from pyrtr.payload.history import SMALL_DELTA, History, Step
from pyrtr.payload.order import IPV4_ROW
from pyrtr.payload.serial import next_serial


def delta_of(size: int) -> Delta:
    """A delta that only has a size."""
    return replace(NO_CHANGE, ipv4=RowChanges(np.zeros(size, IPV4_ROW), NO_CHANGE.ipv4.withdraw))


def history_of(sizes: list[int], *, first: int = 10, max_steps: int = 100, table_size: int = 0) -> History:
    history, serial = History(), first
    for size in sizes:
        history = history.followed_by(Step(serial, delta_of(size)), max_steps=max_steps, table_size=table_size)
        serial = next_serial(serial)
    return history


def test_nothing_yet():
    assert History().serials == ()
    assert History().since(0) is None


@pytest.mark.parametrize(
    ("max_steps", "serials"),
    [(0, ()), (1, (13,)), (3, (11, 12, 13)), (4, (10, 11, 12, 13)), (5, (10, 11, 12, 13))],
)
def test_the_newest_steps_are_kept(max_steps, serials):
    assert history_of([1, 1, 1, 1], max_steps=max_steps).serials == serials


@pytest.mark.parametrize(
    ("sizes", "table_size", "kept"),
    [
        pytest.param([SMALL_DELTA], 0, 1, id="small enough in itself"),
        pytest.param([SMALL_DELTA + 1], SMALL_DELTA, 0, id="larger than the table"),
        pytest.param([SMALL_DELTA + 1], SMALL_DELTA + 1, 1, id="as large as the table"),
        pytest.param([1, SMALL_DELTA - 1], 0, 2, id="together as large as allowed"),
        pytest.param([1, SMALL_DELTA], 0, 1, id="together too large"),
        pytest.param([1, SMALL_DELTA + 1, 1], 0, 1, id="no step behind one that is too large"),
        pytest.param([40000, 40000, 40000], 80000, 2, id="the newest that fit"),
        pytest.param([0, SMALL_DELTA], 0, 2, id="an empty step costs nothing"),
    ],
)
def test_the_sum_of_changes_is_no_larger_than_the_table(sizes, table_size, kept):
    newest = tuple(range(10 + len(sizes) - kept, 10 + len(sizes)))
    assert history_of(sizes, table_size=table_size).serials == newest


def test_the_table_that_counts_is_the_current_one():
    large = history_of([SMALL_DELTA, 10], table_size=10**6)
    assert large.serials == (10, 11)
    assert large.followed_by(Step(12, delta_of(1)), max_steps=9, table_size=5).serials == (11, 12)


def test_since_gives_the_steps_from_a_serial_to_the_current_one():
    history = history_of([1, 2, 3])
    assert [len(delta) for delta in history.since(10) or ()] == [1, 2, 3]
    assert [len(delta) for delta in history.since(11) or ()] == [2, 3]
    assert [len(delta) for delta in history.since(12) or ()] == [3]


@pytest.mark.parametrize("serial", [9, 13, 14, 0, 12 + 2**31, 2**32 - 1])
def test_a_serial_that_is_not_retained(serial):
    assert history_of([1, 2, 3]).since(serial) is None


def test_serials_across_the_wrap():
    history = history_of([1, 2, 3, 4], first=2**32 - 2, max_steps=3)
    assert history.serials == (2**32 - 1, 0, 1)
    assert [len(delta) for delta in history.since(2**32 - 1) or ()] == [2, 3, 4]
    assert [len(delta) for delta in history.since(0) or ()] == [3, 4]
    assert history.since(2**32 - 2) is None


def test_a_history_is_never_changed():
    history = history_of([1])
    history.followed_by(Step(11, delta_of(1)), max_steps=1, table_size=0)
    assert history.serials == (10,)
