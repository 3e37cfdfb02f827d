"""`python -m bench [FIGURE…]`: measures all figures, or only those that are named, and prints them."""

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
from dataclasses import dataclass
from pathlib import Path

from bench import api, caches, fleet, hostile, inputs, loading, peers, recovery, results, scale, secure
from bench.programs import BenchError
from bench.report import Run

FIGURES: dict[str, Callable[[Run], None]] = {
    "caches": caches.side_by_side,
    "load": loading.load,
    "memory": loading.memory,
    "pause": loading.pause,
    "idle": fleet.idle,
    "update": fleet.update,
    "restart": recovery.restart,
    "tls-ssh": secure.secure,
    "scale": scale.scale,
    "api": api.api,
    "hostile": hostile.siege,
}
BY_HAND = {"hostile"}
GROWING = ("caches", "load", "memory", "update", "restart")


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured.

    Attributes:
        scale: of the input.
        figures: which.
        rounds: how often.
        limit_s: after how long the whole is ended.
        crowds, peer_crowds: how many routers ask at once, of pyRTR and of others.
        peers: which others run beside.
        others: further scales.
    """

    scale: str
    figures: tuple[str, ...]
    rounds: int
    limit_s: int
    peers: tuple[str, ...]
    crowds: tuple[int, ...] = (200,)
    peer_crowds: tuple[int, ...] = ()
    others: tuple[str, ...] = ()


_MAIN = ("caches", "load", "restart")
EXTENTS = {
    "full": Extent(
        *("sep2026", tuple(name for name in FIGURES if name not in BY_HAND), 5, 1800, tuple(peers.RECIPES)),
        crowds=(10, 100, 200, 1_000),
        peer_crowds=(200,),
        others=("medium", "future"),
    ),
    "quick": Extent("sep2026", _MAIN, 2, 170, (peers.DEBIAN_STAYRTR,)),
    "brief": Extent("medium", _MAIN, 2, 40, (peers.DEBIAN_STAYRTR,)),
}


def main() -> int:
    """Measure; returns the exit status: 0, or 1 if a figure could not be had."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("figure", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--extent", choices=EXTENTS, default="full", help="how much is measured; full by default")
    parser.add_argument("--results", type=Path, metavar="FILE", help="write tables there, and charts beside it")
    arguments = parser.parse_args()
    extent = EXTENTS[arguments.extent]
    names = arguments.figure or extent.figures
    if unknown := sorted(set(names) - FIGURES.keys()):
        parser.error(f"{', '.join(unknown)}: expected {', '.join(FIGURES)}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, load average {load:.1f} at the start")
    with _deadline(extent.limit_s), tempfile.TemporaryDirectory(prefix="pyrtr-bench-") as folder:
        made = inputs.make(Path(folder) / "inputs", extent.scale)
        run = Run(Path(folder), made, extent.rounds, crowds=extent.crowds, peer_crowds=extent.peer_crowds)
        there, absent = peers.found()
        for name in extent.peers:
            if name in there:
                run.peers[name] = there[name]
            else:
                run.remark(f"{name} is missing: {absent[name]}")
        try:
            _measure(run, names)
            for size in extent.others:
                _measure_at(run, size, [name for name in names if name in GROWING])
        except _TooLateError as error:
            run.leave_out("what is not below", str(error))
        results.print_verdicts(run)
        print(f"\n{time.monotonic() - run.started:.0f} s in all")
        if arguments.results is not None:
            results.write(run, arguments.results, results.command_line(), load)
    return 1 if run.absent else 0


def _measure(run: Run, names: tuple[str, ...] | list[str]) -> None:
    for name in names:
        try:
            FIGURES[name](run)
        except (BenchError, OSError) as error:
            run.leave_out(name, f"{type(error).__name__}: {error}")


def _measure_at(run: Run, size: str, names: list[str]) -> None:
    """The same with another table, for pyRTR alone."""
    folder = run.folder / size
    folder.mkdir()
    print(f"\n{size}:")
    other = Run(folder, inputs.make(folder / "inputs", size), run.rounds)
    run.others[size] = other
    _measure(other, names)
    run.absent.update({f"{size}, {what}": reason for what, reason in other.absent.items()})


class _TooLateError(Exception):
    """The whole took too long."""


@contextlib.contextmanager
def _deadline(limit_s: int) -> Iterator[None]:
    def end(_number: int, _frame: object) -> None:
        raise _TooLateError(f"stopped after {limit_s} s")

    signal.signal(signal.SIGALRM, end)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    signal.alarm(limit_s)
    try:
        yield
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    sys.exit(main())
