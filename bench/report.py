"""What was measured: series of figures, printed as they come, and kept for the tables."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from bench.inputs import Inputs

RAW, PYRTR = "raw", "pyRTR"


class Unit(Enum):
    """What a figure counts, and whether more of it is better."""

    SECONDS = "seconds"
    KIB = "KiB"
    KIB_PER_ROUTER = "KiB a router"
    OCTETS_PER_SECOND = "octets a second"
    COUNT_PER_SECOND = "a second"


@dataclass(frozen=True, slots=True)
class Series:
    """The same thing measured several times.

    Attributes:
        figure: which group it belongs to.
        what: what was measured, in words.
        program: of which program.
    """

    figure: str
    what: str
    program: str
    unit: Unit
    values: Sequence[float]

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        spread = f"{written(min(self.values), self.unit)} to {written(max(self.values), self.unit)}"
        count = len(self.values)
        return written(self.median, self.unit) + (f"   ({spread}, {count} runs)" if count > 1 else "")


@dataclass(slots=True)
class Run:
    """One run of the benchmark.

    Attributes:
        folder: for all files; removed in the end.
        inputs: the sources.
        rounds: how often what varies is measured.
        peers: names of other caches, and the programs.
        absent: what could not be measured, and why.
        remarks: what else has to be known.
        crowds, peer_crowds: how many routers ask at once; of peers, most of which are not done in time.
        others: runs of the same at other scales.
    """

    folder: Path
    inputs: Inputs
    rounds: int
    peers: dict[str, Path] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    crowds: tuple[int, ...] = (200,)
    peer_crowds: tuple[int, ...] = ()
    others: dict[str, Run] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def add(self, figure: str, what: str, program: str, unit: Unit, values: Iterable[float]) -> None:
        """Keep a series, and print it."""
        series = Series(figure, what, program, unit, tuple(values))
        self.series.append(series)
        print(f"{figure:>10}  {program:<16}  {what:<64}  {series}", flush=True)

    def leave_out(self, what: str, reason: str) -> None:
        """Keep, and print, that something was not measured."""
        self.absent[what] = reason
        print(f"  {what}: not measured: {reason}", flush=True)

    def remark(self, text: str) -> None:
        """Keep, and print, what has to be known beside the figures."""
        self.remarks.append(text)
        print(f"  {text}", flush=True)

    def find(self, figure: str, what: str, program: str = PYRTR) -> float | None:
        """A median; None if it was not measured."""
        values = self._values(figure, what, program)
        return statistics.median(values) if values else None

    def worst(self, figure: str, what: str) -> float | None:
        """The highest of pyRTR's; None if it was not measured."""
        return max(self._values(figure, what, PYRTR), default=None)

    def _values(self, figure: str, what: str, program: str) -> Sequence[float]:
        for series in self.series:
            if (series.figure, series.what, series.program) == (figure, what, program):
                return series.values
        return ()


def written(value: float, unit: Unit) -> str:
    """With its unit, two or three figures."""
    match unit:
        case Unit.SECONDS:
            if value < 0.001:
                return f"{value * 1e6:,.0f} µs"
            return f"{value * 1000:,.1f} ms" if value < 1 else f"{value:,.2f} s"
        case Unit.KIB:
            return mebibytes(value)
        case Unit.KIB_PER_ROUTER:
            return f"{value:,.1f} KiB"
        case Unit.OCTETS_PER_SECOND:
            return f"{value / 1e6:,.0f} MB/s"
        case Unit.COUNT_PER_SECOND:
            return f"{value:,.0f} a second"


def mebibytes(kib: float) -> str:
    """With the unit."""
    return f"{kib / 1024:,.0f} MiB"


def title(text: str) -> None:
    """Head a group of figures that are only printed."""
    print(f"\n{text}", flush=True)


def line(name: str, value: str, beside: str = "") -> None:
    """One figure that is only printed."""
    print(f"  {name:<52} {value:>14}  {beside}".rstrip(), flush=True)


def milliseconds(seconds: float) -> str:
    """With the unit."""
    return written(seconds, Unit.SECONDS)
