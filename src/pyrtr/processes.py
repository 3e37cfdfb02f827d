"""Work in a process of its own: a request on its standard input, the answer on its standard output, and then it ends.

It has memory that the serving process must never have, and dies with the process that started it. Both ends are here:
`run` starts a module of ours, and `answer` is what that module does.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

import msgspec

from pyrtr.errors import PyrtrError, SourceError, StoreError

_PR_SET_PDEATHSIG = 1
_SIGNAL_NAMES = {number.value: number.name for number in signal.Signals}  # most real-time signals have none

Request = TypeVar("Request")
Report = TypeVar("Report")


class Refusal(msgspec.Struct, frozen=True):
    """Why the work came to nothing.

    Attributes:
        reason: in words.
        is_storage: whether files could not be written, and the source itself may be good.
    """

    reason: str
    is_storage: bool


class Answer(msgspec.Struct, Generic[Report], frozen=True):
    """Exactly one of the two."""

    report: Report | None = None
    refusal: Refusal | None = None


async def run(
    module: str, purpose: str, request: msgspec.Struct, kind: type[Answer[Report]], *, timeout_s: float
) -> Report:
    """Have a module do one request in a process of its own, and wait for its end.

    Args:
        module: its name; it calls `answer`.
        purpose: the process is called after it: `compile`, `fetch`.
        request: what is asked.
        kind: of the answer.
        timeout_s: seconds after which the process is ended.

    Raises:
        SourceError: the request was refused, or the process died or took too long. Nothing of it is to be used then.
        StoreError: the same, because files could not be written or read.
    """
    import asyncio  # 10 MiB, and 40 ms, that a process which answers does without

    pipe = asyncio.subprocess.PIPE
    # -P: no module is taken from the working directory, as none is when the `pyrtr` command is run.
    arguments = (sys.executable, "-P", "-m", module, str(os.getpid()))
    try:
        process = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:  # out of descriptors, processes or memory
        raise SourceError(f"no {purpose} process can be started: {error.strerror}") from error
    try:
        output, errors = await asyncio.wait_for(process.communicate(msgspec.json.encode(request)), timeout_s)
    except TimeoutError:
        raise SourceError(f"the {purpose} process took longer than {timeout_s:g} s and was ended") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise SourceError(f"the {purpose} process {ending(process.returncode, errors)}")
    try:
        answer = msgspec.json.decode(output, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"the {purpose} process gave no answer: {error}") from error
    if answer.refusal is not None:
        raise (StoreError if answer.refusal.is_storage else SourceError)(answer.refusal.reason)
    if answer.report is None:
        raise SourceError(f"the {purpose} process gave an empty answer")
    return answer.report


def answer(kind: type[Request], work: Callable[[Request], Report]) -> NoReturn:
    """Answer one request of the process whose id is the argument, and end.

    Args:
        kind: of the request.
        work: makes a report of it; a PyrtrError that it raises becomes a refusal.
    """
    end_with_parent()
    gc.disable()  # nothing here is cyclic, and a million records are walked at every collection
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    try:
        outcome = Answer(report=work(request))
    except PyrtrError as error:
        outcome = Answer(refusal=Refusal(str(error), isinstance(error, StoreError)))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
    sys.stdout.buffer.flush()
    os._exit(0)  # the memory goes back at once; taking a million records apart one by one takes longer than the rest


def end_with_parent() -> None:
    """Let this process end when the one whose id is its argument does, and not by a signal to both."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):  # it ended before the line above took effect
        sys.exit()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):  # sent to the whole group; we end with our parent
        signal.signal(number, signal.SIG_IGN)


def ending(status: int | None, errors: bytes) -> str:
    """How a process ended, in words, with the last line that it wrote to standard error."""
    if status is not None and status < 0:
        what = f"was killed by {_SIGNAL_NAMES.get(-status, f'signal {-status}')}"
    else:
        what = f"ended with status {status}"
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    return f"{what}: {lines[-1]}" if lines else what
