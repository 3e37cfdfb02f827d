"""`pyrtr check FILE ...`: whether data and SLURM files can be used, what is in them and what would be dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyrtr.cli.output import print_problems, print_result
from pyrtr.cli.usage import USAGE
from pyrtr.errors import SourceError
from pyrtr.logs import printable
from pyrtr.payload.slurm import SlurmFile, conflicts
from pyrtr.sources.base import reader
from pyrtr.sources.fetch.file import Fetched, fetch
from pyrtr.sources.records import slurm

if TYPE_CHECKING:
    from pyrtr.sources.base import Loaded

_UNITS = ((2 * 86_400, 86_400, "days"), (2 * 3600, 3600, "hours"), (120, 60, "minutes"))


def check(paths: Sequence[str], *, now: float) -> int:
    """Print a verdict on each file at Unix time `now`, and on the SLURM files together; returns the exit status."""
    if not paths or any(path.startswith("-") for path in paths):
        print_problems(["pyrtr check: name the files to check (./-name for one that begins with a hyphen)", USAGE])
        return 2
    lines: list[str] = []
    slurm_files: list[SlurmFile] = []
    is_good = True
    for path in paths:
        try:
            fetched = fetch(Path(path))
            if slurm.is_slurm(fetched.body):
                slurm_files.append(slurm.parse(path, fetched.body))
                details = list(_of_slurm(slurm_files[-1]))
            else:
                details = list(_of_data(fetched, now))
        except SourceError as error:
            is_good = False
            lines += [f"{path}: refused", f"  {str(error).removeprefix(f'{path}: ')}"]
        else:
            lines += [f"{path}: OK", *(f"  {detail}" for detail in details)]
    if found := conflicts(slurm_files):
        is_good = False
        lines += ["SLURM files: refused, for they conflict", *(f"  {conflict}" for conflict in found)]
    status = print_result("\n".join(map(printable, lines)))
    return status if is_good else 1


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
    size, name = next(((size, name) for least, size, name in _UNITS if abs(age_s) >= least), (1, "seconds"))
    return f"{abs(age_s) / size:.0f} {name} " + ("ago" if age_s >= 0 else "in the future")
