"""The program: `pyrtr` serves, `pyrtr accept` talks to one that serves, the other commands and options inform.

Imports stand where they are needed: an option answers at once, and a process that this one starts loads no server.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name (those of the process by default); returns the exit status."""
    match list(sys.argv[1:] if argv is None else argv):
        case []:
            return _serve()
        case ["settings"]:
            from pyrtr.cli.settings import print_settings

            return print_settings(os.environ)
        case ["accept"]:
            from pyrtr.cli.accept import accept

            return accept(os.environ)
        case ["check", *paths]:
            from time import time

            from pyrtr.cli.check import check

            return check(paths, now=time())
        case ["password", user]:
            from pyrtr.cli.password import print_password_line

            return print_password_line(user)
        case ["--help" | "-h"]:
            from pyrtr.cli.usage import print_help

            return print_help()
        case ["--version"]:
            from pyrtr.cli.version import print_version

            return print_version()
        case arguments:
            from pyrtr.cli.usage import refuse

            return refuse(arguments)


def _serve() -> int:
    # Until they can be obeyed: the first look at the source is due anyway, and a stop is a stop.
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    # numpy would start a thread for each processor for linear algebra, of which there is none here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from pyrtr.cli.output import print_problems
    from pyrtr.errors import SettingsError
    from pyrtr.logs import configure, get_logger
    from pyrtr.settings import Settings

    try:
        settings, warnings = Settings.load(os.environ)
    except SettingsError as error:
        print_problems(error.problems)
        return 2
    configure(settings.loglevel, settings.log_format)
    for warning in warnings:
        get_logger().warning(warning)

    from pyrtr.supervisor import run

    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
