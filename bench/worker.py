"""A process of its own that calls functions when it is told to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar, cast

TIMEOUT_S = 120.0

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Worker:
    """Calls functions in another process, one at a time."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe

    def begin(
        self, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Callable[[], Result]:
        """Call a function there; what is returned waits for its end and gives its result, or raises its exception."""
        self._pipe.send((function, args, kwargs))

        def end() -> Result:
            if not self._pipe.poll(TIMEOUT_S):
                raise TimeoutError(f"{function.__qualname__} took longer than {TIMEOUT_S:.0f} s")
            result = self._pipe.recv()
            if isinstance(result, Exception):
                raise result
            return cast("Result", result)

        return end

    def call(self, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Call a function there and wait for its result."""
        return self.begin(function, *args, **kwargs)()


@contextlib.contextmanager
def worker() -> Iterator[Worker]:
    """A process that starts afresh and is ended at once, whatever it is at."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        ready = Worker(ours)
        ready.call(_nothing)
        yield ready
    finally:
        process.kill()
        process.join()
        ours.close()


def _work(pipe: Connection[Any, Any]) -> None:
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            function, args, kwargs = pipe.recv()
            try:
                pipe.send(function(*args, **kwargs))
            except Exception as error:
                pipe.send(error)


def _nothing() -> None:
    """What is called first: when it returns, the process has started."""
