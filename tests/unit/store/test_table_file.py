"""Tables and deltas as files: what was written comes back, and no file is taken for another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import NASTY
from tests.property.strategies import payload_lists

from pyrtr.errors import StoreError
from pyrtr.payload.delta import Delta, apply, difference
from pyrtr.payload.table import NEVER, Facts, PayloadTable
from pyrtr.store import columns
from pyrtr.store.table_file import read_delta, read_table, write_delta, write_table

EMPTY = PayloadTable.of()


def facts(table: PayloadTable, first: int = NEVER) -> Facts:
    sizes = (len(table.ipv4), len(table.ipv6), len(table.router_keys), len(table.aspas))
    times = (np.arange(first - size, first, dtype=np.int64) for size in sizes)
    anchors = (np.arange(size, dtype=np.uint16) for size in sizes[:2])
    return Facts(*times, *anchors, tuple(f"ta{number}" for number in range(max(sizes))))  # type: ignore[arg-type, call-arg]


def plain(value: Facts) -> list[object]:
    """To compare with."""
    columns = [getattr(value, name) for name in Facts.__slots__ if name != "anchors"]
    return [*((column.dtype, column.tolist()) for column in columns), value.anchors]


def parts(delta: Delta) -> tuple[object, ...]:
    rows = (delta.ipv4.announce, delta.ipv4.withdraw, delta.ipv6.announce, delta.ipv6.withdraw)
    return *((column.dtype, column.tobytes()) for column in rows), delta.router_keys, delta.aspas


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table"


@settings(max_examples=50)
@given(payload_lists, st.integers(100, NEVER))
def test_a_table_comes_back(tmp_path_factory, payload, first):
    path = tmp_path_factory.getbasetemp() / "table"
    table = PayloadTable.of(payload)
    digest = write_table(path, table, facts(table, first))
    stored = read_table(path)
    assert stored.table == table
    assert (stored.table.ipv4.dtype, stored.table.ipv6.dtype) == (table.ipv4.dtype, table.ipv6.dtype)
    assert plain(stored.facts) == plain(facts(table, first))
    assert stored.digest == digest


@settings(max_examples=50)
@given(payload_lists, payload_lists)
def test_a_delta_comes_back(tmp_path_factory, old, new):
    path = tmp_path_factory.getbasetemp() / "delta"
    before, after = PayloadTable.of(old), PayloadTable.of(new)
    delta = difference(before, after)
    write_delta(path, delta)
    stored = read_delta(path)
    assert parts(stored) == parts(delta)
    assert apply(before, stored) == after


@pytest.mark.parametrize("payload", [(), NASTY], ids=["empty", "nasty"])
def test_a_damaged_table_is_refused_wherever_it_is_cut(path, payload):
    table = PayloadTable.of(payload)
    write_table(path, table, facts(table))
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(StoreError):
            read_table(path)


def write_octets(path: Path) -> None:
    columns.write(path, {"ipv4": np.zeros(3, np.uint8)}, {})


def write_other_rows(path: Path) -> None:
    """As a later version may lay them out."""
    table = PayloadTable.of(NASTY)
    write_table(path, PayloadTable(table.ipv6, table.ipv6), facts(table))


@pytest.mark.parametrize(
    "write", [write_octets, write_other_rows, lambda path: write_delta(path, difference(EMPTY, EMPTY))]
)
def test_a_file_of_other_columns_is_no_table(path, write):
    write(path)
    with pytest.raises(StoreError, match="holds other columns than it should: ipv4"):
        read_table(path)


@pytest.mark.parametrize("write", [write_octets, lambda path: write_table(path, EMPTY, facts(EMPTY))])
def test_a_file_of_other_columns_is_no_delta(path, write):
    write(path)
    with pytest.raises(StoreError, match="holds other columns than it should: ipv4"):
        read_delta(path)


@pytest.mark.parametrize("read", [read_table, read_delta])
def test_a_missing_file_is_refused(path, read):
    with pytest.raises(StoreError, match="No such file or directory"):
        read(path)
