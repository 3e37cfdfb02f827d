"""Two calls at once."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref

import numpy as np
import pytest

from pyrtr.threads import both


def test_both_are_done_at_once_and_give_their_results():
    meeting = threading.Barrier(2, timeout=10)
    assert both(lambda: (meeting.wait() >= 0, "here"), lambda: (meeting.wait() >= 0, "there")) == (
        (True, "here"),
        (True, "there"),
    )


@pytest.mark.parametrize(("here", "there"), [(True, False), (False, True), (True, True)])
def test_what_either_raises_is_raised_when_both_have_ended(here, there):
    ended = []

    def call(name: str, *, fails: bool) -> None:
        ended.append(name)
        if fails:
            raise ValueError(name)

    with pytest.raises(ValueError, match="there" if there else "here"):
        both(lambda: call("here", fails=here), lambda: call("there", fails=there))
    assert sorted(ended) == ["here", "there"]


def test_what_a_call_that_failed_had_in_hand_is_let_go_of():
    """Without the garbage collector, which a compile process does not run."""

    def fails() -> None:
        octets = np.zeros(1)
        held.append(weakref.ref(octets))
        raise ValueError

    held: list[weakref.ref[np.ndarray]] = []
    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            both(lambda: None, fails)
        assert held[0]() is None
    finally:
        gc.enable()
