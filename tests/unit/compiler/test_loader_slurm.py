"""SLURM files and what they filter, accepted together with the data or not at all (RFC 8416 §4.1)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.inputs import SMALL, aspa, vrp
from tests.unit.compiler.program import FIRST_SERIAL, HOLD_S, MORE, RELOAD_S, Program, Start, replace

from pyrtr.compiler import process
from pyrtr.compiler.job import Job, Report, Task
from pyrtr.compiler.worker import compile_table
from pyrtr.errors import SourceError
from pyrtr.payload.values import MAX_PROVIDERS
from pyrtr.settings import Merge
from pyrtr.store.state import Generation

LOCAL = vrp("198.18.0.0/24")
FILTERED = SMALL[1]


def slurm(*filters: object, add: tuple[object, ...] = ()) -> bytes:
    return json.dumps(
        {
            "slurmVersion": 1,
            "validationOutputFilters": {"prefixFilters": filters, "bgpsecFilters": []},
            "locallyAddedAssertions": {"prefixAssertions": add, "bgpsecAssertions": []},
        }
    ).encode()


NOTHING = slurm()
FILTER = slurm({"prefix": FILTERED[1]})
ADD = slurm(add=({"prefix": "198.18.0.0/24", "asn": LOCAL[3], "maxPrefixLength": LOCAL[2]},))
BROKEN = b'{"slurmVersion": 1}'


@pytest.fixture
def file(folder: Path) -> Path:
    return folder / "slurm.json"


@pytest.fixture
def program(start: Start, file: Path) -> Program:
    """With SLURM files that change nothing yet."""
    replace(file, NOTHING)
    program = start(slurm=[file], max_shrink=100.0)
    program.load(SMALL)
    return program


def change(program: Program, file: Path, body: bytes) -> None:
    replace(file, body)
    program.loader.trigger()
    program.step()


def current(program: Program) -> Generation:
    generation = program.loader._ledger.current
    assert generation is not None
    return generation


def test_a_change_of_slurm_alone_is_an_update(program, file):
    change(program, file, FILTER)
    assert (program.serial, program.payload) == (0, set(SMALL) - {FILTERED})
    assert program.publisher.current.history.serials == (FIRST_SERIAL,)
    change(program, file, ADD)
    assert (program.serial, program.payload) == (1, {*SMALL, LOCAL})
    status = program.loader.slurm.status
    assert status.error is None
    assert status.added[str(file)]["vrps"] == 1
    assert status.filtered[str(file)]["vrps"] == 0
    change(program, file, ADD)
    assert program.serial == 1


def test_it_is_applied_to_what_comes_later_and_expires_with_it(program, file):
    change(program, file, FILTER)
    program.load(MORE, expires=int(program.now) + 100)
    assert program.payload == set(MORE) - {FILTERED}
    change(program, file, ADD)
    program.pass_time(101)
    program.step()
    assert program.tasks[-1] is Task.EXPIRE
    assert program.payload == {LOCAL}, "an assertion never ends"


def test_a_broken_file_keeps_the_last_good_set(program, file):
    change(program, file, FILTER)
    change(program, file, BROKEN)
    program.load(MORE)
    assert program.payload == set(MORE) - {FILTERED}
    status = program.loader.slurm.status
    assert str(file) in str(status.error)
    assert "validationOutputFilters" in str(status.error)
    assert program.log.events("error").count("SLURM refused") == 1
    assert program.loader.status.error is None, "the data is good"
    program.restart()
    assert program.payload == set(MORE) - {FILTERED}
    program.load(SMALL)
    assert program.payload == set(SMALL) - {FILTERED}
    assert status.error is not None
    change(program, file, ADD)
    assert program.payload == {*SMALL, LOCAL}
    assert program.loader.slurm.status.error is None


def test_a_file_that_is_gone_keeps_the_last_good_set(program, file):
    change(program, file, FILTER)
    file.unlink()
    program.load(MORE)
    assert program.payload == set(MORE) - {FILTERED}
    assert "No such file" in str(program.loader.slurm.status.error)
    change(program, file, FILTER)
    assert program.loader.slurm.status.error is None


@pytest.mark.parametrize("body", [BROKEN, None])
def test_at_a_first_start_with_a_broken_file_nothing_is_served(start, file, body):
    if body is not None:
        replace(file, body)
    program = start(slurm=[file])
    program.load(SMALL)
    assert (program.serial, program.payload) == (None, None)
    assert str(program.loader.status.error).startswith("SLURM: ")
    assert str(file) in str(program.loader.slurm.status.error)
    assert program.loader.places[0].status.error is None, "which is as good as it was"
    change(program, file, FILTER)
    assert program.payload == set(SMALL) - {FILTERED}
    assert program.loader.slurm.status.error is None


def test_what_an_earlier_run_served_unfiltered_waits_for_the_files_that_are_wanted_now(start, file):
    program = start()
    program.load(SMALL)
    program.stop()
    replace(file, BROKEN)
    program = start(slurm=[file], max_shrink=0.0)
    assert program.published == []
    program.step()
    assert program.published == []
    change(program, file, FILTER)
    assert (program.serial, program.payload) == (0, set(SMALL) - {FILTERED})
    assert program.publisher.current.history.serials == (FIRST_SERIAL,), "the router keeps its place"


def test_without_the_setting_the_files_from_before_do_not_count(program, file, start):
    change(program, file, FILTER)
    program.stop()
    program = start()
    program.step()
    assert program.payload == set(SMALL)
    assert current(program).slurm is None


def test_every_file_of_a_folder_counts_and_hidden_ones_do_not(start, folder):
    place = folder / "slurm.d"
    place.mkdir()
    replace(place / "filter", FILTER)
    replace(place / "add", ADD)
    replace(place / ".add.swp", BROKEN)
    program = start(slurm=[place])
    program.load(SMALL)
    assert program.payload == {*SMALL, LOCAL} - {FILTERED}
    assert list(program.loader.slurm.status.filtered) == [str(place / "add"), str(place / "filter")]
    (place / "filter").unlink()
    program.loader.trigger()
    program.step()
    assert program.payload == {*SMALL, LOCAL}
    (place / "add").unlink()
    program.loader.trigger()
    program.step()
    assert program.payload == {*SMALL, LOCAL}, "a folder without files may be a volume that is not mounted"
    assert "holds no file" in str(program.loader.slurm.status.error)


def test_two_files_that_dispute_a_prefix_are_refused_both(start, folder):
    first, second = folder / "first", folder / "second"
    replace(first, FILTER)
    replace(second, NOTHING)
    program = start(slurm=[first, second])
    program.load(SMALL)
    replace(second, FILTER)
    program.loader.trigger()
    program.step()
    assert program.payload == set(SMALL) - {FILTERED}
    assert str(first) in str(program.loader.slurm.status.error)
    assert str(second) in str(program.loader.slurm.status.error)


def test_slurm_that_takes_too_much_away_is_held_back_like_any_load(start, file):
    replace(file, NOTHING)
    program = start(slurm=[file])
    program.load((*SMALL, *(vrp(f"198.19.0.{number}/32") for number in range(100))))
    change(program, file, slurm({"prefix": "198.19.0.0/24"}))
    assert program.loader.status.held is not None
    program.loader.accept()
    program.step()
    assert (program.serial, program.payload) == (0, set(SMALL))


def test_a_change_that_is_held_back_and_taken_back_is_not_waited_for(start, file):
    replace(file, NOTHING)
    program = start(slurm=[file])
    program.load((*SMALL, *(vrp(f"198.19.0.{number}/32") for number in range(100))))
    change(program, file, slurm({"prefix": "198.19.0.0/24"}))
    assert program.loader.status.held is not None
    change(program, file, NOTHING)
    assert program.loader.status.held is None
    program.tasks.clear()
    program.pass_time(HOLD_S + RELOAD_S)
    assert len(program.tasks) <= HOLD_S / RELOAD_S + 1, "no look follows the other at once"


@pytest.mark.parametrize("how", ["damaged", "gone"])
def test_what_is_held_of_the_files_is_made_anew(program, file, how):
    change(program, file, FILTER)
    (kept,) = program.store.path.glob("slurm-*")
    if how == "damaged":
        kept.write_bytes(kept.read_bytes()[:-1] + b"!")
    else:
        kept.unlink()
    program.load(MORE)
    assert program.payload == set(MORE) - {FILTERED}
    assert program.loader.status.error is None
    assert list(program.store.path.glob("slurm-*"))


def test_what_expires_goes_although_what_is_held_of_the_files_is_lost(program, file):
    change(program, file, ADD)
    program.load(SMALL, expires=int(program.now) + 50)
    for kept in program.store.path.glob("slurm-*"):
        kept.unlink()
    program.pass_time(55)
    assert program.payload == {LOCAL}
    assert program.loader.status.expiry_error is None


def test_nothing_is_served_unfiltered_when_the_files_and_what_is_held_of_them_are_lost(program, file):
    change(program, file, FILTER)
    for path in (file, *program.store.path.glob("slurm-*")):
        path.unlink()
    program.load(MORE)
    assert program.payload == set(SMALL) - {FILTERED}
    change(program, file, FILTER)
    assert program.payload == set(MORE) - {FILTERED}


def test_a_file_that_was_being_written_is_read_again(monkeypatch, program, file):
    """What was refused is what was read, and not what was there when it was looked for."""

    async def run(job: Job) -> Report:
        body = file.read_bytes()
        replace(file, body[:20])
        try:
            return compile_table(job)
        finally:
            replace(file, body)

    with monkeypatch.context() as patch:
        patch.setattr(process, "run", run)
        change(program, file, FILTER)
    assert program.loader.slurm.status.error is not None
    program.loader.trigger()
    program.step()
    assert program.payload == set(SMALL) - {FILTERED}
    assert program.loader.slurm.status.error is None


def test_counts_are_there_after_a_restart(program, file):
    change(program, file, FILTER)
    status, slurm_status = program.loader.status, program.loader.slurm.status
    program.restart()
    program.step()
    assert program.loader.places[0].status.unchanged_count == 1
    for name in ("found", "counts", "vrps_by_anchor"):
        assert getattr(program.loader.status, name) == getattr(status, name)
    assert program.loader.slurm.status.filtered == slurm_status.filtered
    assert program.loader.slurm.status.added == slurm_status.added
    assert slurm_status.filtered[str(file)]["vrps"] == 1


def test_an_asserted_aspa_outlives_the_validated_one_it_was_united_with(start, file):
    replace(
        file,
        json.dumps(
            {
                "slurmVersion": 2,
                "validationOutputFilters": {"prefixFilters": [], "bgpsecFilters": [], "aspaFilters": []},
                "locallyAddedAssertions": {
                    "prefixAssertions": [],
                    "bgpsecAssertions": [],
                    "aspaAssertions": [{"customerAsn": 64496, "providerAsns": [64500]}],
                },
            }
        ).encode(),
    )
    program = start(slurm=[file], max_shrink=100.0)
    program.load(SMALL, expires=int(program.now) + 50)
    assert aspa(64496, 64497, 64498, 64500) in (program.payload or ())
    program.pass_time(55)
    assert program.payload == {aspa(64496, 64500)}


def test_an_asserted_aspa_that_makes_one_too_large_is_told(start, file):
    assertion = {"customerAsn": 64511, "providerAsns": [2**31]}
    body = json.loads(slurm())
    body["slurmVersion"] = 2
    body["validationOutputFilters"]["aspaFilters"] = []
    body["locallyAddedAssertions"]["aspaAssertions"] = [assertion]
    replace(file, json.dumps(body).encode())
    program = start(slurm=[file])
    program.load((*SMALL, aspa(64511, *range(1, MAX_PROVIDERS + 1))))
    assert (program.payload, program.loader.status.oversized_aspas) == (set(SMALL), 1)


def test_a_file_whose_name_can_not_be_told_is_refused(start, folder):
    place = folder / "slurm.d"
    place.mkdir()
    replace(place / os.fsdecode(b"\xff"), FILTER)
    program = start(slurm=[place])
    program.load(SMALL)
    assert program.payload is None
    assert str(program.loader.slurm.status.error).endswith("its name is not UTF-8, rename it")


@pytest.mark.parametrize("merge", Merge)
def test_what_is_held_of_the_locations_is_had_again(start, file, merge):
    """It is wanted when SLURM files change alone, though the locations did not."""
    replace(file, NOTHING)
    program = start(others=1, slurm=[file], merge=merge, max_shrink=100.0)
    program.offer(SMALL[3:], place=1)
    program.load(SMALL)
    used = [place.status.is_used for place in program.loader.places]
    for share in program.store.path.glob("share-*"):
        share.unlink()
    change(program, file, FILTER)
    change(program, file, FILTER)
    assert program.payload == set(SMALL) - {FILTERED}
    assert [place.status.is_used for place in program.loader.places] == used
    assert len(list(program.store.path.glob("share-*"))) == sum(used)


@pytest.mark.parametrize("merge", Merge)
def test_a_process_that_dies_is_no_reason_to_have_the_locations_again(start, file, merge, monkeypatch):
    """Their documents would be read by the next one, which has to be larger by them."""
    replace(file, NOTHING)
    program = start(slurm=[file], merge=merge, max_shrink=100.0)
    program.load(SMALL)
    jobs = []

    async def dead(job: Job) -> Report:
        jobs.append(job)
        raise SourceError("the compile process was killed by SIGKILL")

    with monkeypatch.context() as patch:
        patch.setattr(process, "run", dead)
        change(program, file, FILTER)
    assert program.loader.status.error == "the compile process was killed by SIGKILL"
    change(program, file, FILTER)
    assert program.payload == set(SMALL) - {FILTERED}
    assert [job.inputs[0].body for job in jobs] == [None]
    assert program.loader.places[0].status.unchanged_count == 1
