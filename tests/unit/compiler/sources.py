"""Sources to compile, and jobs that compile them."""

from __future__ import annotations

import json
from pathlib import Path

from pyrtr.compiler.job import Input, Job, Task

NOW = 1_795_404_155


def roa(asn: int, *, prefix: str = "192.0.2.0/24", expires: int = NOW + 1) -> dict[str, object]:
    return {"asn": asn, "prefix": prefix, "maxLength": 48 if ":" in prefix else 24, "ta": "ripe", "expires": expires}


def write_source(path: Path, *roas: object, **members: object) -> Path:
    path.write_text(json.dumps({"metadata": {"buildtime": "2026-11-23T03:22:35Z"}, "roas": roas, **members}))
    return path


def job(
    source: Path, *, current: Path | None = None, task: Task = Task.LOAD, now: int = NOW, modified: float = NOW
) -> Job:
    """A job that leaves `table.next` and `delta.next` beside its source."""
    folder = source.parent
    place = Input(
        location=str(source),
        kind="RPKICLIENT",
        body=str(source),
        is_table=False,
        modified=modified,
        share=None,
        share_digest=None,
        built_at=0.0,
        max_age_s=None,
        new_share=str(folder / "share.next"),
    )
    return Job(
        task=task,
        now=now,
        inputs=(place,) if task is Task.LOAD else (),
        max_age_s=86400.0,
        slurm=None,
        slurm_kept=None,
        slurm_kept_digest=None,
        current=None if current is None else str(current),
        table=str(folder / "table.next"),
        delta=str(folder / "delta.next"),
        new_slurm=str(folder / "slurm.next"),
    )
