"""Where a command's words go: its result to stdout, what is wrong to stderr."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO


def print_result(text: str) -> int:
    """Print a command's result; returns the exit status: 0, or 1 if it could not be written."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if (error := _print(text, sys.stdout)) is None:
        return 0
    if not isinstance(error, BrokenPipeError):  # a reader that has seen enough is no problem
        print_problems([f"pyrtr: stdout: {error.strerror}"])
    return 1


def print_problems(lines: list[str]) -> None:
    """Print a line each on stderr, if there is anybody to read it."""
    for line in lines:
        _print(line, sys.stderr)


def _print(text: str, stream: TextIO) -> OSError | None:
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        # What stays in the buffer is tried again at the exit, and would change the exit status to 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None
