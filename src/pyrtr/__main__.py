"""The program: `pyrtr` serves, the commands talk to it and to other caches, or inform.

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
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        return _serve()

    from pyrtr.cli import arguments as known

    match arguments:
        case [name, *others] if name in known.COMMANDS:
            return _run(name, others)
        case ["--help" | "-h"]:
            return known.print_general_help()
        case ["--version"]:
            from pyrtr.cli.version import print_version

            return print_version()
        case _:
            return known.refuse(arguments)


def _run(name: str, arguments: Sequence[str]) -> int:
    """Run a command."""
    from importlib import import_module

    from pyrtr.cli import arguments as known

    try:
        options = known.parse(name, arguments)
        status: int = import_module(f"pyrtr.cli.{name}").run(options, os.environ)
    except known.Ended as ended:
        return ended.status
    except KeyboardInterrupt:
        return known.INTERRUPTED
    return status


def _serve() -> int:
    # Until they can be obeyed: the first look at the source is due anyway, and a stop is a stop.
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    # numpy would start a thread for each processor for linear algebra, of which there is none here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # For pretty tracebacks, which are written nowhere here, structlog would load it, and take a tenth of the start.
    sys.modules["rich"] = None  # type: ignore[assignment]  # no module: it can't be imported

    from pyrtr import processes

    processes.prepare("pyrtr.compiler.worker")

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
