"""`pyrtr check FILE ...`: whether data and SLURM files can be used, what is in them and what would be dropped."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyrtr.cli.output import duration, print_json, print_result
from pyrtr.errors import SourceError
from pyrtr.logs import printable
from pyrtr.payload.slurm import SlurmFile, conflicts
from pyrtr.sources.base import reader
from pyrtr.sources.fetch.file import Fetched, fetch
from pyrtr.sources.records import slurm

if TYPE_CHECKING:
    from pyrtr.sources.base import Loaded


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one file can be used, and what there is to say of it."""

    file: str
    is_good: bool
    details: tuple[str, ...]


def run(options: Namespace, _environ: Mapping[str, str]) -> int:
    """Check the files now; returns the exit status."""
    return check(options.files, now=time.time(), as_json=options.json)


def check(paths: Sequence[str], *, now: float, as_json: bool = False) -> int:
    """Print a verdict on each file at Unix time `now`, and on the SLURM files together; returns the exit status."""
    verdicts: list[Verdict] = []
    slurm_files: list[SlurmFile] = []
    for path in paths:
        try:
            fetched = fetch(Path(path))
            if slurm.is_slurm(fetched.body):
                slurm_files.append(slurm.parse(path, fetched.body))
                details = tuple(_of_slurm(slurm_files[-1]))
            else:
                details = tuple(_of_data(fetched, now))
        except SourceError as error:
            verdicts.append(Verdict(path, False, (str(error).removeprefix(f"{path}: "),)))
        else:
            verdicts.append(Verdict(path, True, details))
    found = [*map(str, conflicts(slurm_files))]
    is_good = not found and all(verdict.is_good for verdict in verdicts)
    status = _print_json(verdicts, found, is_good) if as_json else _print(verdicts, found)
    return status if is_good else 1


def _print(verdicts: Sequence[Verdict], found: Sequence[str]) -> int:
    lines: list[str] = []
    for verdict in verdicts:
        lines += [f"{verdict.file}: {'OK' if verdict.is_good else 'refused'}"]
        lines += [f"  {detail}" for detail in verdict.details]
    if found:
        lines += ["SLURM files: refused, for they conflict", *(f"  {conflict}" for conflict in found)]
    return print_result("\n".join(map(printable, lines)))


def _print_json(verdicts: Sequence[Verdict], found: Sequence[str], is_good: bool) -> int:
    files = [
        {
            "file": printable(verdict.file),
            "good": verdict.is_good,
            "details": [printable(detail) for detail in verdict.details],
        }
        for verdict in verdicts
    ]
    return print_json({"good": is_good, "files": files, "slurm_conflicts": [printable(text) for text in found]})


def _of_slurm(file: SlurmFile) -> Iterator[str]:
    filters = (len(file.prefix_filters), len(file.key_filters), len(file.aspa_filters))
    assertions = (len(file.vrps), len(file.router_keys), len(file.aspas))
    yield "SLURM filters: {} of VRPs, {} of router keys, {} of ASPAs".format(*filters)
    yield "SLURM assertions: {} VRPs, {} router keys, {} ASPAs".format(*assertions)


def _of_data(fetched: Fetched, now: float) -> Iterator[str]:
    loaded: Loaded = reader("AUTO")(fetched.take(), now=now)
    table = loaded.table
    yield f"{table.vrp_count} VRPs, {len(table.router_keys)} router keys, {len(table.aspas)} ASPAs"
    if loaded.dropped:
        by_reason = sorted(loaded.dropped.items(), key=lambda item: (-item[1], item[0]))
        yield "dropped: " + ", ".join(f"{count} {reason}" for reason, count in by_reason)
    if loaded.build_time is None:
        yield f"written {_ago(now - fetched.modified)}; it does not say when it was built"
    else:
        yield f"built {_ago(now - loaded.build_time)}"


def _ago(age_s: float) -> str:
    return f"{duration(age_s)} {'ago' if age_s >= 0 else 'in the future'}"
