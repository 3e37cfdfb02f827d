"""Running a compile process from the serving process."""

from __future__ import annotations

from pyrtr import processes
from pyrtr.compiler.job import Job, Report

# A million VRPs take a second or two. Far beyond that the machine is in trouble, and the next look may do better.
TIMEOUT_S = 300.0


async def run(job: Job, *, timeout_s: float = TIMEOUT_S) -> Report:
    """Run one job in a process of its own and wait for its end.

    Raises:
        SourceError: the job was refused, or the process died or took too long. Nothing of it is to be used then.
        StoreError: the same, because files could not be written or read.
    """
    answer = processes.Answer[Report]
    return await processes.run("pyrtr.compiler.worker", "compile", job, answer, timeout_s=timeout_s)
