"""What a compilation leaves: a table, a delta where there was a table before, and a report."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.examples import announced, aspa, vrp, withdrawn
from tests.property.oracle import payload_of
from tests.unit.compiler.sources import NOW, job, roa, write_source

from pyrtr.compiler.job import Report, Task
from pyrtr.compiler.worker import compile_table
from pyrtr.errors import PyrtrError, SourceError, StoreError
from pyrtr.payload.delta import apply
from pyrtr.payload.table import NEVER
from pyrtr.processes import Answer
from pyrtr.sources.base import SourceReport
from pyrtr.store.table_file import read_delta, read_table

V6 = "2001:db8::/32"
ASPA = {"customer_asid": 64496, "providers": [64497], "expires": NOW + 1}


def files(folder: Path) -> set[str]:
    return set(os.listdir(folder))


def found(report: Report) -> SourceReport:
    """What was found at the one location."""
    (place,) = report.inputs
    assert place.is_used
    assert place.source is not None
    return place.source


def compiled(folder: Path, *roas: object, **members: object) -> Path:
    """The table of a source, where the one that is served stands."""
    compile_table(job(write_source(folder / "json", *roas, **members)))
    return (folder / "table.next").replace(folder / "table")


def test_the_first_table_comes_without_a_delta(tmp_path):
    source = write_source(tmp_path / "json", roa(64496), roa(64496), roa(64497, prefix=V6), roa(-1), aspas=[ASPA])
    report = compile_table(job(source))
    assert files(tmp_path) == {"json", "share.next", "table.next"}
    stored = read_table(tmp_path / "table.next")
    assert payload_of(stored.table) == [vrp("192.0.2.0/24", 24, 64496), vrp(V6, 48, 64497), aspa(64496, 64497)]
    facts = stored.facts
    assert facts.ipv4_expires.tolist() == facts.aspas_expires.tolist() == [NOW + 1]
    assert (facts.anchors, facts.ipv4_anchors.tolist()) == (("ripe",), [0])
    assert (stored.digest, facts.next_expiry) == (report.digest, report.next_expiry)
    assert report.next_expiry == NOW + 1
    assert (report.is_proved, report.losses) == (True, None)
    assert (report.has_delta, report.change_count) == (False, 3)
    assert report.counts == {"ipv4": 1, "ipv6": 1, "router_keys": 0, "aspas": 1}
    assert report.vrps_by_anchor == {"ripe": 2}
    assert found(report) == SourceReport(
        metadata={"buildtime": "2026-11-23T03:22:35Z"},
        records={"vrps": 4, "router_keys": 0, "aspas": 1},
        dropped={"duplicate": 1, "asn": 1},
        built_at=NOW,
    )
    assert set(report.seconds) == {"current", "fetch", "decode", "merge", "compare", "write"}
    assert all(value >= 0 for value in report.seconds.values())


def test_an_empty_first_table_is_a_table(tmp_path):
    report = compile_table(job(write_source(tmp_path / "json")))
    assert (report.has_delta, report.change_count) == (False, 0)
    assert payload_of(read_table(tmp_path / "table.next").table) == []


def test_a_delta_takes_the_current_table_to_the_next(tmp_path):
    current = compiled(tmp_path, roa(64496), roa(64497), roa(64496, prefix=V6), aspas=[ASPA])
    source = write_source(
        tmp_path / "json", roa(64497), roa(64498), roa(64496, prefix=V6), aspas=[ASPA | {"providers": [64499]}]
    )
    report = compile_table(job(source, current=current))
    assert (report.has_delta, report.change_count) == (True, 3)
    delta = read_delta(tmp_path / "delta.next")
    assert announced(delta) == [vrp("192.0.2.0/24", 24, 64498), aspa(64496, 64499)]
    assert withdrawn(delta) == [vrp("192.0.2.0/24", 24, 64496)]
    assert apply(read_table(current).table, delta) == read_table(tmp_path / "table.next").table


def test_what_has_expired_is_withdrawn(tmp_path):
    current = compiled(tmp_path, roa(64496), roa(64497))
    report = compile_table(job(write_source(tmp_path / "json", roa(64496), roa(64497, expires=NOW)), current=current))
    assert found(report).dropped == {"expired": 1}
    assert withdrawn(read_delta(tmp_path / "delta.next")) == [vrp("192.0.2.0/24", 24, 64497)]


def test_other_expiry_times_are_no_change(tmp_path):
    """They are no part of the payload, but the table on disk has them."""
    current = compiled(tmp_path, roa(64496))
    report = compile_table(job(write_source(tmp_path / "json", roa(64496, expires=NOW + 9)), current=current))
    assert (report.has_delta, report.change_count) == (False, 0)
    assert files(tmp_path) == {"json", "share.next", "table", "table.next"}
    assert read_table(tmp_path / "table.next").facts.ipv4_expires.tolist() == [NOW + 9]


def test_a_source_that_loses_everything_is_a_change(tmp_path):
    """Whether to believe it is for others to say."""
    current = compiled(tmp_path, roa(64496))
    assert compile_table(job(write_source(tmp_path / "json"), current=current)).change_count == 1


def test_a_source_without_a_build_time_is_as_old_as_its_file(tmp_path):
    source = write_source(tmp_path / "json", roa(64496), metadata={})
    report = compile_table(job(source, modified=1_000_000))
    assert found(report).built_at == 1_000_000


def test_what_expires_leaves_without_a_look_at_the_source(tmp_path):
    current = compiled(tmp_path, roa(64496, expires=NOW + 9), roa(64497), aspas=[ASPA])
    (tmp_path / "json").unlink()
    report = compile_table(job(tmp_path / "json", current=current, task=Task.EXPIRE, now=NOW + 1))
    assert payload_of(read_table(tmp_path / "table.next").table) == [vrp("192.0.2.0/24", 24, 64496)]
    assert withdrawn(read_delta(tmp_path / "delta.next")) == [vrp("192.0.2.0/24", 24, 64497), 64496]
    assert (report.change_count, report.next_expiry, report.inputs) == (2, NOW + 9, ())
    assert report.losses is not None
    assert (report.losses.vrps, report.losses.aspas) == ((1, 0), (0, 0))  # what has expired is no loss


def test_everything_is_withdrawn(tmp_path):
    current = compiled(tmp_path, roa(64496), aspas=[ASPA])
    report = compile_table(job(tmp_path / "json", current=current, task=Task.WITHDRAW))
    assert payload_of(read_table(tmp_path / "table.next").table) == []
    assert (report.change_count, report.next_expiry) == (2, NEVER)


def no_json(folder: Path) -> None:
    (folder / "json").write_text('{"roas": [')


def no_source(folder: Path) -> None:
    (folder / "json").unlink()


def fifo(folder: Path) -> None:
    no_source(folder)
    os.mkfifo(folder / "json")


def source_folder(folder: Path) -> None:
    no_source(folder)
    (folder / "json").mkdir()


def damaged_table(folder: Path) -> None:
    (folder / "table").write_bytes(b"pyRTRcol")


def no_table(folder: Path) -> None:
    (folder / "table").unlink()


def no_room_for_share(folder: Path) -> None:
    (folder / "share.next.new").symlink_to("/dev/full")


def no_room_for_delta(folder: Path) -> None:
    (folder / "delta.next.new").symlink_to("/dev/full")


FAULTS = {
    no_json: (SourceError, "not a whole JSON document"),
    no_source: (SourceError, "No such file"),
    fifo: (SourceError, "not a regular file"),
    source_folder: (SourceError, "Is a directory"),
    damaged_table: (StoreError, "damaged"),
    no_table: (StoreError, "No such file"),
    no_room_for_share: (StoreError, "No space left"),
    no_room_for_delta: (StoreError, "No space left"),
}


@pytest.mark.parametrize("break_it", FAULTS)
def test_a_job_is_refused(break_it, tmp_path):
    error, reason = FAULTS[break_it]
    current = compiled(tmp_path, roa(64496))
    source = write_source(tmp_path / "json", roa(64497))
    break_it(tmp_path)
    with pytest.raises(PyrtrError, match=reason) as caught:
        compile_table(job(source, current=current))
    assert type(caught.value) is error
    assert "delta.next" not in files(tmp_path), "a delta may only be there with the table that it leads to"


def test_a_share_that_is_another_than_the_one_that_was_accepted_is_not_used(tmp_path):
    """A table file may be whole, and belong to another time."""
    compiled(tmp_path, roa(64496))
    share = tmp_path / "share.next"
    given = job(tmp_path / "json")
    known = msgspec.structs.replace(
        given.inputs[0], body=None, share=str(share), share_digest=read_table(share).digest, new_share=""
    )
    assert compile_table(msgspec.structs.replace(given, inputs=(known,))).change_count == 1
    other = msgspec.structs.replace(known, share_digest=bytes(32))
    with pytest.raises(SourceError, match=r"share\.next is not what was accepted"):
        compile_table(msgspec.structs.replace(given, inputs=(other,)))


# The process itself, without the one that usually starts it.

WORKER = [sys.executable, "-P", "-m", "pyrtr.compiler.worker"]


def test_a_worker_answers_with_the_report(tmp_path):
    source = write_source(tmp_path / "json", roa(64496))
    arguments = [*WORKER, str(os.getpid())]
    done = subprocess.run(arguments, input=msgspec.json.encode(job(source)), capture_output=True, check=True)
    report = msgspec.json.decode(done.stdout, type=Answer[Report]).report
    assert report is not None
    assert (report.change_count, done.stderr) == (1, b"")


def test_a_worker_whose_parent_is_gone_does_nothing(tmp_path):
    source = write_source(tmp_path / "json", roa(64496))
    arguments = [*WORKER, str(os.getppid())]  # as if it had been started by that one, which is not its parent now
    done = subprocess.run(arguments, input=msgspec.json.encode(job(source)), capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert files(tmp_path) == {"json"}


PARENT = """
import os, subprocess, sys
worker = subprocess.Popen([*sys.argv[1:], str(os.getpid())], stdin=0)
print(worker.pid, flush=True)
worker.wait()
"""


def ignores(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(mask >> (number - 1) & 1)


def test_a_worker_dies_with_its_parent():
    """At once, although its job may still come: we hold the other end of its standard input."""
    reading, writing = os.pipe()
    arguments = [sys.executable, "-c", PARENT, *WORKER]
    with subprocess.Popen(arguments, stdin=reading, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        worker = os.pidfd_open(pid)
        while not ignores(pid, signal.SIGHUP):  # which it does when it is about to wait for its job
            assert not select.select([worker], [], [], 0.01)[0], "the worker has ended before its parent"
        parent.kill()
        assert select.select([worker], [], [], 10)[0], "the worker has outlived its parent"
    for descriptor in (worker, reading, writing):
        os.close(descriptor)
