"""Each decision about a source is one line of the log, once, when it is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.inputs import SMALL
from tests.unit.compiler.program import HALF, MANY, MAX_AGE_S, MORE, Program, Start, no_room, replace
from tests.unit.compiler.test_loader_merge import OTHER, look
from tests.unit.compiler.test_loader_slurm import ADD, BROKEN, NOTHING

from pyrtr.compiler.failover import RETURN_LOOKS
from pyrtr.settings import Merge, OnStale


def said(program: Program, *events: str) -> list[str]:
    """Which of these events were logged, in their order, since this was last asked."""
    lines, program.log.lines[:] = [*program.log.lines], []
    return [event for _, event, _ in lines if event in events]


def test_which_location_is_used(start: Start) -> None:
    program = start(others=1, max_shrink=100.0)
    program.offer(OTHER, place=1)
    program.load(SMALL)
    events = ("location failed", "location in use", "location left")
    assert said(program, *events) == ["location in use"]
    program.sources[0].unlink()
    look(program)
    assert said(program, *events) == ["location failed", "location left", "location in use"]
    look(program)
    assert said(program, *events) == ["location failed"]
    program.offer(MORE)
    for _ in range(RETURN_LOOKS):
        look(program)
    assert sorted(said(program, *events)) == ["location in use", "location left"]


@pytest.mark.parametrize("merge", Merge)
def test_of_an_only_location_nothing_is_said_twice(start: Start, merge: Merge) -> None:
    program = start(merge=merge)
    events = ("source refused", "source is back", "location failed", "location in use", "location left")
    look(program)
    assert said(program, *events) == ["source refused"]
    program.load(SMALL)
    assert said(program, *events) == ["source is back"]
    program.load(MORE)
    assert said(program, *events) == []


def test_slurm_files_come_and_go(start: Start, folder: Path) -> None:
    file = folder / "slurm.json"
    replace(file, NOTHING)
    program = start(slurm=[file], max_shrink=100.0)
    events = ("SLURM applied", "SLURM refused", "SLURM is as it was before")
    for body, expected in (
        (NOTHING, ["SLURM applied"]),
        (NOTHING, []),
        (ADD, ["SLURM applied"]),
        (BROKEN, ["SLURM refused"]),
        (BROKEN, []),
        (ADD, ["SLURM is as it was before"]),
        (ADD, []),
    ):
        replace(file, body)
        program.load(SMALL)
        lines = {event: fields for _, event, fields in program.log.lines}
        assert said(program, *events) == expected
        if expected == ["SLURM applied"] and body == ADD:
            assert lines["SLURM applied"] == {"filtered": 0, "added": 1}


@pytest.mark.parametrize(
    ("on_stale", "stale", "fresh"),
    [
        (OnStale.HOLD, ["data is stale"], ["data is fresh again"]),
        (OnStale.CLOSE, ["data is stale", "no router is served"], ["data is fresh again", "routers are served again"]),
    ],
)
def test_data_grows_old(start: Start, on_stale: OnStale, stale: list[str], fresh: list[str]) -> None:
    program = start(on_stale=on_stale)
    events = ("data is stale", "data is fresh again", "no router is served", "routers are served again")
    program.load(SMALL)
    assert said(program, *events) == []
    program.pass_time(MAX_AGE_S + 3600)
    assert said(program, *events) == stale
    program.load(MORE)
    assert said(program, *events) == fresh


def test_a_load_is_held_and_goes(start: Start) -> None:
    program = start()
    events = ("load held back", "held load is gone", "held load accepted by the operator", "nothing to accept")
    program.load(MANY)
    program.loader.accept()
    program.load(HALF)
    assert said(program, *events) == ["nothing to accept", "load held back"]
    program.load(MANY)
    assert said(program, *events) == ["held load is gone"]
    program.load(HALF)
    program.loader.accept()
    program.step()
    assert said(program, *events) == ["load held back", "held load accepted by the operator"]


def test_the_disk_is_full_and_has_room_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    program = start()
    events = ("state can't be stored", "state is stored again")
    program.load(SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(program.store._database, "commit", no_room)
        program.load(MORE)
    assert said(program, *events) == ["state can't be stored"]
    program.load(MORE)
    program.load(SMALL)
    assert said(program, *events) == ["state is stored again"]
