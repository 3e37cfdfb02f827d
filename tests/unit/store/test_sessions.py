"""Session ids: never two the same, and none forgotten that a router may come back with."""

from __future__ import annotations

import pytest

from pyrtr.store.sessions import MAX_FORMER, new_session_ids, restarted
from pyrtr.wire.enums import Version


def test_new_ones_differ_from_version_to_version_and_from_time_to_time():
    drawn = [new_session_ids() for _ in range(50)]
    for ids in drawn:
        assert set(ids) == set(Version)
        assert all(len(former) == 1 for former in ids.values())
        chosen = {former[0] for former in ids.values()}
        assert len(chosen) == len(Version)
        assert chosen <= set(range(2**16))
    assert len({ids[Version.V1] for ids in drawn}) > 40


@pytest.mark.parametrize("count", [1, 2, MAX_FORMER, MAX_FORMER + 1, MAX_FORMER + 9])
def test_a_restart_gives_version_0_another_one_and_keeps_the_former(count):
    first = ids = new_session_ids()
    told = [first[Version.V0][0]]
    for _ in range(count):
        ids = restarted(ids)
        told.insert(0, ids[Version.V0][0])
    assert ids[Version.V0] == tuple(told[: MAX_FORMER + 1])
    assert len(set(ids[Version.V0])) == len(ids[Version.V0])
    assert {version: ids[version] for version in (Version.V1, Version.V2)} == {
        version: first[version] for version in (Version.V1, Version.V2)
    }


def test_one_that_is_taken_is_not_drawn(monkeypatch):
    ids = {Version.V0: (7, 8), Version.V1: (9,), Version.V2: (10,)}
    seen: list[int] = []

    def choice(free: list[int]) -> int:
        seen.extend(free)
        return free[0]

    monkeypatch.setattr("secrets.choice", choice)
    assert restarted(ids)[Version.V0] == (0, 7, 8)
    assert sorted(seen) == sorted(set(range(2**16)) - {7, 8, 9, 10})
