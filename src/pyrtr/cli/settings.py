"""`pyrtr settings`: every environment variable with its value in force, default, unit and meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrtr.cli.output import aligned, print_json, print_problems, print_result
from pyrtr.errors import SettingsError
from pyrtr.logs import printable
from pyrtr.settings import VARIABLES, Settings

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Print the settings of an environment, or what is wrong with it; returns the exit status."""
    try:
        settings, warnings = Settings.load(environ)
    except SettingsError as error:
        print_problems(error.problems)
        return 2
    print_problems([f"warning: {warning}" for warning in warnings])
    return print_json(settings_records(settings)) if options.json else print_result(settings_table(settings))


def settings_records(settings: Settings) -> list[dict[str, str]]:
    """Every variable as it would be written, and what it means."""
    defaults = Settings()
    records = []
    for name, variable in VARIABLES.items():
        syntax = variable.syntax
        in_force, default = (printable(syntax.write(getattr(s, variable.attribute))) for s in (settings, defaults))
        meaning = {"unit": syntax.unit, "meaning": variable.meaning, "accepts": syntax.accepts}
        records.append({"variable": name, "value": in_force, "default": default} | meaning)
    return records


def settings_table(settings: Settings) -> str:
    """One aligned line per variable under a heading."""
    rows = [("VARIABLE", "VALUE", "DEFAULT", "UNIT", "MEANING")]
    for record in settings_records(settings):
        variable, value, default, unit, meaning, accepts = record.values()
        rows.append((variable, value, default, unit, f"{meaning} ({accepts})"))
    return aligned(rows)
