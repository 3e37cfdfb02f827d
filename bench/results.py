"""RESULTS.md and its charts: what a run has measured, for people."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from bench import api, caches, charts, fleet, loading, peers, recovery, scale, secure, targets
from bench.report import PYRTR, RAW, Run, Series, Unit, written
from pyrtr.wire.enums import Version

CHARTS = "results"
_MET = {True: "yes", False: "**no**", None: "-"}
ROOT = Path(__file__).parents[1]
TITLES = {
    caches.FULL: "The whole table to one router",
    caches.CROWD: "The whole table to many routers at once",
    caches.LOAD: "From the start of the program to data",
    caches.UPDATE: "A new source with 0.1 % changed, to 1,000 routers in version 1",
    caches.MEMORY: "Memory",
    loading.LOAD: "JSON on disk to published",
    loading.PAUSE: "What is noticed of a reload",
    fleet.UPDATE_FIGURE: "Updates",
    fleet.IDLE_FIGURE: "Idle routers",
    recovery.RESTART: "Restart",
    secure.SECURE: "TLS and SSH",
    scale.SCALE: "What a router costs",
    api.API: "The API",
}


def write(run: Run, path: Path, command: str, load_average: float) -> None:
    """Write the tables to `path` and the charts beside it."""
    folder = path.parent / CHARTS
    folder.mkdir(parents=True, exist_ok=True)
    drawn = dict(_charts(run))
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, svg in drawn.items():
        (folder / f"{name}.svg").write_text(svg)
    lines = [
        "# Measured",
        "",
        f"Written by `{command}`; every figure is of that one run.",
        "",
        "Medians, below them the spread and the number of runs; in brackets how many times pyRTR's. The reader is the",
        "same for all programs: it takes the time of the octets, and looks afterwards whether the response is complete",
        "and its VRPs are, by count and digest, those of the source. `raw` is a bare loop of `sendall` of the octets",
        "that pyRTR sends, to the same reader. Processor time has steps of 10 ms.",
        "",
        *_machine(run, load_average),
        "",
        "## Against the targets",
        "",
        *_table(
            ("What", "Target", "Measured", "Met"),
            (
                (verdict.what, verdict.target, verdict.measured, _MET[verdict.is_met])
                for verdict in targets.verdicts(run)
            ),
        ),
        "",
        *_remarks(run),
        "## Charts",
        "",
        *(f"![{name}]({CHARTS}/{name}.svg)\n" for name in drawn),
        *_side_by_side(run),
        *_growth(run),
    ]
    path.write_text("\n".join(lines).rstrip() + "\n")


def print_verdicts(run: Run) -> None:
    """The targets and what was measured, for a terminal."""
    vrp_count = run.inputs.first.digest.vrp_count
    print(f"\nTargets, which are for a million VRPs, beside figures with {vrp_count:,}:")
    for verdict in targets.verdicts(run):
        if verdict.is_met is None:
            continue
        print(f"  {verdict.measured:>12}  {verdict.what}: {verdict.target}")


def _machine(run: Run, load_average: float) -> Iterator[str]:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    commit = subprocess.run(("git", "rev-parse", "--short", "HEAD"), capture_output=True, text=True, cwd=ROOT).stdout
    source = run.inputs.first
    yield f"- When: {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, in {time.monotonic() - run.started:,.0f} s"
    yield f"- Machine: {os.cpu_count()} processors {model[1] if model else platform.machine()},"
    yield f"  {int(memory[1]) / 2**20 if memory else 0:.0f} GiB, Linux {platform.release().partition('-')[0]};"
    yield f"  load average at the start {load_average:.2f}"
    yield f"- Input: {source.digest.vrp_count:,} VRPs, {source.size_mb:.0f} MB, made by {run.inputs.made_by}"
    yield f"- pyRTR: commit {commit.strip()}, Python {platform.python_version()}, numpy {np.__version__}; `pyrtr` with"
    yield "  LOCATION, STATE, HOST, ports, WATCH=False, LOG_FORMAT=json, MAX_SHRINK=100, all else by default"
    for name, path in run.peers.items():
        recipe = peers.RECIPES[name]
        place = peers.Place(Path("FOLDER"), Path("SOURCE"), "127.0.0.1:PORT", "127.0.0.1:OTHER")
        yield f"- {name}: {peers.version(name, path)}; fed {recipe.how};"
        yield f"  `{' '.join((path.name, *recipe.arguments(place)))}`"


def _remarks(run: Run) -> Iterator[str]:
    remarks = [*run.remarks, *(f"{what}: not measured: {reason}" for what, reason in run.absent.items())]
    if remarks:
        yield from (f"- {remark}" for remark in remarks)
        yield ""


def _side_by_side(run: Run) -> Iterator[str]:
    for figure, heading in TITLES.items():
        found = [series for series in run.series if series.figure == figure]
        if not found:
            continue
        programs = sorted({series.program for series in found}, key=[PYRTR, RAW, loading.DECODER, *run.peers].index)
        cells = {(series.what, series.program): series for series in found}
        yield f"## {heading}"
        yield ""
        yield from _table(
            ("", *programs),
            (
                (what, *(_cell(cells.get((what, name)), cells.get((what, PYRTR))) for name in programs))
                for what in dict.fromkeys(series.what for series in found)
            ),
        )
        yield ""


def _cell(series: Series | None, ours: Series | None) -> str:
    if series is None:
        return ""
    spread = ""
    if len(series.values) > 1:
        low, high = (written(value, series.unit) for value in (min(series.values), max(series.values)))
        spread = f"<br>{low} to {high}, {len(series.values)} runs"
    beside = ""
    if ours is not None and series is not ours and ours.median:
        ratio = series.median / ours.median
        beside = f" ({ratio:,.2f} x)" if ratio < 10 else f" ({ratio:,.0f} x)"
    return f"**{written(series.median, series.unit)}**{beside}{spread}"


def _growth(run: Run) -> Iterator[str]:
    if not run.others:
        return
    yield "## Growth with the table"
    yield ""
    here = run.inputs.first.digest.vrp_count
    sizes = {name: other.inputs.first.digest.vrp_count for name, other in run.others.items()}
    rows: dict[tuple[str, str], list[str]] = {}
    for column, name in enumerate(sizes):
        for figure, what, unit, median, there in targets.growths(run, name):
            row = rows.setdefault((figure, what), [f"{figure}: {what}", written(median, unit), *[""] * len(sizes)])
            factor = there / median if median else 0.0
            row[2 + column] = f"{written(there, unit)} ({factor:.2f} x)"
    heads = (f"{count:,} VRPs ({count / here:.2f} x)" for count in sizes.values())
    yield from _table(("pyRTR, medians", f"{here:,} VRPs", *heads), rows.values())
    yield ""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    cells = tuple(head)
    yield f"| {' | '.join(cells)} |"
    yield f"| {' | '.join('---' for _ in cells)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _charts(run: Run) -> Iterator[tuple[str, str]]:
    programs = [RAW, PYRTR, *run.peers]
    for name, title, figure, what, unit in (
        ("full-table", "Whole table to one router", caches.FULL, caches.END_OF_DATA, Unit.SECONDS),
        (
            "crowd",
            "200 routers at once, in sum",
            caches.CROWD,
            caches.crowd_rate(200),
            Unit.OCTETS_PER_SECOND,
        ),
        ("cold-start", "Start of the program to the first payload", caches.LOAD, caches.TO_DATA, Unit.SECONDS),
        ("memory", "Most memory of all processes", caches.MEMORY, caches.PEAK, Unit.KIB),
    ):
        found = {program: run.find(figure, what, program) for program in programs}
        values = {program: value for program, value in found.items() if value}
        if len(values) > 1:
            yield name, charts.bars(f"{title} (logarithmic)", values, _writer(unit), PYRTR)
    routers = {
        program: [(count, rate) for count in (1, *run.crowds) if (rate := _crowd_rate(run, count, program)) is not None]
        for program in (RAW, PYRTR)
    }
    if all(len(points) > 1 for points in routers.values()):
        unit = Unit.OCTETS_PER_SECOND
        yield "routers", charts.lines("Rate in sum, by routers that ask at once", "routers", routers, _writer(unit))
    growing = {
        "whole table": (caches.FULL, caches.END_OF_DATA),
        "start to published": (loading.LOAD, loading.COLD),
        "reload, 0.1 %": (loading.LOAD, loading.reload_name("0.1 %")),
        "restart": (recovery.RESTART, recovery.TO_ANSWER),
        "update to 1,000": (fleet.UPDATE_FIGURE, fleet.update_name(Version.V1)),
    }
    runs = sorted((run, *run.others.values()), key=lambda each: each.inputs.first.digest.vrp_count)
    points = {
        name: [
            (each.inputs.first.digest.vrp_count, value)
            for each in runs
            if (value := each.find(figure, what)) is not None
        ]
        for name, (figure, what) in growing.items()
    }
    if len(runs) > 1:
        shown = {name: line for name, line in points.items() if len(line) > 1}
        yield "growth", charts.lines("Growth with the table", "VRPs", shown, _writer(Unit.SECONDS))


def _crowd_rate(run: Run, count: int, program: str) -> float | None:
    if count == 1:
        return run.find(caches.FULL, caches.RATE, program)
    return run.find(caches.CROWD, caches.crowd_rate(count), program)


def _writer(unit: Unit) -> charts.Write:
    return lambda value: written(value, unit)


def command_line() -> str:
    """How this run was started."""
    return " ".join(["python -m bench", *sys.argv[1:]])
