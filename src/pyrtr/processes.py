"""Work in a process of its own: requests on its standard input, answers on its standard output.

It has memory that the serving process must never have, and dies with the process that started it. Both ends are here:
`run` starts a module of ours for one request, and `answer` is what that module does; `prepare` starts it before there
is one. A `Companion` goes on answering, and `answer_all` is what its module does.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

import msgspec

from pyrtr.errors import NothingLeftError, PyrtrError, SlurmError, SourceError, StoreError

if TYPE_CHECKING:
    import asyncio

# From the end of its output to the end of a process.
ENDING_S = 1.0
# A process that is asked nothing ends after the latter; it is asked nothing any more after the former.
PREPARED_S, IDLE_S = 30.0, 60.0
_PR_SET_PDEATHSIG = 1
# glibc by default gives freed memory back to the system and has it cleared page by page when it is needed again. That
# takes a tenth of the time in which a table is made. 32 MiB is the largest piece that glibc keeps.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES, _REUSED_BYTES = 2**30, 2**25
_SIZE_BYTES = 4
_REFUSALS: dict[str, type[PyrtrError]] = {
    "storage": StoreError,
    "SLURM": SlurmError,
    "nothing left": NothingLeftError,
    "source": SourceError,
}
_SIGNAL_NAMES = {number.value: number.name for number in signal.Signals}  # most real-time signals have none

Request = TypeVar("Request")
Report = TypeVar("Report")


class Refusal(msgspec.Struct, frozen=True):
    """Why the work came to nothing.

    Attributes:
        reason: in words.
        kind: which error it is, by `_REFUSALS`.
    """

    reason: str
    kind: str


class Answer(msgspec.Struct, Generic[Report], frozen=True):
    """Exactly one of the two."""

    report: Report | None = None
    refusal: Refusal | None = None


class _Prepared:
    """A process that was started before there was an event loop; what `run` needs of `asyncio.subprocess.Process`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._asked_until = time.monotonic() + PREPARED_S

    @property
    def is_waiting(self) -> bool:
        return self.returncode is None and time.monotonic() < self._asked_until

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    async def communicate(self, request: bytes) -> tuple[bytes, bytes]:
        import asyncio

        return await asyncio.to_thread(self._process.communicate, request)

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> int:
        import asyncio

        return await asyncio.to_thread(self._process.wait)


_prepared: dict[str, _Prepared] = {}


def prepare(module: str) -> None:
    """Start a module that calls `answer`, for the first `run` of it: it loads while we do, and ends if none comes."""
    pipe = subprocess.PIPE
    with contextlib.suppress(OSError):  # `run` tries again, and says so
        _prepared[module] = _Prepared(subprocess.Popen(_arguments(module), stdin=pipe, stdout=pipe, stderr=pipe))


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
        SlurmError: the same, because of SLURM files.
        NothingLeftError: the same, because there is nothing to go by, neither new nor from before.
        StoreError: the same, because files could not be written or read.
    """
    import asyncio  # 10 MiB, and 40 ms, that a process which answers does without

    prepared = _prepared.pop(module, None)
    process = prepared if prepared is not None and prepared.is_waiting else await _start(module, purpose)
    try:
        output, errors = await asyncio.wait_for(_communicate(process, msgspec.json.encode(request)), timeout_s)
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
    return _report_of(answer, purpose)


async def _communicate(process: asyncio.subprocess.Process | _Prepared, request: bytes) -> tuple[bytes, bytes]:
    """All that it writes to its output and to standard error, once it has been asked and has ended."""
    if isinstance(process, _Prepared):
        return await process.communicate(request)
    assert process.stdin is not None
    write(process.stdin, request)
    process.stdin.close()
    return await process.communicate()


def write(stdin: asyncio.StreamWriter, octets: bytes) -> None:
    """Write to a process. If it has ended, that shows where its answer is read; uvloop would raise no OSError here."""
    if not stdin.is_closing():
        stdin.write(octets)


class Companion(Generic[Report]):
    """A process that answers one request after another. It is started when it is asked, and ends with us.

    Requests and answers are MessagePack, each behind its size in 4 octets.

    Args:
        module: its name; it calls `answer_all`.
        purpose: the process is called after it.
        kind: of its answers.
    """

    def __init__(self, module: str, purpose: str, kind: type[Answer[Report]]) -> None:
        self._module = module
        self._purpose = purpose
        self._kind = kind
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, request: msgspec.Struct, *, timeout_s: float) -> Report:
        """Have it do one request, and wait for the answer. A process that gives none is ended.

        Raises:
            SourceError: the request was refused, or the process died or took too long.
            StoreError: the same, because files could not be written or read.
        """
        import asyncio

        if self._process is None:
            self._process = await _start(self._module, self._purpose)
        try:
            answer = await asyncio.wait_for(self._exchange(self._process, request), timeout_s)
        except BaseException as error:  # whatever it still says would be taken for the next answer
            process = self._process
            if isinstance(error, asyncio.IncompleteReadError):  # it is ending by itself, and how is to be told
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), ENDING_S)
            await self.stop()
            match error:
                case TimeoutError():
                    text = f"the {self._purpose} process took longer than {timeout_s:g} s and was ended"
                    raise SourceError(text) from None
                case OSError() | asyncio.IncompleteReadError():
                    assert process.stderr is not None
                    how = ending(process.returncode, await process.stderr.read())
                    raise SourceError(f"the {self._purpose} process {how}") from error
                case msgspec.DecodeError():
                    raise SourceError(f"the {self._purpose} process gave no answer: {error}") from error
                case _:
                    raise
        return _report_of(answer, self._purpose)

    async def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()

    async def _exchange(self, process: asyncio.subprocess.Process, request: msgspec.Struct) -> Answer[Report]:
        assert process.stdin is not None
        assert process.stdout is not None
        body = msgspec.msgpack.encode(request)
        write(process.stdin, len(body).to_bytes(_SIZE_BYTES) + body)
        await process.stdin.drain()
        size = int.from_bytes(await process.stdout.readexactly(_SIZE_BYTES))
        return msgspec.msgpack.decode(await process.stdout.readexactly(size), type=self._kind)


async def spawn(module: str) -> asyncio.subprocess.Process:
    """Start a module of ours, which ends with us (see `end_with_parent`), with pipes to all its standard streams.

    Raises:
        OSError: it can't be started.
    """
    import asyncio

    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*_arguments(module), stdin=pipe, stdout=pipe, stderr=pipe)


def _arguments(module: str) -> tuple[str, ...]:
    # -P: no module is taken from the working directory, as none is when the `pyrtr` command is run.
    return sys.executable, "-P", "-m", module, str(os.getpid())


async def _start(module: str, purpose: str) -> asyncio.subprocess.Process:
    try:
        return await spawn(module)
    except OSError as error:  # out of descriptors, processes or memory
        raise SourceError(f"no {purpose} process can be started: {error.strerror}") from error


def _report_of(answer: Answer[Report], purpose: str) -> Report:
    if answer.refusal is not None:
        raise _REFUSALS.get(answer.refusal.kind, SourceError)(answer.refusal.reason)
    if answer.report is None:
        raise SourceError(f"the {purpose} process gave an empty answer")
    return answer.report


def answer(kind: type[Request], work: Callable[[Request], Report]) -> NoReturn:
    """Answer one request of the process whose id is the argument, and end; also if none comes for `IDLE_S`.

    Args:
        kind: of the request.
        work: makes a report of it; a PyrtrError that it raises becomes a refusal.
    """
    end_with_parent()
    _keep_memory()
    gc.disable()  # nothing here is cyclic, and a million records are walked at every collection
    if not select.select([sys.stdin], [], [], IDLE_S)[0]:
        os._exit(0)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    sys.stdout.buffer.write(msgspec.json.encode(_outcome(work, request)))
    sys.stdout.buffer.flush()
    os._exit(0)  # the memory goes back at once; taking a million records apart one by one takes longer than the rest


def answer_all(kind: type[Request], work: Callable[[Request], Report]) -> None:
    """Answer one request after another of the process whose id is the argument; see `answer`."""
    end_with_parent()
    while size := sys.stdin.buffer.read(_SIZE_BYTES):
        request = msgspec.msgpack.decode(sys.stdin.buffer.read(int.from_bytes(size)), type=kind)
        body = msgspec.msgpack.encode(_outcome(work, request))
        sys.stdout.buffer.write(len(body).to_bytes(_SIZE_BYTES) + body)
        sys.stdout.buffer.flush()


def _outcome(work: Callable[[Request], Report], request: Request) -> Answer[Report]:
    try:
        return Answer(report=work(request))
    except PyrtrError as error:
        kinds = (kind for kind, error_type in _REFUSALS.items() if isinstance(error, error_type))
        return Answer(refusal=Refusal(str(error), next(kinds, "source")))


def _keep_memory() -> None:
    """Give no memory back to the system before the end."""
    with contextlib.suppress(AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _REUSED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


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
