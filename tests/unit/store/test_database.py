"""The history: where we stand and the steps that led there, to the last octet, or a StoreError that says why not."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.examples import NASTY, Payload, aspa, key, vrp

from pyrtr.errors import StoreError
from pyrtr.payload.delta import NO_CHANGE, Delta, difference
from pyrtr.payload.history import Step
from pyrtr.payload.table import PayloadTable
from pyrtr.store.database import FORMAT, Database, StateRecord, StepRecord, delta_digest

RECORD = StateRecord(
    format=FORMAT,
    session_ids=((1, 4, 5), (2,), (65535,)),
    serial=2**32 - 1,
    published_at=1_795_404_155.123456,
    built_at=1_795_404_000.1,
    is_withdrawn=True,
    table="table-7",
    table_digest=bytes(range(32)),
    metadata={"buildtime": "2026-11-23T03:22:35Z", "é": [1.5, None, {}], "large": 2**63},
)


def delta(old: Iterable[Payload], new: Iterable[Payload]) -> Delta:
    return difference(PayloadTable.of(old), PayloadTable.of(new))


DELTAS = {
    "an IPv4 VRP comes": delta((), (vrp("0.0.0.0/0", 0, 0),)),
    "an IPv4 VRP goes": delta((vrp("192.0.2.0/24", 25, 0),), ()),
    "an IPv6 VRP comes": delta((), (vrp("2001:db8::/32", 32, 0),)),
    "an IPv6 VRP goes": delta((vrp("::/0", 0, 0),), ()),
    "a router key comes": delta((), (key(0, ski=bytes(20), spki=b"\x30\x00"),)),
    "a router key goes": delta((key(64496),), ()),
    "an ASPA comes": delta((), (aspa(64496, 0),)),
    "an ASPA goes": delta((aspa(64496, 1, 2**32 - 1),), ()),
    "an ASPA is replaced": delta((aspa(64496, 64497),), (aspa(64496, 64498, 64499),)),
    "everything": delta(NASTY[::2], NASTY[1::2]),
    "nothing": NO_CHANGE,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def record_with(*steps: tuple[int, int, Delta]) -> StateRecord:
    return msgspec.structs.replace(
        RECORD, steps=tuple(StepRecord(ordinal, serial, delta_digest(delta)) for ordinal, serial, delta in steps)
    )


def commit(path: Path, record: StateRecord, step: Step | None = None) -> None:
    database = Database(path)
    database.commit(record, () if step is None else (step,), "load")
    database.close()


def read(path: Path):
    database = Database(path)
    try:
        return database.read()
    finally:
        database.close()


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_a_new_one_is_empty(path):
    assert read(path) is None
    assert read(path) is None


def test_the_record_comes_back(path):
    commit(path, RECORD)
    assert read(path) == (RECORD, ())


@pytest.mark.parametrize("case", DELTAS)
def test_a_step_comes_back(case, path):
    record = record_with((1, 2**32 - 2, DELTAS[case]))
    commit(path, record, Step(2**32 - 2, DELTAS[case]))
    found, (step,) = read(path)
    assert (found, step.from_serial) == (record, 2**32 - 2)
    assert delta_digest(step.delta) == delta_digest(DELTAS[case])
    assert (step.delta.router_keys, step.delta.aspas) == (DELTAS[case].router_keys, DELTAS[case].aspas)


def test_digests_tell_deltas_apart():
    digests = {delta_digest(delta) for delta in DELTAS.values()}
    assert len(digests) == len(DELTAS)


def test_changes_can_be_looked_up(path):
    """By whoever asks when a prefix came to be."""
    commit(path, record_with((1, 5, DELTAS["everything"])), Step(5, DELTAS["everything"]))
    actions = rows(path, "SELECT kind, action, count(*) > 0 FROM change GROUP BY kind, action")
    assert {(kind, action) for kind, action, _ in actions} >= {
        *((kind, action) for kind in ("ipv4", "ipv6", "router_key") for action in ("announce", "withdraw")),
        ("aspa", "replace"),
    }
    assert rows(path, "SELECT ordinal, from_serial, serial, published_at, cause FROM generation") == [
        (1, 5, 6, RECORD.published_at, "load")
    ]


def test_steps_that_are_not_named_any_more_are_forgotten(path):
    steps = [(ordinal, 100 + ordinal, delta) for ordinal, delta in enumerate(DELTAS.values(), 1)]
    for index, (_, serial, change) in enumerate(steps, 1):
        commit(path, record_with(*steps[max(0, index - 3) : index]), Step(serial, change))
    _, kept = read(path)
    assert [step.from_serial for step in kept] == [serial for _, serial, _ in steps[-3:]]
    assert [row[0] for row in rows(path, "SELECT ordinal FROM generation")] == [ordinal for ordinal, _, _ in steps[-3:]]
    assert {row[0] for row in rows(path, "SELECT generation FROM change")} <= {ordinal for ordinal, _, _ in steps[-3:]}
    commit(path, RECORD)
    assert read(path) == (RECORD, ())
    assert rows(path, "SELECT * FROM generation UNION ALL SELECT generation, 0, 0, 0, 0 FROM change") == []


def test_another_format_is_refused(path):
    commit(path, msgspec.structs.replace(RECORD, format=FORMAT + 1))
    with pytest.raises(StoreError, match=f"history.db has format {FORMAT + 1}: this release reads {FORMAT}"):
        read(path)


def test_a_commit_that_fails_leaves_what_was_there(path):
    """And the next one works."""
    commit(path, RECORD)
    database = Database(path)
    step = Step(5, DELTAS["everything"])
    in_the_way = sqlite3.connect(path, isolation_level=None)
    in_the_way.execute("INSERT INTO generation VALUES (1, 1, 1, 1, '')")
    with pytest.raises(StoreError, match=r"history.db can't be written: UNIQUE constraint failed"):
        database.commit(record_with((1, 5, step.delta)), (step,), "load")
    assert database.read() == (RECORD, ())
    in_the_way.execute("DELETE FROM generation")
    in_the_way.close()
    database.commit(record_with((1, 5, step.delta)), (step,), "load")
    database.close()
    assert read(path)[0].steps[0].from_serial == 5


def test_it_is_on_disk_when_commit_returns(path):
    """Journal and all: nothing is left to a later sync."""
    database = Database(path)
    connection = database._connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (3,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    database.commit(RECORD, (), "load")
    assert not connection.in_transaction
    assert [entry.name for entry in path.parent.iterdir()] == ["history.db"]
    database.close()


def test_closing_waits_for_what_is_being_written(path):
    database = Database(path)
    database._writing.acquire()
    closing = threading.Thread(target=database.close)
    closing.start()
    database._connection.execute("SELECT 1")
    database._writing.release()
    closing.join()
    with pytest.raises(StoreError, match=r"can't be written: Cannot operate on a closed database"):
        database.commit(RECORD, (), "load")


def test_a_place_where_none_can_be_is_a_reason(tmp_path):
    with pytest.raises(StoreError, match="unable to open database file"):
        Database(tmp_path / "missing" / "history.db")
