"""The state folder: what was committed is found again, whole, by whoever comes next; and nothing else is."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.examples import NASTY, vrp
from tests.generations import (
    SERIES,
    advance,
    content,
    fill,
    full_disk,
    memory_folder,
    recovered,
    small_disk,
    without_privileges,
    write_next,
)

from pyrtr.errors import StoreError
from pyrtr.payload.history import History
from pyrtr.store.aside import MAX_SET_ASIDE
from pyrtr.store.sessions import restarted
from pyrtr.store.state import LockedError, Store
from pyrtr.store.table_file import content_digest


def files(folder: Path) -> set[str]:
    return set(os.listdir(folder))


def test_a_new_folder_holds_nothing_yet(tmp_path):
    store = Store(tmp_path / "var" / "state")
    assert (store.recovered, store.set_aside_reason, store.is_kept) == (None, None, True)
    assert (tmp_path / "var" / "state").stat().st_mode & 0o777 == 0o700
    store.close()
    assert recovered(tmp_path / "var" / "state") is None


@pytest.mark.parametrize("count", range(1, len(SERIES) + 1))
def test_what_was_committed_is_found_again(count, tmp_path):
    committed = fill(tmp_path, SERIES[:count])
    assert len(committed.history.steps) == count - 1
    assert recovered(tmp_path) == content(committed)
    assert files(tmp_path) == {"lock", "history.db", f"table-{count}"}


def test_values_that_are_easily_lost_come_back(tmp_path):
    committed = fill(tmp_path, ((), NASTY[::2], NASTY[1::2], NASTY, NASTY[::-1], ()))
    assert recovered(tmp_path) == content(committed)


def test_each_start_goes_on_from_the_last(tmp_path):
    current = None
    for payload in SERIES:
        store = Store(tmp_path)
        assert content(store.recovered) == content(current)
        current = advance(store, store.recovered, payload)
        store.close()
    assert recovered(tmp_path) == content(current)


@pytest.mark.parametrize("max_steps", [0, 1, 3])
def test_steps_that_are_not_kept_are_forgotten(max_steps, tmp_path):
    store = Store(tmp_path)
    current = None
    for payload in SERIES:
        current = advance(store, current, payload, max_steps=max_steps)
        assert len(current.history.steps) <= max_steps
    store.close()
    assert current is not None
    assert len(current.history.steps) == max_steps
    assert recovered(tmp_path) == content(current)


def test_without_a_step_the_history_begins_anew(tmp_path):
    """As after a delta that failed its proof."""
    store = Store(tmp_path)
    current = advance(store, advance(store, None, SERIES[0]), SERIES[1])
    unproved, _ = write_next(store, current, SERIES[2])
    unproved = dataclasses.replace(unproved, history=History())
    store.commit(unproved, (), "load")
    current = advance(store, unproved, SERIES[3])
    store.close()
    assert [step.from_serial for step in current.history.steps] == [unproved.serial]
    assert recovered(tmp_path) == content(current)


def test_the_same_table_is_committed_again_with_other_session_ids(tmp_path):
    committed = fill(tmp_path)
    store = Store(tmp_path)
    assert store.recovered is not None
    begun = dataclasses.replace(store.recovered, session_ids=restarted(committed.session_ids))
    store.commit(begun, (), "restart")
    assert store.new_paths().table != begun.table_path
    current = advance(store, begun, SERIES[0])
    store.close()
    assert recovered(tmp_path) == content(current)


def test_the_digest_of_the_payload_is_made_where_it_is_missing(tmp_path):
    """An earlier release did not keep it, and who follows this one asks for it."""
    last = fill(tmp_path)
    assert last.content == b""
    store = Store(tmp_path)
    store.close()
    assert store.recovered is not None
    assert store.recovered.content == content_digest(last.stored.table)


def test_files_that_a_crash_leaves_behind_are_removed(tmp_path):
    committed = fill(tmp_path, SERIES[:2])
    for name in (
        "table-1",
        "table-3",
        "table-3.new",
        "delta-3",
        "delta-3.new",
        "delta-2",
        "body-1",
        "fleet-taken",
        "rtr-1",
    ):
        (tmp_path / name).write_bytes(b"half of it")
    (tmp_path / "notes.txt").write_text("not ours")
    assert recovered(tmp_path) == content(committed)
    assert files(tmp_path) == {"lock", "history.db", "table-2", "notes.txt"}


def test_what_is_fetched_while_something_is_committed_stays(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "body-1").write_bytes(b"half of it")
    (tmp_path / "rtr-1").write_bytes(b"waits")
    advance(store, None, SERIES[0])
    assert files(tmp_path) >= {"body-1", "rtr-1"}
    store.close()


def test_a_crash_before_the_first_commit_leaves_nothing(tmp_path):
    store = Store(tmp_path)
    write_next(store, None, SERIES[0])
    store.close()
    assert recovered(tmp_path) is None
    assert files(tmp_path) == {"lock", "history.db"}


def test_what_is_not_to_be_committed_is_discarded(tmp_path):
    store = Store(tmp_path)
    paths = store.new_paths()
    for path in (paths.table, paths.delta, paths.slurm, paths.share(0), paths.share(1)):
        path.touch()
    store.discard_new()
    store.discard_new()
    store.close()
    assert files(tmp_path) == {"lock", "history.db"}


def test_one_folder_has_one_owner(tmp_path):
    owner = Store(tmp_path)
    with pytest.raises(LockedError, match=f"STATE={tmp_path} is in use by another pyrtr: stop it"):
        Store(tmp_path)
    script = f"from pyrtr.store.state import Store; from pathlib import Path; Store(Path({str(tmp_path)!r}))"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "LockedError" in other.stderr
    committed = advance(owner, None, SERIES[0])  # and is not disturbed
    owner.close()
    assert recovered(tmp_path) == content(committed)


def test_the_lock_ends_with_its_owner(tmp_path):
    script = (
        "import os, pathlib; from pyrtr.store.state import Store;"
        f"store = Store(pathlib.Path({str(tmp_path)!r})); os._exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 7
    assert recovered(tmp_path) is None


def test_the_table_before_is_there_until_the_next_commit(tmp_path):
    """It is what is published, and asked about, until the next one is."""
    store = Store(tmp_path)
    current = None
    for number, payload in enumerate(SERIES[:3], 1):
        current = advance(store, current, payload)
        tables = {f"table-{kept}" for kept in (number - 1, number) if kept}
        assert files(tmp_path) == {"lock", "history.db", *tables}
    store.close()
    assert recovered(tmp_path) == content(current)
    assert files(tmp_path) == {"lock", "history.db", "table-3"}


def test_without_a_folder_it_goes_with_the_program():
    store = Store(None)
    folder = store.path
    advance(store, advance(store, None, SERIES[0]), SERIES[1])
    assert not store.is_kept
    assert files(folder) == {"lock", "history.db", "table-1", "table-2"}
    store.close()
    assert not folder.exists()


def test_what_is_damaged_is_set_aside_and_the_last_of_it_kept(tmp_path):
    for count in range(1, MAX_SET_ASIDE + 3):
        fill(tmp_path, SERIES[:1])
        table = tmp_path / "table-1"
        table.write_bytes(f"damage {count}".encode())
        if count == 1:  # what is removed later may be anything
            table.unlink()
            (table / "folder").mkdir(parents=True)
        store = Store(tmp_path)
        assert store.recovered is None
        assert str(table) in str(store.set_aside_reason)
        store.close()
    aside = sorted(tmp_path.glob("damaged-*"))
    assert [(path / "table-1").read_text() for path in aside] == ["damage 3", "damage 4", "damage 5"]
    assert all(files(path) == {"history.db", "table-1"} for path in aside)


def refused(folder: Path) -> str:
    with pytest.raises(StoreError) as caught:
        Store(folder)
    return str(caught.value)


def test_a_place_that_is_no_folder_is_a_reason(tmp_path):
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file") == f"STATE={tmp_path}/file can't be used: File exists"
    assert refused(tmp_path / "file" / "state") == f"STATE={tmp_path}/file/state can't be used: Not a directory"


def test_permission_denied_is_a_reason():
    with memory_folder() as folder:
        (folder / "shut").mkdir(mode=0o000)
        folder.chmod(0o555)
        with without_privileges():
            assert "can't be used: Permission denied" in refused(folder / "shut" / "state")
            assert "can't be used: Permission denied" in refused(folder / "state")
            assert "can't be used: " in refused(folder)
        folder.chmod(0o755)
        (folder / "shut").chmod(0o755)


def test_a_folder_that_can_only_be_read_is_read():
    with memory_folder() as folder:
        committed = fill(folder, SERIES[:2])
        for path in folder.iterdir():
            path.chmod(0o444)
        folder.chmod(0o555)
        with without_privileges():
            store = Store(folder)
            assert content(store.recovered) == content(committed)
            with pytest.raises(StoreError, match="can't be written: Permission denied"):
                write_next(store, committed, SERIES[2])
            with pytest.raises(StoreError, match=r"history.db can't be written"):
                store.commit(committed, (), "restart")
            store.close()
        folder.chmod(0o755)
        assert recovered(folder) == content(committed)


@pytest.mark.parametrize("name", ["history.db", "table-2"])
def test_a_file_of_somebody_else_is_left_as_it_is(name):
    """As after a run by root: nothing is damaged, and nothing is to be set aside."""
    with memory_folder() as folder:
        committed = fill(folder, SERIES[:2])
        folder.chmod(0o777)
        for path in folder.iterdir():
            path.chmod(0o000 if path.name == name else 0o666)
        with without_privileges():
            assert f"{folder / name}: [Errno 13] Permission denied" in refused(folder)
        (folder / name).chmod(0o600)
        assert recovered(folder) == content(committed)


def test_damage_that_can_not_be_set_aside_is_a_reason():
    with memory_folder() as folder:
        fill(folder, SERIES[:2])
        (folder / "table-2").write_bytes(b"damage")
        for path in folder.iterdir():
            path.chmod(0o444)
        folder.chmod(0o555)
        with without_privileges():
            assert "can't be used: " in refused(folder)
        folder.chmod(0o755)


MANY = tuple(vrp(f"10.{number >> 8}.{number & 255}.0/24", 24, 64496) for number in range(1024))


@pytest.mark.parametrize("kind", ["a disk", "a limit"])
def test_a_full_disk_is_a_reason_and_harms_nothing(kind):
    """First for the table, then for the history; and once there is room again all is well."""
    with memory_folder() as folder, small_disk(folder, 512 << 10) as is_disk:
        is_disk = is_disk and kind == "a disk"
        committed = fill(folder, SERIES[:3])
        store = Store(folder)
        for _ in range(2):
            with full_disk(folder, is_disk=is_disk):
                with pytest.raises(StoreError, match=r"table-\d can't be written: (No space left|File too large)"):
                    write_next(store, committed, MANY)
                assert not any(folder.glob("*.new"))
        following, step = write_next(store, committed, MANY)
        for _ in range(2):
            with full_disk(folder, is_disk=is_disk), pytest.raises(StoreError, match=r"history.db can't be written"):
                store.commit(following, () if step is None else (step,), "load")
        store.close()
        assert recovered(folder) == content(committed)
        store = Store(folder)
        assert store.recovered is not None
        current = advance(store, store.recovered, MANY)
        with full_disk(folder, is_disk=is_disk), pytest.raises(StoreError):
            advance(store, current, SERIES[3])
        current = advance(store, current, SERIES[4])  # without a restart
        store.close()
        assert recovered(folder) == content(current)
