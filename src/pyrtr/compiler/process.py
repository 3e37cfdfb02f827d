"""Running a compile process from the serving process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import msgspec

from pyrtr.compiler.job import Answer, Job, Report
from pyrtr.errors import SourceError, StoreError

# A million VRPs take a second or two. Far beyond that the machine is in trouble, and the next look may do better.
TIMEOUT_S = 300.0
_SIGNAL_NAMES = {number.value: number.name for number in signal.Signals}  # most real-time signals have none


async def run(job: Job, *, timeout_s: float = TIMEOUT_S) -> Report:
    """Run one job in a process of its own and wait for its end.

    Raises:
        SourceError: the job was refused, or the process died or took too long. Nothing of it is to be used then.
        StoreError: the same, because files could not be written or read.
    """
    pipe = asyncio.subprocess.PIPE
    # -P: no module is taken from the working directory, as none is when the `pyrtr` command is run.
    arguments = (sys.executable, "-P", "-m", "pyrtr.compiler.worker", str(os.getpid()))
    try:
        process = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:  # out of descriptors, processes or memory
        raise SourceError(f"no compile process can be started: {error.strerror}") from error
    try:
        output, errors = await asyncio.wait_for(process.communicate(msgspec.json.encode(job)), timeout_s)
    except TimeoutError:
        raise SourceError(f"the compile process took longer than {timeout_s:g} s and was ended") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise SourceError(f"the compile process {_ending(process.returncode)}{_last_line(errors)}")
    try:
        answer = msgspec.json.decode(output, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"the compile process gave no answer: {error}") from error
    if answer.refusal is not None:
        raise (StoreError if answer.refusal.is_storage else SourceError)(answer.refusal.reason)
    if answer.report is None:
        raise SourceError("the compile process gave an empty answer")
    return answer.report


def _ending(status: int | None) -> str:
    if status is not None and status < 0:
        return f"was killed by {_SIGNAL_NAMES.get(-status, f'signal {-status}')}"
    return f"ended with status {status}"


def _last_line(errors: bytes) -> str:
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""
