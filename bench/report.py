"""How figures are printed: one line each, a name, a value with its unit, and what it is beside another."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.inputs import Inputs


@dataclass(slots=True)
class Run:
    """One run of the benchmark: where its files are, what it measures with, and when it has to end.

    Attributes:
        folder: for all files; removed in the end.
        inputs: the two sources.
        started: monotonic.
    """

    folder: Path
    inputs: Inputs
    started: float = field(default_factory=time.monotonic)


def title(text: str) -> None:
    """Head a group of figures."""
    print(f"\n{text}", flush=True)


def line(name: str, value: str, beside: str = "") -> None:
    """One figure."""
    print(f"  {name:<52} {value:>14}  {beside}".rstrip(), flush=True)


def milliseconds(seconds: float) -> str:
    """With the unit, three figures."""
    return f"{seconds * 1000:,.1f} ms" if seconds < 1 else f"{seconds:,.2f} s"


def rate(size: int, seconds: float) -> str:
    """Octets a second, in millions."""
    return f"{size / seconds / 1e6:,.0f} MB/s"


def mebibytes(kib: float) -> str:
    """With the unit."""
    return f"{kib / 1024:,.0f} MiB"
