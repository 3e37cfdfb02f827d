"""Two calls at once."""

from __future__ import annotations

import threading

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
