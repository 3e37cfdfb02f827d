"""Prints /etc/default/pyrtr: every setting as a comment, with its meaning and its default.

To be run by a Python that has pyRTR: `/opt/pyrtr/bin/python packaging/environment.py > /etc/default/pyrtr`.
"""

from __future__ import annotations

import sys
import textwrap

from pyrtr.settings import VARIABLES, Settings

HEAD = """\
# Settings of pyRTR, which its service reads at the start: take away the # in front of those that are to be otherwise.
# What is wrong stops it, and its log says why. HTTP_TOKEN is a secret: leave this file to root.
"""


def main() -> None:
    """Print it."""
    defaults = Settings()
    sys.stdout.write(HEAD)
    for name, variable in VARIABLES.items():
        syntax = variable.syntax
        default = syntax.write(getattr(defaults, variable.attribute)).removeprefix("-")
        unit = f"; {syntax.unit}" if syntax.accepts.startswith("a whole number") else ""
        meaning = textwrap.wrap(f"{name}: {variable.meaning} ({syntax.accepts}{unit})", 118)
        sys.stdout.write("\n" + "".join(f"# {line}\n" for line in meaning) + f"#{name}={default}\n")


if __name__ == "__main__":
    main()
