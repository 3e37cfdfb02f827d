"""What a session asks its connection to do, and what it asks of the payload that is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pyrtr.payload.serial import State
from pyrtr.wire.enums import Version
from pyrtr.wire.image import SharedImage
from pyrtr.wire.pdu import Timing


@dataclass(frozen=True, slots=True)
class Send:
    """Send these octets: whole PDUs."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Respond:
    """Send one response without anything in between, then call `CacheSession.responded`.

    Attributes:
        head, image, tail: Cache Response, payload, End of Data.
        is_full: whether it is the whole table, or else a delta.
    """

    head: bytes
    image: SharedImage
    tail: bytes
    is_full: bool


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection.

    Attributes:
        reason: why, for the log.
        abort: at once, because nothing more can arrive; otherwise so that what was sent arrives first.
    """

    reason: str
    abort: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the log: an event with its fields."""

    event: str
    fields: Mapping[str, object]
    is_warning: bool = False


class Parting(StrEnum):
    """Why a conversation ended, in one word for those who count: the reason of `Close` has the particulars."""

    ROUTER_CLOSED = "router_closed"
    CONNECTION_LOST = "connection_lost"
    ROUTER_ERROR = "router_error"
    PROTOCOL_ERROR = "protocol_error"
    VERSION_REFUSED = "version_refused"
    SILENT = "silent"
    STALLED = "stalled"
    SESSION_OVER = "session_over"
    INTERNAL_ERROR = "internal_error"
    STOPPING = "stopping"


Action = Send | Respond | Close | Note


class PayloadSource(Protocol):
    """The published payload as a session sees it: one immutable record, swapped whole."""

    @property
    def is_ready(self) -> bool:
        """Whether there is data to serve; the empty set is data, too."""

    @property
    def may_catch_up(self) -> bool:
        """Whether another cache of the same sessions may be ahead, and what it has told routers is on its way here."""

    @property
    def timing(self) -> Timing:
        """The intervals that End of Data tells."""

    def state(self, version: Version) -> State:
        """Session id and current serial of a version."""

    def is_session(self, version: Version, session_id: int) -> bool:
        """Whether a router may hold this session id: serials mean the same in all of a version's sessions."""

    def snapshot(self, version: Version) -> SharedImage:
        """The whole current table."""

    def delta(self, version: Version, serial: int) -> SharedImage | None:
        """What leads from `serial` to the current one, or None where that can't be said any more."""

    def is_news(self, version: Version, serial: int) -> bool:
        """Whether a router of `version` that holds `serial` has anything to gain from asking."""
