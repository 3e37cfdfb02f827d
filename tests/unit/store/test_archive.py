"""The history for people: bounded, made up for, and never in the way of what counts."""

from __future__ import annotations

import dataclasses
import itertools
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.archived import Archived
from tests.examples import vrp
from tests.generations import NOW, SERIES, full_disk, memory_folder, small_disk, write_next
from tests.quiet import Log

from pyrtr.errors import StoreError
from pyrtr.payload.history import History
from pyrtr.payload.provenance import Origin, OriginKind
from pyrtr.store.archive import DAY_S, Archive, Story
from pyrtr.store.archive_search import Reader, Span
from pyrtr.store.state import Generation, Store

BY = Origin(OriginKind.SOURCE, "https://validator.example/json")
MANY = tuple(vrp(f"10.{number >> 8}.{number & 255}.0/24", 24, 64496) for number in range(512))


def commit(store: Store, current: Generation | None, payload, **changes) -> Generation:
    """The next generation, with a story, and with some of it changed."""
    generation, step = write_next(store, current, payload)
    generation = dataclasses.replace(generation, **changes)
    steps = () if step is None else (step,)
    store.commit(generation, steps, "load", Story("new data", (BY.name,), steps, by=BY))
    return generation


def fill(folder: Path, series=SERIES, days: int = 30) -> Generation:
    store = Store(folder, days)
    current = None
    for payload in series:
        current = commit(store, current, payload)
    store.close()
    assert current is not None
    return current


def archive_of(store: Store) -> Archive:
    assert store.archive is not None
    return store.archive


def newest(folder: Path) -> int:
    """The serial that the next run goes on from."""
    store = Store(folder)
    store.close()
    assert store.recovered is not None
    return store.recovered.serial


def start(folder: Path) -> Store:
    """Another run, which adds what is missing."""
    store = Store(folder, 30)
    store.catch_up()
    return store


def serials(folder: Path) -> list[int]:
    """Those in the archive, oldest first, that hang together."""
    items = Archived(folder).generations()["items"][::-1]
    for before, after in itertools.pairwise(items):
        assert after["from_serial"] == before["serial"], "there is a gap"
    return [item["serial"] for item in items]


LAST = 2**32 - 2
ALL = [(LAST + number) % 2**32 for number in range(len(SERIES))]


def test_no_days_mean_no_archive(tmp_path):
    store = Store(tmp_path)
    commit(store, None, SERIES[0])
    store.catch_up()
    store.close()
    assert store.archive is None
    assert not (tmp_path / "archive.db").exists()


def test_before_there_is_one_it_is_empty(tmp_path):
    archived = Archived(tmp_path)
    assert archived.generations() == {"items": [], "next": None}
    assert archived.changes() == {"items": [], "next": None, "reaches_back_to": None}


def test_what_is_committed_is_archived(tmp_path):
    fill(tmp_path)
    archived = Archived(tmp_path)
    items = archived.generations()["items"]
    assert [item["serial"] for item in items] == ALL[::-1]
    assert {(item["why"], tuple(item["sources"]), item["cause"]) for item in items} == {
        ("new data", (BY.name,), "load")
    }
    changes = archived.changes()["items"]
    assert {(change["by"]["kind"], change["by"]["name"]) for change in changes} == {tuple(BY)}


def test_a_folder_of_its_own_has_one_too():
    store = Store(None, 30)
    commit(store, commit(store, None, SERIES[0]), SERIES[1])
    assert serials(store.path) == ALL[:2]
    store.close()


def test_what_tells_people_nothing_is_not_archived(tmp_path):
    store = Store(tmp_path, 30)
    current = commit(store, None, SERIES[0])
    store.commit(current, (), "restart")
    store.close()
    assert serials(tmp_path) == ALL[:1]


# Bounds


def test_it_reaches_back_so_many_days(tmp_path):
    store = Store(tmp_path, 2)
    current = None
    for number, payload in enumerate(SERIES):
        current = commit(store, current, payload, published_at=NOW + number * DAY_S)
    store.close()
    assert serials(tmp_path) == ALL[-3:]


def test_it_grows_no_larger_than_it_may(tmp_path):
    store = Store(tmp_path, 30)
    store.archive = Archive(tmp_path, 30, max_bytes=200_000)
    generator = random.Random(1)
    current = None
    for _ in range(40):
        payload = [vrp(f"10.{generator.randrange(256)}.0.0/16", 16, generator.randrange(2**32)) for _ in range(1000)]
        current = commit(store, current, payload)
    assert archive_of(store).error is None
    store.close()
    assert (tmp_path / "archive.db").stat().st_size < 400_000
    kept = serials(tmp_path)
    assert 2 < len(kept) < 40
    assert kept[-1] == newest(tmp_path)


def test_what_is_removed_gives_its_room_back(tmp_path, monkeypatch):
    monkeypatch.setattr("pyrtr.store.archive.VACUUM_BYTES", 16384)
    store = Store(tmp_path, 1)
    generator = random.Random(1)
    payload = [vrp(f"10.{generator.randrange(256)}.0.0/16", 16, generator.randrange(2**32)) for _ in range(20_000)]
    current = commit(store, commit(store, None, ()), payload)
    size = (tmp_path / "archive.db").stat().st_size + (tmp_path / "archive.db-wal").stat().st_size
    for number in range(1, 20):
        current = commit(store, current, SERIES[number % 2], published_at=NOW + number * DAY_S)
    store.close()
    assert (tmp_path / "archive.db").stat().st_size < size / 2


# What goes wrong


def gap(folder: Path, count: int) -> Generation:
    """So many generations that a crash kept from the archive."""
    store = Store(folder)
    current = store.recovered
    for payload in SERIES[:count]:
        generation, step = write_next(store, current, payload)
        store.commit(generation, () if step is None else (step,), "expire")
        current = generation
    store.close()
    assert current is not None
    return current


@pytest.mark.parametrize("count", [1, 3])
def test_a_gap_is_filled_at_the_next_start(count, tmp_path):
    fill(tmp_path, SERIES)
    last = gap(tmp_path, count)
    start(tmp_path).close()
    archived = Archived(tmp_path)
    kept = serials(tmp_path)
    assert kept == [*ALL, *((ALL[-1] + number) % 2**32 for number in range(1, count + 1))]
    newest = archived.generation(last.serial)
    assert (newest["generation"]["cause"], newest["generation"]["why"]) == ("expire", None)
    assert newest["generation"]["time"] is not None
    assert newest["generation"]["counts"] == last.stored.table.counts
    assert {change["by"] for change in newest["changes"]} == {None}
    assert len(archived.generations()["items"]) == len(kept)
    start(tmp_path).close()
    assert serials(tmp_path) == kept


def test_a_gap_is_filled_with_the_next_generation(tmp_path):
    fill(tmp_path, SERIES[:2])
    gap(tmp_path, 2)
    store = Store(tmp_path, 30)
    last = commit(store, store.recovered, SERIES[5])
    store.catch_up()  # which comes too late, and does nothing
    store.close()
    kept = serials(tmp_path)
    assert (len(kept), kept[-1]) == (5, last.serial)
    found = [Archived(tmp_path).generation(serial)["changes"] for serial in kept[1:]]
    assert [[change["by"] is not None for change in changes[:1]] for changes in found] == [
        [True],
        [False],
        [False],
        [True],
    ]


def test_another_session_hangs_together_with_nothing(tmp_path):
    fill(tmp_path, SERIES[:3])
    for path in tmp_path.glob("history.db*"):
        path.unlink()
    for path in tmp_path.glob("table-*"):
        path.unlink()
    fill(tmp_path, SERIES[:2])
    items = Archived(tmp_path).generations()["items"]
    assert [(item["serial"], item["has_changes"]) for item in items[:3]] == [
        (ALL[1], True),
        (ALL[0], False),
        (ALL[2], True),
    ]
    assert (
        len(Archived(tmp_path).generation(ALL[1])["changes"])
        == len(Archived(tmp_path).diff(ALL[0], ALL[1])["announced"]) + 4
    )


def test_a_missing_delta_is_no_difference(tmp_path):
    store = Store(tmp_path, 30)
    current = commit(store, None, SERIES[0])
    generation, _ = write_next(store, current, SERIES[1])
    generation = dataclasses.replace(generation, history=History())
    store.commit(generation, (), "load", Story("its delta failed the proof", ()))
    store.close()
    with pytest.raises(Exception, match="is not in the history: a new session began, or a delta is missing"):
        Archived(tmp_path).diff(current.serial, generation.serial)


DAMAGE = {
    "no database": lambda _: b"damage",
    "cut": lambda octets: octets[: len(octets) // 2],
    "a page of nothing": lambda octets: octets[:4096] + bytes(4096) + octets[8192:],
    "another format": lambda octets: octets[:60] + (99).to_bytes(4) + octets[64:],
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_set_aside_and_another_begun(kind, tmp_path):
    fill(tmp_path)
    path = tmp_path / "archive.db"
    path.write_bytes(DAMAGE[kind](path.read_bytes()))
    store = start(tmp_path)
    assert (store.set_aside_reason, archive_of(store).error) == (None, None)
    assert bool(list(tmp_path.glob("damaged-*/archive.db"))) is (kind != "empty")
    last = commit(store, store.recovered, SERIES[0])
    store.close()
    # What routers may ask for is told in the new one as well.
    assert serials(tmp_path) == [*ALL[1:], last.serial]


def test_one_octet_anywhere_is_in_nobodys_way(tmp_path):
    """Whatever is damaged, what counts is committed; what is told is what was, or it is said that it can't be."""
    fill(tmp_path, (*SERIES, MANY, SERIES[0]))
    path = tmp_path / "archive.db"
    octets = path.read_bytes()
    whole = Archived(tmp_path).changes()["items"]
    generator, outcomes = random.Random(8210), set()
    for _ in range(60):
        damaged = bytearray(octets)
        damaged[generator.randrange(len(octets))] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        archived = Archived(tmp_path)
        try:
            found = archived.changes()["items"]
            outcomes.add("as it was" if found == whole else "otherwise")
        except StoreError:
            outcomes.add("refused")
        archived.reader.close()
        store = start(tmp_path)
        commit(store, store.recovered, SERIES[generator.randrange(len(SERIES))])
        assert archive_of(store).error is None
        store.close()
        for file in tmp_path.glob("archive.db-*"):
            file.unlink()
    assert {"as it was", "refused"} <= outcomes


@pytest.mark.parametrize("kind", ["a disk", "a limit"])
def test_a_full_disk_makes_a_gap_that_is_filled(kind, monkeypatch):
    with memory_folder() as folder, small_disk(folder, 512 << 10) as is_disk:
        store = Store(folder, 30)
        current = commit(store, None, SERIES[0])
        archive = archive_of(store)
        add = archive.add

        def on_a_full_disk(*arguments: Any) -> None:
            with full_disk(folder, is_disk=is_disk and kind == "a disk"):
                add(*arguments)

        monkeypatch.setattr(archive, "_log", Log())  # a log is no larger than it may, too
        with monkeypatch.context() as patch:
            patch.setattr(archive, "add", on_a_full_disk)
            for payload in (MANY, SERIES[1]):
                current = commit(store, current, payload)
                assert archive.error is not None
        assert store.path.joinpath(current.table_path.name).exists()
        current = commit(store, current, SERIES[2])
        assert archive.error is None
        store.close()
        assert serials(folder) == ALL[:4]


def test_a_bug_fails_no_commit(tmp_path, monkeypatch):
    store = Store(tmp_path, 30)
    monkeypatch.setattr("pyrtr.store.archive.count_by_anchor", lambda _: 1 / 0)
    current = commit(store, None, SERIES[0])
    assert archive_of(store).error == "internal error: ZeroDivisionError('division by zero')"
    store.close()
    assert newest(tmp_path) == current.serial


def test_a_kill_at_any_moment_leaves_an_archive_that_goes_on(tmp_path):
    script = f"""
import itertools, sys
from pathlib import Path
from typing import Any
from tests.unit.store.test_archive import SERIES, MANY, commit
from pyrtr.store.state import Store
store = Store(Path({str(tmp_path)!r}), 30)
store.catch_up()
current = store.recovered
for payload in itertools.cycle((*SERIES, MANY)):
    current = commit(store, current, payload)
    print(current.serial, flush=True)
"""
    generator = random.Random(1)
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(generator.randrange(1, 12)):
            process.stdout.readline()
        process.kill()
        process.communicate()
    start(tmp_path).close()
    kept = serials(tmp_path)
    assert len(kept) > 12
    assert newest(tmp_path) == kept[-1]
    assert not list(tmp_path.glob("damaged-*"))


# Reading beside the writer


def test_another_archive_in_its_place_is_noticed(tmp_path):
    archived = Archived(tmp_path)
    fill(tmp_path, SERIES[:2])
    assert len(archived.generations()["items"]) == 2
    (tmp_path / "archive.db").rename(tmp_path / "aside.db")
    assert archived.generations()["items"] == []
    fill(tmp_path, SERIES[:1])
    assert len(archived.generations()["items"]) > 0
    archived.reader.close()


def test_a_reader_that_dallies_keeps_nobody_from_writing(tmp_path):
    store = Store(tmp_path, 30)
    current = commit(store, commit(store, None, SERIES[0]), SERIES[1])
    reading = Reader(tmp_path / "archive.db").changes(Span())
    next(reading)
    commit(store, current, SERIES[2])
    assert archive_of(store).error is None
    store.close()
    reading.close()
    assert serials(tmp_path) == ALL[:3]
