"""One frozen record per PDU; the version is the connection's, so it is no part of them."""

from dataclasses import dataclass

from pyrtr.payload.values import VRP, Aspa, RouterKey


@dataclass(frozen=True, slots=True)
class Timing:
    """The intervals of End of Data in seconds (RFC 8210 §6): refresh 1..86400, retry 1..7200, expire 600..172800."""

    refresh: int = 3600
    retry: int = 600
    expire: int = 7200


@dataclass(frozen=True, slots=True)
class SerialNotify:
    """Type 0 (8210bis §5.2): the cache has a new serial."""

    session_id: int
    serial: int


@dataclass(frozen=True, slots=True)
class SerialQuery:
    """Type 1 (8210bis §5.3): the router asks for what changed since a serial."""

    session_id: int
    serial: int


@dataclass(frozen=True, slots=True)
class ResetQuery:
    """Type 2 (8210bis §5.4): the router asks for everything."""


@dataclass(frozen=True, slots=True)
class CacheResponse:
    """Type 3 (8210bis §5.5): payload follows."""

    session_id: int


@dataclass(frozen=True, slots=True)
class Prefix:
    """Types 4 and 6, IPv4 and IPv6 Prefix (8210bis §5.9, §5.10)."""

    vrp: VRP
    announce: bool


@dataclass(frozen=True, slots=True)
class EndOfData:
    """Type 7 (8210bis §5.7). Version 0 has no timing (RFC 6810 §5.8): None there."""

    session_id: int
    serial: int
    timing: Timing | None


@dataclass(frozen=True, slots=True)
class CacheReset:
    """Type 8 (8210bis §5.6): no delta can be had, ask for everything."""


@dataclass(frozen=True, slots=True)
class Key:
    """Type 9, Router Key (8210bis §5.11); not in version 0."""

    router_key: RouterKey
    announce: bool


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Type 10 (8210bis §5.8). `code` may be one that nobody assigned."""

    code: int
    erroneous_pdu: bytes
    text: str


@dataclass(frozen=True, slots=True)
class AspaAnnounce:
    """Type 11 with the announce flag (8210bis §5.12): new, or in place of the customer's former one."""

    aspa: Aspa


@dataclass(frozen=True, slots=True)
class AspaWithdraw:
    """Type 11 without the announce flag: the customer has no ASPA any more."""

    customer_asn: int


Pdu = (
    SerialNotify
    | SerialQuery
    | ResetQuery
    | CacheResponse
    | Prefix
    | EndOfData
    | CacheReset
    | Key
    | ErrorReport
    | AspaAnnounce
    | AspaWithdraw
)
