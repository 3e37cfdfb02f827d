"""What is logged: of each key so much in a window, and no more."""

from __future__ import annotations

from pyrtr.server.lines import WINDOW_S, Lines

MOST = 7


def test_every_key_has_room_of_its_own_in_every_window() -> None:
    now = 1000.0
    lines = Lines[str](MOST, lambda: now)
    for window in range(3):
        for key in ("one", "other"):
            answers = [lines.unlogged_before(key) for _ in range(MOST + 5)]
            assert answers[1:] == [0] * (MOST - 1) + [None] * 5
            assert answers[0] == (0 if (window, key) == (0, "one") else 5)
        now += WINDOW_S


def test_what_is_counted_is_bounded_by_one_window() -> None:
    now = 1000.0
    lines = Lines[int](MOST, lambda: now)
    for number in range(1000):
        lines.unlogged_before(number)
    now += WINDOW_S
    lines.unlogged_before(0)
    assert len(lines._counts) == 1
