"""Two things at once: where both are done by C code that lets go of the interpreter, they take the time of one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Here = TypeVar("Here")
There = TypeVar("There")


def both(here: Callable[[], Here], there: Callable[[], There]) -> tuple[Here, There]:
    """Call both, the second on a thread of its own, and wait for both.

    Raises:
        Exception: what either raises; of two, that of the second.
    """
    thread = _Thread(there)
    thread.start()
    try:
        result = here()
    finally:
        other = thread.result()
    return result, other


class _Thread(threading.Thread, Generic[There]):
    """A thread that has a result."""

    def __init__(self, call: Callable[[], There]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._results: list[There] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:
            self._error = error

    def result(self) -> There:
        """Wait for it; raises what the call raised."""
        self.join()
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # it leads back to here, and with it what the call had in hand would stay
        return self._results[0]
