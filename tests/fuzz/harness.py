"""`python -m tests.fuzz.harness TARGET [ARGUMENT…]`: one target under libFuzzer, whose arguments follow."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["pyrtr"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run until libFuzzer has enough, or an exception ends it."""
    program, target, *arguments = sys.argv
    atheris.Setup([program, *arguments], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
