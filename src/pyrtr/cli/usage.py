"""`pyrtr --help`, and the answer to arguments that pyRTR does not know."""

from __future__ import annotations

from pyrtr.cli.output import print_problems, print_result

USAGE = "usage: pyrtr [settings | accept | check FILE ... | password USER | --help | --version]"

HELP = f"""\
{USAGE}

An RPKI-to-Router (RTR) cache: serves validated RPKI payload to routers.

  pyrtr                 serve, as the environment says
  pyrtr settings        print every environment variable: value in force, default, unit and meaning
  pyrtr accept          let the running program accept a load that it holds back (STATE says which program)
  pyrtr check FILE ...  say of data and SLURM files whether they can be used, and what would be dropped
  pyrtr password USER   ask for a password, and print the line for USER in the file SSH_PASSWORDS
  pyrtr --help, -h      print this
  pyrtr --version       print the version

Example: serve what rpki-client wrote to all routers that reach this machine

  LOCATION=/var/lib/rpki-client/json HOST=0.0.0.0,:: RTR_PORT=8323 pyrtr

Example: check tonight's data, and two files of local exceptions as they would be used together

  pyrtr check /var/lib/rpki-client/json /etc/pyrtr/ours.json /etc/pyrtr/customers.json

Exit status: 0 after an orderly end, 1 after a failure or if `check` refuses a file, 2 if arguments or
environment make no sense."""


def print_help() -> int:
    """Print the help; returns the exit status."""
    return print_result(HELP)


def refuse(arguments: list[str]) -> int:
    """Say that these arguments are not known, and which are; returns the exit status."""
    print_problems([f"pyrtr: not understood: {' '.join(map(repr, arguments))}", USAGE])
    return 2
