"""Files of columns: what was written comes back, or the file is refused."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pyrtr.errors import StoreError
from pyrtr.store import columns

SMALL = {"rows": np.array([b"\0a", b"b\0", b"\0\0"], "S2"), "times": np.array([-1, 2**62]), "none": np.empty(0, "S10")}
META = {"metadata": {"vrps": 3, "ta": "é"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table"


def same(read, written) -> bool:
    return read.keys() == written.keys() and all(
        read[name].dtype == column.dtype and read[name].tobytes() == column.tobytes()
        for name, column in written.items()
    )


dtypes = st.sampled_from([np.dtype(kind) for kind in ("S1", "S10", "S22", "u1", "u2", "i8", "f8", "?")])
column_sets = st.dictionaries(
    st.text("abcdefghijklmnopqrstuvwxyz_46é", min_size=1, max_size=24),
    dtypes.flatmap(lambda dtype: npst.arrays(dtype, st.integers(0, 130))),
    max_size=8,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(is_mapped=st.booleans(), data=column_sets, meta=st.dictionaries(st.text(max_size=8), json_values, max_size=3))
def test_columns_come_back(tmp_path_factory, data, meta, is_mapped):
    path = tmp_path_factory.getbasetemp() / "columns"
    written = columns.write(path, data, meta)
    read, read_meta, digest = columns.read(path, is_mapped=is_mapped)
    assert same(read, data)
    assert (read_meta, digest) == (meta, written)
    addresses = [column.__array_interface__["data"][0] % 64 for column in read.values() if len(column)]
    assert not is_mapped or set(addresses) <= {0}, "columns start at multiples of 64"


def test_columns_are_written_in_order_whatever_their_strides(path):
    wide = np.arange(20)
    columns.write(path, {"even": wide[::2], "down": wide[::-1]}, {})
    read, _, _ = columns.read(path, is_mapped=True)
    assert (read["even"].tolist(), read["down"].tolist()) == (wide[::2].tolist(), wide[::-1].tolist())


def test_what_is_read_can_not_be_written_to(path):
    columns.write(path, SMALL, META)
    read, _, _ = columns.read(path, is_mapped=True)
    with pytest.raises(ValueError, match="read-only"):
        read["times"][0] = 1


def test_what_is_read_outlives_the_file(path):
    columns.write(path, SMALL, META)
    read, _, _ = columns.read(path, is_mapped=True)
    columns.write(path, {"other": np.arange(1000)}, {})
    path.unlink()
    assert same(read, SMALL)


def test_nothing_else_is_left_in_the_folder(path):
    columns.write(path, SMALL, META)
    assert os.listdir(path.parent) == ["table"]


def test_a_file_that_is_cut_short_is_refused(path):
    columns.write(path, SMALL, META)
    whole = path.read_bytes()
    for size in (*range(200), *range(200, len(whole) - 40, 13), *range(len(whole) - 40, len(whole))):
        path.write_bytes(whole[:size])
        with pytest.raises(StoreError, match=f"{path}"):
            columns.read(path, is_mapped=True)


def test_a_file_with_a_flipped_bit_is_refused(path):
    columns.write(path, SMALL, META)
    whole = path.read_bytes()
    for offset in (*range(200), *range(200, len(whole) - 40, 13), *range(len(whole) - 40, len(whole))):
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << random.Random(offset).randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=f"{path} is damaged: its checksum does not fit"):
            columns.read(path, is_mapped=True)


def sealed(content: bytes) -> bytes:
    return content + hashlib.blake2b(content, digest_size=columns.DIGEST_BYTES).digest()


FOREIGN = {
    "nothing": (b"", "cannot mmap an empty file"),
    "one octet": (b"p", "is damaged"),
    "a digest's size": (bytes(columns.DIGEST_BYTES), "is damaged"),
    "zeros": (bytes(4096), "is damaged"),
    "JSON": (b'{"roas": []}' * 9, "is damaged"),
    "SQLite": (b"SQLite format 3\0" + bytes(4096), "is damaged"),
    "no header": (sealed(b""), "is damaged"),
    "another magic": (sealed(struct.pack("<8sII", b"pyRTRxxx", 1, 0)), "is of another format: b'pyRTRxxx' 1"),
    "another format": (sealed(struct.pack("<8sII", b"pyRTRcol", 2, 0)), "is of another format: b'pyRTRcol' 2"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_content_is_refused(case, path):
    content, reason = FOREIGN[case]
    path.write_bytes(content)
    with pytest.raises(StoreError, match=reason) as caught:
        columns.read(path, is_mapped=True)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("place", "reason"), [("missing", "No such file"), (".", "Is a directory")])
def test_what_is_no_file_is_refused(place, reason, tmp_path):
    with pytest.raises(StoreError, match=reason):
        columns.read(tmp_path / place, is_mapped=True)


# Ways in which the next file can't be put in the place of the one that is there, each undone when it is left.


@contextmanager
def no_room(path: Path) -> Iterator[None]:
    path.with_name("table.new").symlink_to("/dev/full")
    yield


@contextmanager
def size_limit(path: Path) -> Iterator[None]:  # noqa: ARG001
    """As a quota would: the file can be made, and a part of it written."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def occupied(path: Path) -> Iterator[None]:
    path.with_name("table.new").mkdir()
    yield
    path.with_name("table.new").rmdir()


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    path.parent.chmod(0o500)
    try:
        yield
    finally:
        path.parent.chmod(0o700)


@contextmanager
def no_sync(path: Path) -> Iterator[None]:  # noqa: ARG001
    def fail(descriptor: int) -> None:  # noqa: ARG001
        raise OSError(5, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        yield


OBSTACLES = {
    no_room: "No space left on device",
    size_limit: "File too large",
    occupied: "Is a directory",
    no_sync: "Input/output error",
}
if os.geteuid() != 0:  # root may write everywhere
    OBSTACLES[read_only] = "Permission denied"


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_where_a_file_can_not_be_written_the_old_one_stays(obstacle, path):
    columns.write(path, SMALL, META)
    with obstacle(path), pytest.raises(StoreError) as caught:
        columns.write(path, {"rows": np.zeros(5000, "S10")}, {})
    assert str(caught.value) == f"{path} can't be written: {OBSTACLES[obstacle]}"
    read, meta, _ = columns.read(path, is_mapped=False)
    assert same(read, SMALL)
    assert meta == META
    assert os.listdir(path.parent) == ["table"], "half a file is left on a disk that is full"
    columns.write(path, {}, {})  # and once the obstacle is gone, the next one goes


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("missing/table", "No such file or directory"),
        ("file/table", "Not a directory"),
        ("folder", "Is a directory"),
        ("x" * 260, "File name too long"),
    ],
)
def test_where_there_is_no_place_for_a_file_it_is_refused(place, reason, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=f"{place} can't be written: {reason}"):
        columns.write(tmp_path / place, SMALL, META)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
