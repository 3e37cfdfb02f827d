"""`pyrtr --version`."""

from __future__ import annotations

from importlib.metadata import version

from pyrtr.cli.output import print_result


def print_version() -> int:
    """Print the version that is installed; returns the exit status."""
    return print_result(f"pyrtr {version('pyrtr')}")
