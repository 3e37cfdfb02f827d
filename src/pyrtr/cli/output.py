"""Where a command's words go: its result to stdout, what is wrong to stderr."""

from __future__ import annotations

import errno
import os
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import TextIO

_UNITS = ((2 * 86_400, 86_400, "days"), (2 * 3600, 3600, "hours"), (120, 60, "minutes"))


def print_result(text: str, end: str = "\n") -> int:
    """Print a command's result; returns the exit status: 0, or 1 if it could not be written."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if (error := _print(text + end, sys.stdout)) is None:
        return 0
    if not isinstance(error, BrokenPipeError):  # a reader that has seen enough is no problem
        print_problems([f"pyrtr: stdout: {error.strerror}"])
    return 1


def print_json(value: object) -> int:
    """Print a JSON document for people and machines; returns the exit status as `print_result`."""
    import msgspec

    return print_result(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def duration(seconds: float) -> str:
    """How long that is, whatever its sign, in the largest unit of which there are two."""
    amount = abs(seconds)
    size, name = next(((size, name) for least, size, name in _UNITS if amount >= least), (1, "seconds"))
    return f"{amount / size:.0f} {name}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table as text: its columns one below the other, whatever stands in them."""
    from pyrtr.logs import printable

    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in shown)


def write_pieces(pieces: Iterable[str]) -> int:
    """Print what is made while it is printed; returns the exit status: 0, or 1 if it could not be written."""
    return next((status for piece in pieces if (status := print_result(piece, end="")) != 0), 0)


def write_file(path: Path, pieces: Iterable[str]) -> None:
    """Write a file whole or not at all: what stands there is replaced when all is on disk.

    Raises:
        OSError: it can't be written, or something else than a regular file stands there.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def print_problems(lines: list[str]) -> None:
    """Print a line each on stderr, if there is anybody to read it."""
    for line in lines:
        _print(f"{line}\n", sys.stderr)


def _print(text: str, stream: TextIO) -> OSError | None:
    try:
        print(text, end="", file=stream, flush=True)
    except OSError as error:
        # What stays in the buffer is tried again at the exit, and would change the exit status to 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None
