"""One attempt to read a local file: all of it as it stands, or a reason why not."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pyrtr.errors import SourceError
from pyrtr.sources.fetch import file
from pyrtr.sources.fetch.file import MAX_SOURCE_BYTES, Fetched, Signature, fetch, signature


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "vrps.json"
    path.write_bytes(b'{"roas": []}')
    os.utime(path, ns=(0, 1_000_000_500_000_000))
    return path


def test_a_file_is_read_whole(source):
    assert fetch(source) == Fetched(b'{"roas": []}', 1_000_000.5)


def test_octets_that_are_taken_are_free_to_go(source):
    fetched = fetch(source)
    assert fetched.take() == b'{"roas": []}'
    assert fetched == Fetched(b"", 1_000_000.5)


def test_an_empty_file_is_read(tmp_path):
    (tmp_path / "empty").touch()
    assert fetch(tmp_path / "empty").body == b""


def test_a_link_is_followed(source, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(source.name)
    assert fetch(link).body == source.read_bytes()
    assert signature(link) == signature(source)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "json.gz": gzip.compress,
    "json.zst": zstandard.compress,
    "json.xz": lzma.compress,
}


@pytest.mark.parametrize("name", COMPRESS)
def test_a_compressed_file_is_read_as_what_it_holds(tmp_path, name):
    """Its first octets tell, whatever it is called; and what several parts hold is one."""
    plain = random.Random(0).randbytes(200_000)
    parts = [COMPRESS[name](part) for part in (plain[:100_000], plain[100_000:])]
    for path in (tmp_path / name, tmp_path / "json"):
        path.write_bytes(b"".join(parts))
        os.utime(path, (0, 1_000_000))
        assert fetch(path) == Fetched(plain, 1_000_000)
    (tmp_path / name).write_bytes(b"{}")
    assert fetch(tmp_path / name).body == b"{}"


@pytest.mark.parametrize("name", COMPRESS)
def test_a_compressed_file_that_is_not_whole_is_refused(tmp_path, name, monkeypatch):
    path = tmp_path / "source"
    packed = COMPRESS[name](bytes(1000))
    for octets in (packed[:-1], packed[:6], packed + b"\n", packed + packed[:8]):
        path.write_bytes(octets)
        with pytest.raises(SourceError) as caught:
            fetch(path)
        assert str(caught.value).startswith(f"{path}: it")
    path.write_bytes(packed)
    monkeypatch.setattr(file, "MAX_SOURCE_BYTES", 999)
    with pytest.raises(SourceError, match="source: decompressed it has more than 999 octets, the most that is read"):
        fetch(path)


def make_fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


def make_loop(path: Path) -> Path:
    path.symlink_to(path.name)
    return path


def make_large(path: Path) -> Path:
    with path.open("wb") as large:
        large.truncate(MAX_SOURCE_BYTES + 1)  # a hole, which takes no room
    return path


def make_unreadable(path: Path) -> Path:
    path.touch(mode=0)
    return path


UNUSABLE = {
    "missing": (lambda path: path, "No such file or directory"),
    "below a file": (lambda path: Path("/dev/null") / path.name, "Not a directory"),
    "name too long": (lambda path: path.with_name("x" * 300), "File name too long"),
    "folder": (make_folder, "Is a directory"),
    "device": (lambda _: Path("/dev/zero"), "not a regular file"),
    "terminal": (lambda _: Path("/dev/ptmx"), "not a regular file"),
    "FIFO that nobody writes to": (make_fifo, "not a regular file"),
    "link to itself": (make_loop, "Too many levels of symbolic links"),
    "too large": (make_large, "has 2147483648 octets: at most 2147483647 are read"),
    "read error": (lambda _: Path("/proc/self/mem"), "Input/output error"),
}
if os.geteuid() != 0:  # root may read everything
    UNUSABLE["unreadable"] = (make_unreadable, "Permission denied")


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_is_no_readable_file_is_refused_at_once(case, tmp_path):
    make, reason = UNUSABLE[case]
    path = make(tmp_path / "source")
    with pytest.raises(SourceError) as caught:
        fetch(path)
    assert str(caught.value).startswith(str(path))
    assert reason in str(caught.value)


def change_while_read(monkeypatch, change) -> None:
    """Have `change` happen between the opening of the file and the reading."""

    def open_and_change(path, mode, opener):
        stream = io.open(path, mode, opener=opener)  # noqa: SIM115, UP020 - the caller closes it
        change()
        return stream

    monkeypatch.setattr(file, "open", open_and_change, raising=False)


def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(source, monkeypatch):
    """rpki-client replaces its output by rename: octets and time are those of one and the same file."""
    other = source.with_name("other")
    other.write_bytes(b'{"roas": [], "metadata": {}}')
    os.utime(other, ns=(0, 2_000_000_000_000_000))
    change_while_read(monkeypatch, lambda: other.replace(source))
    assert fetch(source) == Fetched(b'{"roas": []}', 1_000_000.5)
    monkeypatch.undo()
    assert fetch(source) == Fetched(b'{"roas": [], "metadata": {}}', 2_000_000.0)


def test_a_file_that_is_removed_while_it_is_read_is_read_as_it_was(source, monkeypatch):
    change_while_read(monkeypatch, source.unlink)
    assert fetch(source).body == b'{"roas": []}'


def write_after(source: Path, stream: io.FileIO, size: int) -> bytes:
    body = stream.read(size)
    source.write_bytes(b'{"aspa": {}}')  # as many octets as before
    return body


def write_before(source: Path, stream: io.FileIO, size: int) -> bytes:
    """Within one tick of the file system's clock, so that only the size tells."""
    source.write_bytes(b'{"roas": [], "metadata": {}}')
    os.utime(source, ns=(0, 1_000_000_500_000_000))
    return stream.read(size)


def cut_before(source: Path, stream: io.FileIO, size: int) -> bytes:
    os.truncate(source, 8)
    os.utime(source, ns=(0, 1_000_000_500_000_000))
    return stream.read(size)


@pytest.mark.parametrize("read", [write_after, write_before, cut_before])
def test_a_file_that_is_written_to_while_it_is_read_is_refused(source, monkeypatch, read):
    class Changing(io.FileIO):
        def read(self, size=-1):
            with io.FileIO(self.fileno(), closefd=False) as stream:
                return read(source, stream, size)

    monkeypatch.setattr(file, "open", lambda path, mode, opener: Changing(path, mode, opener=opener), raising=False)
    with pytest.raises(SourceError, match="changed while it was read: write it elsewhere and rename it"):
        fetch(source)


def test_a_signature_tells_one_file_from_the_next(source):
    first = signature(source)
    status = source.stat()
    assert first == Signature(status.st_dev, status.st_ino, 12, 1_000_000_500_000_000)
    os.utime(source, ns=(0, 1_000_000_500_000_001))
    written = signature(source)
    source.with_name("other").write_bytes(source.read_bytes())
    os.utime(source.with_name("other"), ns=(0, 1_000_000_500_000_001))
    source.with_name("other").replace(source)
    assert len({first, written, signature(source)}) == 3
    source.unlink()
    assert signature(source) is None
