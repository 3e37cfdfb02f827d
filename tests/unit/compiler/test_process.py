"""A compile process from the side that starts it: a report, or one clear reason why there is none."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.compiler.sources import job, roa, write_source

from pyrtr.compiler import process
from pyrtr.compiler.job import Report
from pyrtr.errors import SourceError
from pyrtr.processes import Answer, Refusal
from pyrtr.store.table_file import read_table

Process = asyncio.subprocess.Process


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "json", roa(64496))


@pytest.fixture
def at_start(monkeypatch):
    """Have something done to each process that is started, before it gets its job; and list them."""
    started: list[Process] = []
    start = asyncio.create_subprocess_exec

    def prepare(act: Callable[[int], object] = lambda _: None) -> list[Process]:
        async def start_and_act(*arguments: str, **options: Any) -> Process:
            child = await start(*arguments, **options)
            started.append(child)
            act(child.pid)
            return child

        monkeypatch.setattr(asyncio, "create_subprocess_exec", start_and_act)
        return started

    return prepare


async def test_a_job_is_done_in_a_process_of_its_own(source, at_start):
    started = at_start()
    report = await process.run(job(source))
    assert (report.has_delta, report.change_count) == (False, 1)
    found = report.inputs[0].source
    assert found is not None
    assert found.records["vrps"] == 1
    assert read_table(source.with_name("table.next")).table.vrp_count == 1
    assert [child.returncode for child in started] == [0]
    assert started[0].pid != os.getpid()


async def test_modules_of_the_working_directory_are_not_taken_for_ours(source, monkeypatch):
    """The `pyrtr` command would not either; and LOCATION is relative to it, so it may be anywhere."""
    for name in ("msgspec", "numpy", "secrets"):
        source.with_name(f"{name}.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(source.parent)
    assert (await process.run(job(Path("json")))).change_count == 1


async def test_several_jobs_at_once_are_refused_each_with_its_reason(tmp_path, at_start):
    started = at_start()
    (tmp_path / "cut").write_text('{"roas": [')
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    reasons = {
        "missing": "missing: No such file or directory",
        "cut": "not a whole JSON document: Input data was truncated",
        "folder": "folder: Is a directory",
        "fifo": "fifo is not a regular file",
    }
    outcomes = await asyncio.gather(*(process.run(job(tmp_path / name)) for name in reasons), return_exceptions=True)
    for reason, outcome in zip(reasons.values(), outcomes, strict=True):
        assert type(outcome) is SourceError
        assert str(outcome).endswith(reason)
    assert [child.returncode for child in started] == [0] * len(reasons)


async def test_a_process_that_is_killed_is_a_reason(source, at_start):
    at_start(lambda pid: os.kill(pid, signal.SIGKILL))
    with pytest.raises(SourceError, match="the compile process was killed by SIGKILL"):
        await process.run(job(source))


async def test_a_process_that_hangs_is_ended(source, at_start):
    started = at_start(lambda pid: os.kill(pid, signal.SIGSTOP))
    with pytest.raises(SourceError, match=r"the compile process took longer than 0.02 s and was ended"):
        await process.run(job(source), timeout_s=0.02)
    assert [child.returncode for child in started] == [-signal.SIGKILL]


async def test_a_process_is_ended_when_nobody_waits_for_it_any_more(source, at_start):
    running = asyncio.Event()
    started = at_start(lambda _: running.set())
    task = asyncio.create_task(process.run(job(source)))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [child.returncode for child in started] == [-signal.SIGKILL]
    assert not source.with_name("table.next").exists()


async def test_too_little_memory_is_a_reason(tmp_path, at_start):
    limit = 2**30
    at_start(lambda pid: resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit)))
    with (tmp_path / "json").open("wb") as large:
        large.truncate(limit)  # a hole, which takes no room
    with pytest.raises(SourceError, match="json: not enough memory to read it"):
        await process.run(job(tmp_path / "json"))


REFUSAL = msgspec.json.encode(Answer(refusal=Refusal("it was refused", kind="source"))).decode()

# What stands in for the interpreter, and what is made of it.
STRANGE = {
    "exit 0": "the compile process gave no answer: Input data was truncated",
    "echo Segmentation fault": "the compile process gave no answer: JSON is malformed",
    "echo '{}'": "the compile process gave an empty answer",
    "echo '[]'": "the compile process gave no answer: Expected `object`, got `array`",
    "echo '{\"report\": {}}'": "the compile process gave no answer: Object missing required field",
    'printf \'{"refusal": {"reason": "\\377"}}\'': "the compile process gave no answer: 'utf-8' codec",
    f"echo '{'[' * 9000}'": "the compile process gave no answer:",
    f"echo '{REFUSAL}'": "it was refused",
    f"echo '{REFUSAL}{REFUSAL}'": "the compile process gave no answer: JSON is malformed: trailing characters",
    f"echo '{REFUSAL}'; exit 1": "the compile process ended with status 1",
    "echo first >&2; echo last >&2; exit 3": "the compile process ended with status 3: last",
    "printf '\\377' >&2; exit 4": "the compile process ended with status 4: \ufffd",
    "kill -SEGV $$": "the compile process was killed by SIGSEGV",
    "kill -42 $$": "the compile process was killed by signal 42",
}


@pytest.mark.parametrize("script", STRANGE, ids=[script[:30] for script in STRANGE])
async def test_whatever_a_process_says_is_a_reason(script, source, monkeypatch):
    interpreter = source.with_name("python")
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    interpreter.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    with pytest.raises(SourceError) as caught:
        await process.run(job(source))
    assert str(caught.value).startswith(STRANGE[script])


async def test_a_process_that_can_not_be_started_is_a_reason(source, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(source.with_name("python")))
    with pytest.raises(SourceError, match="no compile process can be started: No such file or directory"):
        await process.run(job(source))


async def test_metadata_of_any_depth_is_kept_or_a_reason(tmp_path):
    """Whichever process finds it too deep first: where that is depends on what called what."""
    texts = {depth: "[" * depth + "]" * depth for depth in (900, *range(930, 990, 10), 2000)}
    for depth, text in texts.items():
        (tmp_path / str(depth)).mkdir()
        (tmp_path / str(depth) / "json").write_text(f'{{"roas": [], "metadata": {{"x": {text}}}}}')
    jobs = (process.run(job(tmp_path / str(depth) / "json")) for depth in texts)
    outcomes = await asyncio.gather(*jobs, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Report, SourceError}
    assert all("recursion" in str(outcome) for outcome in outcomes if not isinstance(outcome, Report))
