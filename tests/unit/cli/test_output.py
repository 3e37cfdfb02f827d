"""A file is written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrtr.cli.output import aligned, write_file


def test_a_file_is_replaced_when_all_of_it_is_there(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("before")

    def pieces() -> Iterator[str]:
        yield "af"
        assert path.read_text() == "before"
        yield "ter"

    write_file(path, pieces())
    assert path.read_text() == "after"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_file_that_is_not_finished_leaves_what_was_there(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "file"
    path.write_text("before")

    def pieces() -> Iterator[str]:
        yield "af"
        raise error

    with pytest.raises(error):
        write_file(path, pieces())
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]


def test_only_a_regular_file_is_replaced(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="no regular file"):
        write_file(tmp_path / "fifo", ["text"])
    assert os.listdir(tmp_path) == ["fifo"]


def test_nothing_in_a_table_breaks_its_lines():
    assert aligned([("A", "B"), ("a\nb", ""), ("", "c")]) == "A     B\na\\nb\n      c"
