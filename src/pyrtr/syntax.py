"""How environment variables are written: what is accepted of each kind, in words and in code."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic_core import core_schema

from pyrtr.sources.location import Location
from pyrtr.wire.enums import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_OFF = ("False", "no", "off")  # without 0, since port 0 asks the system for a free port
# RFC 1035 section 2.3, and the underscore of containers; a name that ends in a number is a mistyped address.
_HOST_NAME = re.compile(r"(?!.{254})(?!(.*\.)?[0-9]+$)\w([\w-]*\w)?(\.\w([\w-]*\w)?)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a variable is written.

    Attributes:
        accepts: what is accepted, in words.
        read: the value that a trimmed text stands for; raises ValueError, with a reason where `accepts` is not enough.
        unit: what the value counts or names.
        none: how None is written.
        is_secret: whether nobody is shown the value.
    """

    accepts: str
    read: Callable[[str], object]
    unit: str = "-"
    none: str = "-"
    is_secret: bool = False

    def write(self, value: object) -> str:
        """The value as one would set it, but a secret."""
        match value:
            case None | ():
                return self.none
            case tuple():
                return ",".join(map(str, value))
            case _:
                return str(value)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._validate, handler(source))

    def _validate(self, value: object) -> object:
        match value:
            case None | ():
                return value
            case SecretStr():
                return self.read(value.get_secret_value())
            case [Location(), *_]:  # written, it would lack the password
                return value
            case _:  # what code gives is read as it would be written, so that the same limits hold
                return self.read(self.write(value).strip())


def whole(low: int, high: int, unit: str, *, none: tuple[str, ...] = (), rule: str = "") -> Syntax:
    """A whole number in ASCII digits, or one of the words `none`, in any case; `rule` words a further condition."""

    def read(text: str) -> int | None:
        if text.lower() in map(str.lower, none):
            return None
        if not re.fullmatch("[0-9]{1,20}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    parts = [f"a whole number from {low} to {high}", *(f"or {word}" for word in none[:1]), rule]
    return Syntax(", ".join(filter(None, parts)), read, unit, none[0] if none else "-")


def choice(kinds: Iterable[str]) -> Syntax:
    """One of several words, in any case."""

    def read(text: str) -> str:
        for kind in kinds:
            if kind.lower() == text.lower():
                return kind
        raise ValueError

    *others, last = kinds
    return Syntax(f"{', '.join(others)} or {last}" if others else last, read)


def _read_switch(text: str) -> bool:
    if (value := _SWITCH.get(text.lower())) is None:
        raise ValueError
    return value


def _read_hosts(text: str) -> tuple[str, ...]:
    hosts = dict.fromkeys(host.strip() for host in text.split(","))  # each once: an address can be bound only once
    for host in hosts:
        try:
            ip_address(host)
        except ValueError:
            if not _HOST_NAME.fullmatch(host):
                raise ValueError(f"{host!r} is neither an address nor a name") from None
    return tuple(hosts)


def _read_locations(text: str) -> tuple[Location, ...]:
    """Paths and URLs, each once."""
    if re.search("://[^/]*,(?!\\s*/)((?!://).)*@", text):  # read as two locations, it would show what is secret
        raise ValueError("a comma in a user name or password is written as %2C")
    return tuple(dict.fromkeys(Location.parse(part.strip()) for part in text.split(",")))


def _read_folder(text: str) -> Path | None:
    if (switch := _SWITCH.get(text.lower())) is True:
        raise ValueError
    return Path(text) if switch is None else None


def _read_file(text: str) -> Path | None:
    return None if text == "-" else Path(text)


def _read_token(text: str) -> SecretStr:
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]{16,256}=*", text):
        raise ValueError
    return SecretStr(text)


def _read_name(text: str) -> str:
    if not re.fullmatch("[A-Za-z0-9_-]{1,32}", text):
        raise ValueError
    return text


PORT = whole(0, 65535, "TCP port", none=_OFF)
OTHER_PORT = whole(0, 65535, "TCP port", none=_OFF, rule="other than the other ports")
HOSTS = Syntax("addresses or names, separated by commas", _read_hosts, "address")
SLURM = Syntax("files, folders or URLs, separated by commas", _read_locations, "path or URL")
SWITCHED = Syntax("True or False", _read_switch)
LOCATIONS = Syntax("paths or URLs, separated by commas", _read_locations, "path or URL")
SERVERS = Syntax("nats:// or tls:// URLs, separated by commas", _read_locations, "URL")
NAME = Syntax("1 to 32 letters, digits, - and _", _read_name, "name")
FILE = Syntax("a local file", _read_file, "path")
KEY_FILE = Syntax("a local file, beside SOURCE_CERT", _read_file, "path")
FOLDER = Syntax("a folder, or False", _read_folder, "path", none="False")
# RFC 6750 section 2.1 says which characters; so many can't be guessed.
TOKEN = Syntax("16 to 256 letters, digits, and - . _ ~ + / =", _read_token, "token", is_secret=True)


def _read_prefix(text: str) -> IPv4Network | IPv6Network:
    prefix = ip_network(text.strip())
    if prefix.version == 6 and prefix.network_address.ipv4_mapped:
        raise ValueError(f"{text.strip()!r} has to be written as IPv4")
    return prefix


def _read_prefixes(text: str) -> tuple[IPv4Network | IPv6Network, ...] | None:
    return None if text.lower() == "all" else tuple(map(_read_prefix, text.split(",")))


class VersionCap(NamedTuple):
    """The highest version that is spoken with routers in a prefix."""

    prefix: IPv4Network | IPv6Network
    version: Version

    def __str__(self) -> str:
        return f"{self.prefix}={int(self.version)}"


def _read_version_caps(text: str) -> tuple[VersionCap, ...] | None:
    if text == "-":
        return None
    caps = tuple(map(_read_version_cap, text.split(",")))
    if twice := [prefix for prefix, count in Counter(cap.prefix for cap in caps).items() if count > 1]:
        raise ValueError(f"{twice[0]} has more than one version")
    return caps


def _read_version_cap(text: str) -> VersionCap:
    prefix, _, version = text.partition("=")
    if version.strip() not in ("0", "1", "2"):
        raise ValueError(f"{text.strip()!r} has no version")
    return VersionCap(_read_prefix(prefix), Version(int(version)))


PREFIXES = Syntax("prefixes or addresses, separated by commas, or all", _read_prefixes, "prefix", none="all")
VERSION_CAPS = Syntax(
    "pairs of PREFIX=VERSION, separated by commas, not below MIN_VERSION", _read_version_caps, "prefix"
)
