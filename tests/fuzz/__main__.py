"""`tests/fuzz/run SECONDS [TARGET…]`: every target, or those that are named, each for so long; prints what came of it.

A finding ends its target's run. Its input is kept in the folder that is named, for `tests/fuzz/corpus/TARGET`, where
the test suite runs it again and again.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.targets import CORPUS, JSON, TARGETS

JSON_WORDS = Path(__file__).with_name("json.dict")
MAX_BYTES = 4096
# A single input that takes longer is a finding, too; so is a process that takes more memory, in MiB.
INPUT_TIMEOUT_S = 10
MAX_MEMORY = 1024
SPARE_S = 60.0
# The instrumentation loses some memory with each input: a process runs no longer, and the next goes on from there.
ROUND_S = 20


def main() -> int:
    """Fuzz; returns the exit status: 0, or 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="tests/fuzz/run", description=__doc__)
    parser.add_argument("seconds", type=int, metavar="SECONDS")
    parser.add_argument("target", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    arguments = parser.parse_args()
    names = arguments.target or list(TARGETS)
    if unknown := sorted(set(names) - TARGETS.keys()):
        parser.error(f"{', '.join(unknown)}: expected {', '.join(TARGETS)}")
    found = Path(tempfile.mkdtemp(prefix="pyrtr-fuzz-"))
    print(f"{'target':<16} {'executions':>12} {'seconds':>8}  findings", flush=True)
    for name in names:
        fuzz(name, arguments.seconds, found)
    findings = sorted(found.iterdir())
    if not findings:
        found.rmdir()
    return 1 if findings else 0


def fuzz(name: str, seconds: int, found: Path) -> None:
    """Run one target and print its line, and what its run said if it ended badly."""
    executions, output = 0, ""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as corpus:
        while (left := seconds - int(time.monotonic() - started)) > 0 and not output:
            count, output = _round(name, min(left, ROUND_S), Path(corpus), found)
            executions += count
    inputs = sorted(path.name for path in found.glob(f"{name}-*"))
    took = time.monotonic() - started
    print(f"{name:<16} {executions:>12} {took:>8.0f}  {', '.join(inputs) or 'none'}", flush=True)
    if output:
        print(output[-2000:], f"\nfindings are in {found}", flush=True)


def _round(name: str, seconds: int, corpus: Path, found: Path) -> tuple[int, str]:
    """How many inputs were run, and all that the run said if it ended badly."""
    command = [
        *(sys.executable, "-m", "tests.fuzz.harness", name, str(corpus), str(CORPUS / name)),
        *(f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}", f"-timeout={INPUT_TIMEOUT_S}"),
        *(f"-rss_limit_mb={MAX_MEMORY}", f"-artifact_prefix={found}/{name}-", "-print_final_stats=1"),
        *([f"-dict={JSON_WORDS}"] if name in JSON else []),
    ]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds + SPARE_S)
    output = run.stderr + run.stdout
    count = re.search(r"stat::number_of_executed_units: *(\d+)", output)
    if run.returncode and not any(found.glob(f"{name}-*")):
        (found / f"{name}-no-input").write_text(output)
    return int(count[1]) if count else 0, output if run.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
