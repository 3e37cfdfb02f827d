"""What can be said on the command line: each command's arguments, help with an example, and exit statuses.

Nothing but this is loaded to answer `--help` or to refuse arguments.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

from pyrtr.cli.output import print_problems, print_result

# Exit statuses, the same for all commands.
GOOD, BAD, USAGE_ERROR, NO_ANSWER, NOT_FOUND, INTERRUPTED = 0, 1, 2, 3, 4, 130

_ACCESS = (
    ("--ca", "FILE", "CAs that TLS servers are checked against (SOURCE_CA, or the system's)"),
    ("--cert", "FILE", "certificate that is shown to servers which ask for one (SOURCE_CERT)"),
    ("--key", "FILE", "its key, if that is not in the same file (SOURCE_KEY)"),
    ("--ssh-key", "FILE", "private key to log in with over SSH (SOURCE_SSH_KEY)"),
    ("--known-hosts", "FILE", "host keys that SSH servers are checked against (SOURCE_KNOWN_HOSTS)"),
)
# How long one answer of a cache or a server may take.
ASK_S = 300.0
_TIMEOUT = f"how long one answer may take ({ASK_S:.0f})"
_CACHE = "HOST:PORT, [IPV6]:PORT, or a location as rtr://HOST, rtr+tls://HOST, rtr+ssh://USER@HOST"


class Ended(Exception):  # noqa: N818 - help is no error
    """The arguments were answered, by help or by what is wrong with them.

    Attributes:
        status: the exit status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and never ends the process itself."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        if not message.isprintable():
            from pyrtr.logs import printable

            message = printable(message)
        print_problems([f"{self.prog}: {message}", self.format_usage().rstrip(), f"see {self.prog} --help"])
        raise Ended(USAGE_ERROR)

    def print_help(self, file: object = None) -> NoReturn:  # noqa: ARG002 - argparse's own signature
        """Print the help."""
        raise Ended(print_result(self.format_help().rstrip()))


@dataclass(frozen=True, slots=True)
class Command:
    """One command; the module of this name in `pyrtr.cli` has `run`.

    Attributes:
        operands: what stands behind the name, in the list of commands.
        summary: what it does, in half a line.
        details: what else there is to know.
        example: a command line that can be run.
        statuses: what exit statuses mean, besides those that are the same everywhere.
        add: declares its arguments.
    """

    operands: str
    summary: str
    details: str
    example: str
    statuses: Mapping[int, str]
    add: Callable[[Parser], None]

    def parser(self, name: str) -> Parser:
        """What reads its arguments."""
        meanings = {**self.statuses, USAGE_ERROR: "arguments or environment make no sense", INTERRUPTED: "interrupted"}
        statuses = "\n".join(f"  {status:<4} {meaning}" for status, meaning in sorted(meanings.items()))
        parser = Parser(
            prog=f"pyrtr {name}",
            description=f"{self.summary[0].upper()}{self.summary[1:]}.\n\n{self.details}".strip(),
            epilog=f"example:\n  {self.example}\n\nexit status:\n{statuses}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add(parser)
        return parser


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _access(parser: Parser) -> None:
    for flag, metavar, meaning in _ACCESS:
        parser.add_argument(flag, metavar=metavar, help=meaning)


def _timeout(parser: Parser, default_s: float | None, meaning: str) -> None:
    parser.add_argument("--timeout", type=_seconds, default=default_s, metavar="SECONDS", help=meaning)


def _transport(parser: Parser) -> None:
    parser.add_argument(
        "--version", type=int, choices=(0, 1, 2), default=2, help="highest RTR version that is spoken (2)"
    )
    transport = parser.add_mutually_exclusive_group()
    transport.add_argument("--tls", action="store_true", help="HOST:PORT is reached over TLS")
    transport.add_argument("--ssh", metavar="USER", help="HOST:PORT is reached over SSH, logged in as USER")
    _access(parser)


def _api(parser: Parser) -> None:
    parser.add_argument(
        "--url", help="where the program is: http://HOST:PORT (HOST, HTTP_PORT and HTTP_TLS_CERT of the environment)"
    )
    parser.add_argument("--ca", metavar="FILE", help="CAs that its certificate is checked against (the system's)")
    _timeout(parser, 30.0, "how long an answer may take (30)")
    _json(parser)


def _dump(parser: Parser) -> None:
    parser.add_argument("cache", metavar="HOST:PORT", help=_CACHE)
    parser.add_argument("--format", choices=("json", "csv"), default="json", help="as rpki-client writes it (json)")
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    parser.add_argument("--output", metavar="FILE", help="written whole or not at all (standard output)")
    _transport(parser)
    _timeout(parser, ASK_S, _TIMEOUT)


def _diff(parser: Parser) -> None:
    meaning = "a file, an http:// or https:// URL, or a cache: rtr://HOST:PORT, rtr+tls://…, rtr+ssh://USER@…"
    parser.add_argument("a", metavar="A", help=meaning)
    parser.add_argument("b", metavar="B", help="the same")
    parser.add_argument("--summary", action="store_true", help="print counts only")
    parser.add_argument("--limit", type=_count, metavar="N", help="print the first N differences only")
    parser.add_argument(
        "--version", type=int, choices=(0, 1, 2), default=2, help="highest RTR version spoken with caches (2)"
    )
    _json(parser)
    _access(parser)
    _timeout(parser, ASK_S, _TIMEOUT)


def _watch(parser: Parser) -> None:
    parser.add_argument("caches", metavar="HOST:PORT", nargs="+", help=_CACHE)
    parser.add_argument("--once", action="store_true", help="ask each once, compare, and end")
    parser.add_argument("--metrics", type=_port, metavar="PORT", help="serve Prometheus metrics on localhost:PORT")
    parser.add_argument("--metrics-host", metavar="HOST", default="localhost", help="or on this address (localhost)")
    parser.add_argument(
        "--interval", type=_seconds, default=60.0, metavar="SECONDS", help="the longest pause between queries (60)"
    )
    parser.add_argument("--limit", type=_count, default=5, metavar="N", help="how many differences are named (5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each event")
    _transport(parser)
    # None where it is not given, since it can't be beside what is followed.
    _timeout(parser, None, f"with --once, {_TIMEOUT}; else an answer may pause for 60, and take 600 in sum")


def _routers(parser: Parser) -> None:
    parser.add_argument("--behind", action="store_true", help="only those that lack what is served")
    _api(parser)


def _validity(parser: Parser) -> None:
    parser.add_argument("asn", metavar="ASN", type=_asn, help="the origin: 64496 or AS64496")
    parser.add_argument("prefix", metavar="PREFIX", help="the route: 192.0.2.0/24 or 2001:db8::/32")
    parser.add_argument("--file", metavar="FILE", help="look it up in a document, in the place of the program")
    _api(parser)


def _check(parser: Parser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="data and SLURM files (./-name for a leading hyphen)")
    _json(parser)


def _password(parser: Parser) -> None:
    parser.add_argument("user", metavar="USER", help="printable characters without a colon")


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "status": Command(
            "",
            "say whether the running program can be trusted, and what it serves",
            "Asks the program over HTTP.",
            "pyrtr status --url http://192.0.2.1:8080",
            {GOOD: "healthy", BAD: "unhealthy", NO_ANSWER: "no answer could be had"},
            _api,
        ),
        "routers": Command(
            "",
            "list the routers that are connected to the running program",
            "Asks the program over HTTP.",
            "pyrtr routers --behind",
            {GOOD: "no router is behind", BAD: "a router is behind", NO_ANSWER: "no answer could be had"},
            _routers,
        ),
        "validity": Command(
            "ASN PREFIX",
            "say whether a route is valid (RFC 6811), and which VRPs decide",
            "Asks the running program over HTTP, or looks into a file.",
            "pyrtr validity AS64496 192.0.2.0/24",
            {
                GOOD: "valid",
                BAD: "invalid",
                NO_ANSWER: "it could not be found out",
                NOT_FOUND: "not found: no VRP covers the prefix",
            },
            _validity,
        ),
        "dump": Command(
            "HOST:PORT",
            "write down what an RTR cache has, as rpki-client's JSON or CSV",
            "Asks as a router does, in version 2 and then in what the cache offers. The protocol tells neither trust\n"
            "anchors nor when records expire. CSV holds VRPs alone. Problems of the cache go to standard error.",
            "pyrtr dump 192.0.2.1:323 --output dump.json",
            {
                GOOD: "all of it was written",
                BAD: "it could not be written",
                NO_ANSWER: "the cache gave no whole answer",
            },
            _dump,
        ),
        "diff": Command(
            "A B",
            "say what only A and what only B has: files, URLs and RTR caches, in any mix",
            "Lines with - are withdrawn from A to B, those with + announced, those with ~ ASPAs with other providers.\n"
            "What an RTR version does not carry is not compared. Records of documents count although they have\n"
            "expired since, but beside a cache, which has taken them back.",
            "pyrtr diff /var/db/rpki-client/json rtr://192.0.2.1:323 --limit 20",
            {GOOD: "the same", BAD: "they differ", NO_ANSWER: "one of them could not be had"},
            _diff,
        ),
        "watch": Command(
            "HOST:PORT ...",
            "follow RTR caches: who answers, who differs from most of them, in what, for how long",
            "A table on a terminal, else a line for each event, until it is interrupted.",
            "pyrtr watch 192.0.2.1:323 rtr+tls://192.0.2.2:324 --metrics 9323",
            {
                GOOD: "all have the same (with --once)",
                BAD: "they differ, or one does not answer (with --once)",
                NO_ANSWER: "the port for metrics can't be had",
            },
            _watch,
        ),
        "check": Command(
            "FILE ...",
            "say of data and SLURM files whether they can be used, and what would be dropped",
            "SLURM files are also checked together, as they would be used.",
            "pyrtr check /var/lib/rpki-client/json /etc/pyrtr/ours.json /etc/pyrtr/customers.json",
            {GOOD: "all can be used", BAD: "one is refused"},
            _check,
        ),
        "accept": Command(
            "",
            "let the running program accept a load that it holds back",
            "STATE of the environment says which program.",
            "pyrtr accept",
            {GOOD: "the program was told, and says what came of it", BAD: "no program answers"},
            _json,
        ),
        "settings": Command(
            "",
            "print every environment variable: value in force, default, unit and meaning",
            "",
            "pyrtr settings --json",
            {GOOD: "printed"},
            _json,
        ),
        "password": Command(
            "USER",
            "ask for a password, and print the line for USER in the file SSH_PASSWORDS",
            "Asks on the terminal, or takes one line of standard input.",
            "pyrtr password xr1",
            {GOOD: "printed", BAD: "no password was given"},
            _password,
        ),
    }
)

USAGE = f"usage: pyrtr [{' | '.join(COMMANDS)} | --help | --version]"
_LINES = "\n".join(
    f"  pyrtr {f'{name} {command.operands}':<23} {command.summary}" for name, command in COMMANDS.items()
)

HELP = f"""\
{USAGE}

An RPKI-to-Router (RTR) cache: serves validated RPKI payload to routers.

  pyrtr                         serve, as the environment says
{_LINES}
  pyrtr --help, -h              print this; after a command, what that takes
  pyrtr --version               print the version

Example: serve what rpki-client wrote to all routers that reach this machine

  LOCATION=/var/lib/rpki-client/json HOST=0.0.0.0,:: RTR_PORT=8323 pyrtr

Example: compare what rpki-client wrote with what a router gets

  pyrtr diff /var/lib/rpki-client/json rtr://localhost:8323

Exit status: 0 if all is well, 1 after a failure or if something is amiss (a file is refused, sets differ, a route
is invalid), 2 if arguments or environment make no sense, 3 if who was asked gave no answer, 130 if interrupted."""


def parse(name: str, arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command.

    Raises:
        Ended: help was asked for, or they make no sense; which has been said.
    """
    return COMMANDS[name].parser(name).parse_args(arguments)


def print_general_help() -> int:
    """Print the list of commands; returns the exit status."""
    return print_result(HELP)


def refuse(arguments: Sequence[str]) -> int:
    """Say that these arguments are not known, and which are; returns the exit status."""
    print_problems([f"pyrtr: not understood: {' '.join(map(repr, arguments))}", USAGE])
    return USAGE_ERROR


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds, more than 0 and at most 86400")
    return seconds


def _count(text: str) -> int:
    return _whole(text, 0, 10**9)


def _port(text: str) -> int:
    return _whole(text, 0, 65535)


def _asn(text: str) -> int:
    return _whole(text[2:] if text[:2].upper() == "AS" else text, 0, 2**32 - 1)


def _whole(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 20 and low <= int(text) <= high):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from {low} to {high}")
    return int(text)
