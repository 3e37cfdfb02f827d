"""The settings: environment variables without a prefix, read once at the start.

There is no configuration file. Names are written in upper case; white space around a value is trimmed, and an empty
value counts as not set, since containers often set empties. A variable is one field of `Settings`: its `Syntax` reads
the text and says what is accepted, its description what it means. Lines about problems and the table of
`pyrtr settings` follow from these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from pyrtr.errors import SettingsError, SourceError
from pyrtr.logs import LogFormat, LogLevel, printable
from pyrtr.sources.base import DOCUMENT_SCHEMES, kinds, protocol, schemes
from pyrtr.sources.location import Location, masked
from pyrtr.syntax import (
    FILE,
    FOLDER,
    HOSTS,
    KEY_FILE,
    LOCATIONS,
    NAME,
    OTHER_PORT,
    PORT,
    PREFIXES,
    SERVERS,
    SLURM,
    SWITCHED,
    TOKEN,
    VERSION_CAPS,
    Syntax,
    VersionCap,
    choice,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

FLEET_SCHEMES = ("nats", "tls")
SHARED = (
    "DATASOURCE", "LOCATION", "MERGE", "SLURM", "REFRESH", "RETRY", "EXPIRE", "HISTORY", "MAX_AGE", "ON_STALE",
    "MAX_SHRINK", "HOLD",
)  # fmt: skip
"""Variables that all replicas of a fleet have to agree on: any of them may be the one that acts for all."""

_DEFAULT_LOCATION = (Location("file", "json"),)  # told by identity from a LOCATION that says the same


class OnStale(StrEnum):
    """What becomes of data that is older than MAX_AGE."""

    HOLD = "hold"
    WITHDRAW = "withdraw"
    CLOSE = "close"


class Merge(StrEnum):
    """What several locations are to each other."""

    FAILOVER = "failover"
    UNION = "union"


class Farewell(StrEnum):
    """What routers that speak version 2 are told when the program stops."""

    RESTART = "restart"
    SHUTDOWN = "shutdown"
    NONE = "none"


def _require_schemes(locations: tuple[Location, ...], allowed: Sequence[str], whose: str) -> None:
    for location in locations:
        if location.scheme not in allowed:
            named = ", ".join("a local path" if scheme == "file" else f"{scheme}://" for scheme in allowed)
            raise ValueError(f"{location} is no place for {whose}, which takes {named}")


class Settings(BaseSettings):
    """What the environment says, checked; frozen.

    `load` reads an environment. The constructor takes the same values by attribute, as text or as their own types, and
    never looks into the environment, so that `Settings()` are the defaults wherever it runs.
    """

    model_config = SettingsConfigDict(frozen=True, enable_decoding=False)

    loglevel: Annotated[LogLevel, choice(LogLevel)] = Field(
        LogLevel.INFO, description="lowest level that is logged; FATAL is CRITICAL"
    )
    host: Annotated[tuple[str, ...], HOSTS] = Field(("localhost",), description="what the RTR and HTTP servers bind to")
    rtr_port: Annotated[int | None, PORT] = Field(
        8323, description="where routers connect; 0 takes a free port, False means no RTR server"
    )
    tls_port: Annotated[int | None, OTHER_PORT] = Field(
        None, description="where routers connect by TLS, 324 by convention; 0 takes a free port, False means none"
    )
    ssh_port: Annotated[int | None, OTHER_PORT] = Field(
        None, description="where routers connect by SSH, subsystem rpki-rtr; 0 takes a free port, False means none"
    )
    http_port: Annotated[int | None, OTHER_PORT] = Field(
        8080, description="where the HTTP server listens; 0 takes a free port, False means no HTTP server"
    )
    datasource: Annotated[str, choice(kinds())] = Field("RPKICLIENT", description="kind of the source")
    jsonfile: Annotated[tuple[Location, ...] | None, LOCATIONS] = Field(
        None, description="older name of LOCATION, which wins where both are set"
    )
    location: Annotated[tuple[Location, ...], LOCATIONS] = Field(
        _DEFAULT_LOCATION, description="where the source is; of several see MERGE"
    )
    merge: Annotated[Merge, choice(Merge)] = Field(
        Merge.FAILOVER, description="several LOCATIONs: failover uses the first good one, in order; union all of them"
    )
    slurm: Annotated[tuple[Location, ...], SLURM] = Field(
        (), description="files, folders or URLs with local exceptions (RFC 8416), applied to whatever the source is"
    )
    source_ca: Annotated[Path | None, FILE] = Field(
        None, description="CAs that HTTPS and rtr+tls sources are checked against, in the place of the system's"
    )
    source_cert: Annotated[Path | None, FILE] = Field(
        None, description="certificate that is shown to HTTPS and rtr+tls sources which ask for one"
    )
    source_key: Annotated[Path | None, KEY_FILE] = Field(
        None, description="its key, unencrypted, if that is not in the same file"
    )
    source_ssh_key: Annotated[Path | None, FILE] = Field(
        None, description="private key, unencrypted, to log in with at rtr+ssh sources"
    )
    source_known_hosts: Annotated[Path | None, FILE] = Field(
        None, description="host keys that rtr+ssh sources are checked against; without it none is connected to"
    )
    reload: Annotated[int, whole(1, 86400, "seconds")] = Field(900, description="time between looks at the source")
    refresh: Annotated[int, whole(1, 86400, "seconds")] = Field(
        3600, description="told to routers (RFC 8210 section 6): when to ask again after an answer"
    )
    retry: Annotated[int, whole(1, 7200, "seconds")] = Field(
        600, description="told to routers (RFC 8210 section 6): when to ask again after a failure"
    )
    expire: Annotated[int, whole(600, 172800, "seconds", rule="larger than REFRESH and RETRY")] = Field(
        7200, description="told to routers (RFC 8210 section 6): how long to keep what can't be refreshed"
    )
    state: Annotated[Path | None, FOLDER] = Field(
        Path("state"),
        description="what outlives a restart; unset, the service manager's STATE_DIRECTORY counts; False for nothing",
    )
    log_format: Annotated[LogFormat, choice(LogFormat)] = Field(LogFormat.TEXT, description="how log lines look")
    watch: Annotated[bool, SWITCHED] = Field(True, description="load at once when a local source file is replaced")
    min_version: Annotated[int, whole(0, 2, "RTR version")] = Field(0, description="lowest version served")
    max_version: Annotated[int, whole(0, 2, "RTR version", rule="not below MIN_VERSION")] = Field(
        2, description="highest version served"
    )
    history: Annotated[int, whole(0, 1_000_000, "serials")] = Field(
        1000, description="how far back a router may ask, at most"
    )
    history_days: Annotated[int | None, whole(1, 3650, "days", none=("False", "no", "off"))] = Field(
        30, description="how far back people may ask what changed, and why; False keeps nothing for that"
    )
    initial_serial: Annotated[int | None, whole(0, 2**32 - 1, "serial", none=("random",))] = Field(
        None, description="first serial of a new state"
    )
    farewell: Annotated[Farewell, choice(Farewell)] = Field(
        Farewell.RESTART,
        description="what version 2 routers hear when the program stops: restart is code 12, shutdown code 13",
    )
    max_age: Annotated[int, whole(60, 31_536_000, "seconds")] = Field(
        86400, description="age of the data, since the validator wrote it, from which it counts as stale"
    )
    on_stale: Annotated[OnStale, choice(OnStale)] = Field(
        OnStale.HOLD,
        description="hold: serve stale data on, unhealthy; withdraw: serve the empty set; close: serve no router",
    )
    max_shrink: Annotated[int, whole(0, 100, "percent")] = Field(
        20, description="share of the VRPs, in sum or of one trust anchor, that one load may take away at once"
    )
    hold: Annotated[int, whole(0, 31_536_000, "seconds")] = Field(
        21600, description="how long a load that takes away more waits for `pyrtr accept`; then it is accepted"
    )

    fleet: Annotated[tuple[Location, ...], SERVERS] = Field(
        (), description="NATS servers that replicas share sessions, serials and history by"
    )
    fleet_name: Annotated[str, NAME] = Field("pyrtr", description="what the replicas call what they share there")

    # How routers come in.

    tls_cert: Annotated[Path | None, FILE] = Field(
        None, description="our certificate for TLS_PORT, and what leads to its CA, in PEM", validate_default=True
    )
    tls_key: Annotated[Path | None, FILE] = Field(
        None, description="the key of TLS_CERT, in PEM without a password", validate_default=True
    )
    tls_client_ca: Annotated[Path | None, FILE] = Field(
        None, description="CAs, and their revocation lists, in PEM; set, routers need a certificate of one of them"
    )
    tls_check_address: Annotated[bool, SWITCHED] = Field(
        True, description="whether an iPAddress name in a router's certificate has to be the address it comes from"
    )

    ssh_host_key: Annotated[Path | None, FILE] = Field(
        None,
        description="our private keys for SSH_PORT; made if the file is missing; unset, ssh_host_key in STATE",
        validate_default=True,
    )
    ssh_authorized_keys: Annotated[Path | None, FILE] = Field(
        None, description="keys of routers, as OpenSSH's authorized_keys"
    )
    ssh_passwords: Annotated[Path | None, FILE] = Field(
        None,
        description="routers that log in with a password: lines of USER:HASH, as `pyrtr password` prints them",
        validate_default=True,
    )
    ssh_old_algorithms: Annotated[bool, SWITCHED] = Field(
        False, description="whether algorithms that are known to be weak are offered, too, which IOS-XR may need"
    )

    allow: Annotated[tuple[IPv4Network | IPv6Network, ...] | None, PREFIXES] = Field(
        None, description="where routers may connect from, by whatever transport"
    )
    version_caps: Annotated[tuple[VersionCap, ...] | None, VERSION_CAPS] = Field(
        None, description="highest RTR version spoken with routers there; the longest prefix counts"
    )
    max_routers: Annotated[int, whole(1, 1_000_000, "routers")] = Field(
        20_000, description="how many connect at once, at most; one address has three quarters of what others leave"
    )

    tcp_md5: Annotated[Path | None, FILE] = Field(
        None, description="peers that have to sign their segments (RFC 2385), as lines of PREFIX KEY"
    )

    # The HTTP server.

    http_tls_cert: Annotated[Path | None, FILE] = Field(
        None, description="certificate of the HTTP server, and what leads to its CA; set, it speaks TLS alone"
    )
    http_tls_key: Annotated[Path | None, FILE] = Field(None, description="its key, without a password")
    http_token: Annotated[SecretStr | None, TOKEN] = Field(
        None, description="what an HTTP request that changes something has to bring; unset, none may"
    )

    router_metrics: Annotated[bool, SWITCHED] = Field(
        False, description="whether /metrics tells of every router by its address, which betrays topology"
    )

    # A validator sees the fields above its own as far as they are valid: only valid values contradict each other.

    @field_validator("location", mode="before")
    @classmethod
    def _fall_back_on_jsonfile(cls, location: object, info: ValidationInfo) -> object:
        return info.data.get("jsonfile") or location if location is _DEFAULT_LOCATION else location

    @field_validator("source_key")
    @classmethod
    def _check_source_key(cls, source_key: Path | None, info: ValidationInfo) -> Path | None:
        if source_key is not None and info.data["source_cert"] is None:
            raise ValueError("SOURCE_CERT is not set")
        return source_key

    @field_validator("location")
    @classmethod
    def _check_location(cls, location: tuple[Location, ...], info: ValidationInfo) -> tuple[Location, ...]:
        if kind := info.data.get("datasource"):
            _require_schemes(location, schemes(kind), f"DATASOURCE={kind}")
            if kind == "PYRTR" and len(location) > 1:
                raise ValueError("DATASOURCE=PYRTR follows one other pyRTR, since its sessions and serials are served")
            if kind == "PYRTR" and re.search("[?#]", location[0].text):
                raise ValueError(f"{location[0]} goes on after its path: http://other:8080 would do")
        return location

    @field_validator("merge")
    @classmethod
    def _check_merge(cls, merge: Merge, info: ValidationInfo) -> Merge:
        if merge is Merge.UNION and info.data.get("datasource") == "PYRTR":
            raise ValueError("DATASOURCE=PYRTR serves what one other does, and nothing beside it")
        return merge

    @field_validator("slurm")
    @classmethod
    def _check_slurm(cls, slurm: tuple[Location, ...], info: ValidationInfo) -> tuple[Location, ...]:
        if slurm and info.data.get("datasource") == "PYRTR":
            raise ValueError("DATASOURCE=PYRTR serves what the other does: SLURM is to be set there")
        _require_schemes(slurm, DOCUMENT_SCHEMES, "SLURM")
        return slurm

    @field_validator("fleet")
    @classmethod
    def _check_fleet(cls, fleet: tuple[Location, ...], info: ValidationInfo) -> tuple[Location, ...]:
        if fleet and info.data.get("datasource") == "PYRTR":
            raise ValueError("DATASOURCE=PYRTR serves the sessions of another pyRTR, which may be of the fleet")
        _require_schemes(fleet, FLEET_SCHEMES, "FLEET")
        return fleet

    @field_validator("tls_port", "ssh_port", "http_port")
    @classmethod
    def _check_port(cls, port: int | None, info: ValidationInfo) -> int | None:
        others = {name.upper(): value for name, value in info.data.items() if name.endswith("_port")}
        if info.field_name == "http_port" and "RTR_PORT" in others and {port, *others.values()} == {None}:
            raise ValueError("RTR_PORT is False too, so nothing would be served")
        if port and (same := [name for name, value in others.items() if value == port]):
            raise ValueError(f"{same[0]} is the same")
        return port

    @field_validator("tls_cert", "tls_key")
    @classmethod
    def _check_tls(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is None and info.data.get("tls_port") is not None:
            raise ValueError("TLS_PORT is set, which needs it")
        return file

    @field_validator("ssh_host_key")
    @classmethod
    def _check_ssh_host_key(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        has_no_state = "state" in info.data and info.data["state"] is None
        if file is None and info.data.get("ssh_port") is not None and has_no_state:
            raise ValueError("SSH_PORT is set and STATE is False, which needs it")
        return file

    @field_validator("ssh_passwords")
    @classmethod
    def _check_ssh_passwords(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if info.data.get("ssh_port") is not None and file is None and info.data.get("ssh_authorized_keys") is None:
            raise ValueError("SSH_PORT is set, which needs SSH_AUTHORIZED_KEYS or this")
        return file

    @field_validator("http_tls_key")
    @classmethod
    def _check_http_tls_key(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if "http_tls_cert" in info.data and (key is None) is not (info.data["http_tls_cert"] is None):
            raise ValueError("HTTP_TLS_CERT and HTTP_TLS_KEY go together")
        return key

    @field_validator("expire")
    @classmethod
    def _check_expire(cls, expire: int, info: ValidationInfo) -> int:
        # RFC 8210 section 6 wants Expire above both others, and OpenBGPD drops the session otherwise.
        shorter = {name: value for name in ("refresh", "retry") if (value := info.data.get(name, 0)) >= expire}
        if shorter:
            raise ValueError("not larger than " + " and ".join(f"{n.upper()}={v}" for n, v in shorter.items()))
        return expire

    @field_validator("version_caps")
    @classmethod
    def _check_version_caps(cls, caps: tuple[VersionCap, ...] | None, info: ValidationInfo) -> object:
        if too_low := [cap for cap in caps or () if cap.version < info.data.get("min_version", 0)]:
            raise ValueError(f"{too_low[0]} is below MIN_VERSION={info.data['min_version']}")
        return caps

    @field_validator("max_version")
    @classmethod
    def _check_max_version(cls, max_version: int, info: ValidationInfo) -> int:
        if max_version < (min_version := info.data.get("min_version", 0)):
            raise ValueError(f"below MIN_VERSION={min_version}")
        return max_version

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # the sources come by name, and one is of use
        cls, _settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_others: object
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values come from the constructor's arguments alone; `load` turns an environment into these."""
        return (init_settings,)

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
        """The settings of an environment, and warnings about variables that look meant for us but have no effect.

        Raises:
            SettingsError: with all problems at once, if a value does not parse or contradicts another.
        """
        given = {name: text for name, value in environ.items() if (text := value.strip())}
        # systemd.exec(5): STATE_DIRECTORY holds several folders, separated by colons, where the unit names several.
        if folder := given.get("STATE_DIRECTORY", "").partition(":")[0]:
            given.setdefault("STATE", folder)
        source = EnvSettingsSource(cls)
        source.env_vars = {name.lower(): text for name, text in given.items() if name.isupper()}
        try:
            settings = cls(**source())
        except ValidationError as error:
            raise SettingsError([_problem(detail) for detail in error.errors()]) from None
        if problems := [*_location_problems(settings)]:
            raise SettingsError(problems)
        return settings, _warnings(given)


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable of `Settings`, for tables and documentation.

    Attributes:
        name: as in the environment, upper case.
        attribute: of `Settings`.
        syntax: how it is written.
        meaning: its description.
    """

    name: str
    attribute: str
    syntax: Syntax
    meaning: str


def _variables() -> dict[str, Variable]:
    return {
        attribute.upper(): Variable(attribute.upper(), attribute, syntax, field.description or "")
        for attribute, field in Settings.model_fields.items()
        for syntax in field.metadata
        if isinstance(syntax, Syntax)
    }


VARIABLES = _variables()
"""Every variable by its name, in the order of `Settings`."""


def _problem(detail: ErrorDetails) -> str:
    name = str(detail["loc"][0]).upper()
    reason = str(detail["ctx"]["error"]) if detail["type"] == "value_error" else ""
    syntax, given = VARIABLES[name].syntax, detail["input"]
    match given:
        case _ if syntax.is_secret:
            value = "***"
        case None:
            value = "None"
        case str():
            value = repr(masked(given))
        case _:
            value = syntax.write(given)
    return f"{name}={value}: {reason}{'; ' if reason else ''}expected {syntax.accepts}"


def _location_problems(settings: Settings) -> Iterator[str]:
    """What a protocol says of locations that it can't follow with these settings."""
    if (module := protocol(settings.datasource)) is None:
        return
    for location in settings.location:
        try:
            module.feed(location, Path(), settings)
        except SourceError as error:
            yield f"LOCATION={error}"


def _warnings(given: Mapping[str, str]) -> list[str]:
    return [
        f"{printable(name)} is set, but no such variable is known: is {near} meant?"
        for name in sorted(given.keys() - VARIABLES.keys())
        if (near := next((known for known in VARIABLES if _is_slip_of(known, name)), None))
    ]


def _is_slip_of(known: str, name: str) -> bool:
    """Whether `name` is `known` but for case, separators and one slip: letters swapped, or one wrong, lost or added.

    In names of up to five letters only a swap counts, as HOST is one letter from POST.
    """
    left, right = (re.sub("[^A-Z0-9]", "", text.upper()) for text in (known, name))
    is_long = len(left) > 5
    same = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    left, right = left[same:], right[same:]
    if left == right or (left[:2] == right[1::-1] and left[2:] == right[2:]):
        return True
    return is_long and (left[1:] == right[1:] or left[1:] == right or left == right[1:])
