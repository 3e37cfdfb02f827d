"""`pyrtr password USER`: a line for SSH_PASSWORDS."""

from __future__ import annotations

import getpass
import sys
from argparse import Namespace
from collections.abc import Mapping

from pyrtr.cli.output import print_problems, print_result
from pyrtr.server.passwords import hash_password


def run(options: Namespace, _environ: Mapping[str, str]) -> int:
    """Ask for a password, on the terminal or as one line of stdin, and print USER:HASH; returns the exit status."""
    user = options.user
    if not user or ":" in user or user.startswith("#") or not user.isprintable():
        print_problems([f"pyrtr: {user!r} is no name of a user: expected printable characters without a colon"])
        return 2
    try:
        password = _asked_twice() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    except (EOFError, KeyboardInterrupt):
        password = ""
    if not password:
        print_problems(["pyrtr: no password was given"])
        return 1
    return print_result(f"{user}:{hash_password(password)}")


def _asked_twice() -> str:
    password = getpass.getpass("Password: ")
    return password if getpass.getpass("The same again: ") == password else ""
