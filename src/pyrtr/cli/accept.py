"""`pyrtr accept`: an operator accepts the load that the running program holds back."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from pyrtr.cli.output import print_json, print_problems, print_result
from pyrtr.errors import SettingsError
from pyrtr.server import control
from pyrtr.settings import Settings


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Ask the program that runs on STATE; returns the exit status."""
    try:
        settings, _ = Settings.load(environ)
    except SettingsError as error:
        print_problems(error.problems)
        return 2
    if settings.state is None:
        print_problems(["pyrtr: STATE is False, so the program can't be reached: send it SIGUSR1"])
        return 1
    try:
        answer = control.ask(settings.state, "accept")
    except OSError as error:
        print_problems([f"pyrtr: no program answers in STATE={settings.state}: {error.strerror or error}"])
        return 1
    return print_json({"answer": answer}) if options.json else print_result(answer)
