"""`python -m bench [FIGURE…]`: the usual figures, or only those that are named; in less than three minutes."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import fleet, hostile, inputs, loading, peers, recovery, transfer
from bench.programs import BenchError
from bench.report import Run, title

TIMEOUT_S = 175

FIGURES: dict[str, Callable[[Run], None]] = {
    "full-table": transfer.full_table,
    "crowd": transfer.crowd,
    "load": loading.load,
    "memory": loading.memory,
    "idle": fleet.idle,
    "pause": loading.pause,
    "update": fleet.update,
    "restart": recovery.restart,
    "stayrtr": peers.stayrtr_beside,
    "hostile": hostile.siege,
}
BY_HAND = {"hostile"}


def main() -> int:
    """Measure; returns the exit status: 0, or 1 if a figure could not be had."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("figure", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    names = parser.parse_args().figure or [name for name in FIGURES if name not in BY_HAND]
    if unknown := sorted(set(names) - FIGURES.keys()):
        parser.error(f"{', '.join(unknown)}: expected {', '.join(FIGURES)}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, load average {load:.1f} at the start")
    failed = 0
    with _deadline(), tempfile.TemporaryDirectory(prefix="pyrtr-bench-") as folder:
        run = Run(Path(folder), inputs.make(Path(folder)))
        for name in names:
            try:
                FIGURES[name](run)
            except _TooLateError as error:
                failed += 1
                title(f"{name}: {error}; this and what follows it is not measured")
                break
            except (BenchError, OSError) as error:
                failed += 1
                title(f"{name}: not measured: {error!r}")
        print(f"\n{time.monotonic() - run.started:.0f} s in all")
    return 1 if failed else 0


class _TooLateError(Exception):
    """The whole took too long."""


@contextlib.contextmanager
def _deadline() -> Iterator[None]:
    def end(_number: int, _frame: object) -> None:
        raise _TooLateError(f"stopped after {TIMEOUT_S} s")

    signal.signal(signal.SIGALRM, end)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    signal.alarm(TIMEOUT_S)
    try:
        yield
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    sys.exit(main())
