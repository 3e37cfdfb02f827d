"""Whatever happens to the files of a state, it is found as it was committed, or a new session begins.

Where damage goes unseen it lies in octets that mean nothing, such as free room in SQLite's pages.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.examples import NASTY, Payload, aspa, key, vrp
from tests.generations import SERIES, advance, content, fill, memory_folder, recovered

from pyrtr.store.columns import write
from pyrtr.store.state import Store

VRPS = [
    *(vrp(f"198.51.{number}.0/24", 24, 64496 + number % 8) for number in range(150)),
    *(vrp(f"2001:db8:{number:x}::/48", 48, 64496) for number in range(50)),
]
LARGER: tuple[tuple[Payload, ...], ...] = tuple(
    (*VRPS[number * 7 :], *NASTY[number::2], key(64496 + number), aspa(64500 + number, 64496, 64497))
    for number in range(6)
)

FLIPS = 500
# The pages of the history are of this size, and each begins with what SQLite finds the rest by.
PAGE_BYTES = 4096


@pytest.fixture(scope="module")
def whole() -> Iterator[tuple[dict[str, bytes], dict[str, object]]]:
    """The files of a state, and what is committed in them."""
    with memory_folder() as folder:
        committed = content(fill(folder / "state", LARGER))
        assert committed is not None
        (folder / "state" / "table-5").unlink()  # the one before is of no use to the next start
        yield {path.name: path.read_bytes() for path in (folder / "state").iterdir()}, committed


@pytest.fixture
def folder() -> Iterator[Path]:
    with memory_folder() as path:
        yield path / "state"


def put(folder: Path, files: dict[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, octets in files.items():
        (folder / name).write_bytes(octets)


def outcome(folder: Path, committed: dict[str, object]) -> str:
    """What the next start makes of the folder, which can be gone on with in any case."""
    store = Store(folder)
    try:
        if store.recovered is None:
            assert store.set_aside_reason, "a place is lost without a word"
            found = "a new session"
        else:
            assert store.set_aside_reason is None
            assert content(store.recovered) == committed, "something else than what was committed"
            found = "as committed"
        following = advance(store, store.recovered, SERIES[1])
    finally:
        store.close()
    assert recovered(folder) == content(following)
    return found


def places(files: dict[str, bytes]) -> list[tuple[str, int]]:
    """So many places over all files, and where SQLite's pages begin."""
    everywhere = [(name, offset) for name, octets in sorted(files.items()) for offset in range(len(octets))]
    size = len(files["history.db"])
    heads = [
        ("history.db", offset)
        for start in range(0, size, PAGE_BYTES)
        for offset in range(start, start + (124 if start == 0 else 16))
    ]
    return [*random.Random(8210).sample(everywhere, FLIPS), *heads]


def test_one_octet_anywhere(whole, folder):
    files, committed = whole
    found: Counter[tuple[str, str]] = Counter()
    for index, (name, offset) in enumerate(places(files)):
        octets = bytearray(files[name])
        octets[offset] ^= random.Random(index).randrange(1, 256)
        put(folder, files | {name: bytes(octets)})
        try:
            found[name, outcome(folder, committed)] += 1
        except BaseException as error:
            error.add_note(f"with octet {offset} of {name} {octets[offset]:#x}, not {files[name][offset]:#x}")
            raise
    print(dict(found))
    (table,) = files.keys() - {"history.db", "lock"}
    assert found[table, "as committed"] == 0
    assert found[table, "a new session"] > 20
    assert found["history.db", "a new session"] > 50
    assert found["history.db", "as committed"] > 50


def test_every_change_in_the_history_counts(whole, folder):
    """Rows that are well-formed, and false: nothing but our own digests can tell."""
    files, committed = whole
    put(folder, files)
    with sqlite3.connect(folder / "history.db") as database:
        rows = database.execute(
            "SELECT rowid, value FROM change WHERE rowid % 8 = 0 OR kind IN ('router_key', 'aspa')"
        ).fetchall()
        tables = [("change", rowid) for rowid, _ in rows] + [("state", 1)]
    database.close()
    falsehoods = [
        *(f"DELETE FROM change WHERE rowid = {rowid}" for rowid, _ in rows),
        *(f"UPDATE change SET action = 'withdraw' WHERE rowid = {rowid} AND action <> 'withdraw'" for rowid, _ in rows),
        *(f"UPDATE {table} SET {column} = NULL WHERE rowid = {rowid} AND {column} IS NOT NULL"
          for table, rowid in tables if table == "change" for column in ("old_providers", "new_providers")),
        *(f"UPDATE change SET value = x'{octets[:-1].hex()}' WHERE rowid = {rowid}" for rowid, octets in rows),
        *(f"UPDATE change SET value = x'{octets.hex()}00' WHERE rowid = {rowid}" for rowid, octets in rows),
        *(f"UPDATE change SET value = '{rowid}' WHERE rowid = {rowid}" for rowid, _ in rows),
        *(f"UPDATE change SET value = 5 WHERE rowid = {rowid}" for rowid, _ in rows),
        *(f"UPDATE change SET kind = 'ipv8' WHERE rowid = {rowid}" for rowid, _ in rows),
        "INSERT INTO change SELECT * FROM change LIMIT 1",
        "UPDATE change SET generation = generation + 1",
        "UPDATE change SET value = x'0a' WHERE kind = 'router_key'",
        "UPDATE change SET kind = 'aspa' WHERE kind = 'router_key'",
        "UPDATE change SET kind = 'router_key' WHERE kind = 'aspa'",
        "UPDATE change SET kind = 'ipv6' WHERE kind = 'ipv4'",
        "UPDATE state SET record = x''",
        "UPDATE state SET record = 'text'",
        "UPDATE state SET digest = x''",
        "UPDATE state SET record = replace(record, '4', '5')",
        "DELETE FROM state",
        "DROP TABLE state",
        "DROP TABLE change",
        "CREATE TABLE more (id INTEGER)",
        "ALTER TABLE generation ADD COLUMN more INTEGER",
        "ALTER TABLE state RENAME TO stale",
    ]  # fmt: skip
    for falsehood in falsehoods:
        put(folder, files)
        database = sqlite3.connect(folder / "history.db", isolation_level=None)
        try:
            changed = database.execute(falsehood).rowcount
        finally:
            database.close()
        try:
            assert outcome(folder, committed) == ("a new session" if changed else "as committed")
        except BaseException as error:
            error.add_note(falsehood)
            raise


def test_a_file_that_ends_too_early(whole, folder):
    files, committed = whole
    found: Counter[str] = Counter()
    for name in files.keys() - {"lock"}:
        for size in range(0, len(files[name]), 64 if name != "history.db" else 512):
            put(folder, files | {name: files[name][:size]})
            assert outcome(folder, committed) == "a new session", f"{name} cut at {size}"
            found[name] += 1
        put(folder, files | {name: files[name] + bytes(64)})
        if name != "history.db":
            assert outcome(folder, committed) == "a new session", f"{name} with something after it"
    assert min(found.values()) > 50


def rename_table(folder: Path) -> None:
    (folder / "table-6").rename(folder / "table-5")


def foreign_table(folder: Path) -> None:
    fill(folder.parent / "other", SERIES)
    (folder.parent / "other" / "table-6").replace(folder / "table-6")


def former_table(folder: Path) -> None:
    fill(folder.parent / "other", LARGER[:5])
    (folder.parent / "other" / "table-5").replace(folder / "table-6")


def foreign_history(folder: Path) -> None:
    fill(folder.parent / "other", SERIES)
    (folder.parent / "other" / "history.db").replace(folder / "history.db")


def other_columns(folder: Path) -> None:
    write(folder / "table-6", {}, {})


def no_header(folder: Path) -> None:
    start = b"pyRTRcol" + bytes((1, 0, 0, 0)) + bytes((4, 0, 0, 0)) + b"null"
    (folder / "table-6").write_bytes(start + hashlib.blake2b(start, digest_size=32).digest())


def empty_table(folder: Path) -> None:
    (folder / "table-6").write_bytes(b"")


def garbage_history(folder: Path) -> None:
    (folder / "history.db").write_bytes(random.Random(1).randbytes(PAGE_BYTES * 4))


def garbage_pages(folder: Path) -> None:
    path = folder / "history.db"
    path.write_bytes(path.read_bytes()[:PAGE_BYTES] + random.Random(1).randbytes(PAGE_BYTES * 4))


def other_database(folder: Path) -> None:
    (folder / "history.db").unlink()
    database = sqlite3.connect(folder / "history.db")
    database.execute("CREATE TABLE state (id INTEGER PRIMARY KEY)")
    database.close()


def empty_database(folder: Path) -> None:
    (folder / "history.db").write_bytes(b"")


def unlink(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def folder_instead(name: str) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return replace


@pytest.mark.parametrize(
    "damage",
    [
        rename_table,
        foreign_table,
        former_table,
        foreign_history,
        other_columns,
        no_header,
        empty_table,
        garbage_history,
        garbage_pages,
        other_database,
        empty_database,
        unlink("table-6"),
        unlink("history.db"),
        folder_instead("table-6"),
        folder_instead("history.db"),
    ],
)
def test_files_that_are_not_ours_to_go_on_from(damage, whole, folder):
    files, committed = whole
    put(folder, files)
    damage(folder)
    before = os.listdir(folder)
    assert outcome(folder, committed) == "a new session"
    (aside,) = folder.glob("damaged-*")
    assert {*os.listdir(aside)} >= {*before} - {"lock"}, "all of it can be looked at"


def test_a_lock_that_is_lost_or_holds_something_is_no_damage(whole, folder):
    files, committed = whole
    for lock in (None, b"", b"1234\n"):
        put(folder, files | {"lock": b""})
        (folder / "lock").unlink() if lock is None else (folder / "lock").write_bytes(lock)
        assert outcome(folder, committed) == "as committed"


def test_a_journal_that_is_left_over_is_no_damage(whole, folder):
    files, committed = whole
    for junk in (b"", bytes(512), random.Random(2).randbytes(2048)):
        put(folder, files | {"history.db-journal": junk})
        assert outcome(folder, committed) == "as committed"
