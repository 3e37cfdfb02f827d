"""The querying side of the conversation: what a router does (RFC 6810 §6, RFC 8210 §8, 8210bis §8), for an upstream.

A `RouterSession` is given octets and the time, and returns actions. It outlives its connections, as a router does: it
says when the next one is to be opened (`connect_at`), and what it holds stays.

    phase        leaves it by
    CLOSED       `opened` -> ASKING
    ASKING       Cache Response -> RECEIVING; Cache Reset -> ASKING; Error Report 2 (no data) -> WAITING
    RECEIVING    End of Data -> WAITING
    WAITING      Serial Notify, or the time of the next query -> ASKING
    any          `closed`, a fault, silence -> CLOSED

What breaks the protocol is answered with an Error Report where one may be sent, ends the connection, and makes the
next query a Reset Query; what was held before is still held. What breaks only a rule that the set does not depend on,
the order of payload and the ranges of the intervals, is noted.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from pyrtr.payload.serial import State, is_newer
from pyrtr.payload.table import PayloadTable
from pyrtr.session.actions import Close, Note, Send
from pyrtr.session.negotiation import Negotiation
from pyrtr.wire.codec import decode, encode
from pyrtr.wire.enums import HIGHEST_ERROR_CODE, PDU_TYPES, ErrorCode, PduType, Version
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.framer import HEADER_BYTES, MAX_PDU_BYTES
from pyrtr.wire.pdu import (
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorReport,
    ResetQuery,
    SerialNotify,
    SerialQuery,
    Timing,
)
from pyrtr.wire.response import PAYLOAD_BYTES, Response

# An answer that is due may pause for so long, as routers have it (rtrlib: 60 s), and take so long in sum: slow drip.
SILENCE_S = 60.0
RESPONSE_S = 600.0
# Pause before the first attempt after a loss; it doubles up to the Retry Interval.
FIRST_PAUSE_S = 1.0
# A cache that notifies without end is asked no more often; 8210bis §8.2 allows it one a minute.
NOTIFY_PAUSE_S = 1.0
# Error Reports that do not end a session, from one query to the next; nothing sensible sends more.
MAX_NON_FATAL_REPORTS = 4

# RFC 8210 §6; a cache that says something else is taken at the nearest of these.
INTERVALS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"refresh": (1, 86400), "retry": (1, 7200), "expire": (600, 172800)}
)
# What a cache sends besides payload and Error Reports, and how long it is: known as soon as the header is there.
_CACHE_BYTES: Mapping[int, int] = MappingProxyType(
    {PduType.SERIAL_NOTIFY: 12, PduType.CACHE_RESPONSE: HEADER_BYTES, PduType.CACHE_RESET: HEADER_BYTES}
)
_END_OF_DATA_BYTES = MappingProxyType({Version.V0: 12, Version.V1: 24, Version.V2: 24})

_HEADER = struct.Struct("!BBxxI")


class Phase(Enum):
    """Where the conversation stands."""

    CLOSED = auto()
    ASKING = auto()
    RECEIVING = auto()
    WAITING = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What the cache said last, from Cache Response to End of Data.

    Attributes:
        version: the version in which it said so; its session ids and serials mean nothing in another.
        state: session id and serial.
        table: the whole set.
        timing: the intervals, within their ranges.
        confirmed_at: when End of Data came, by the session's clock.
    """

    version: Version
    state: State
    table: PayloadTable
    timing: Timing
    confirmed_at: float

    @property
    def expires_at(self) -> float:
        """Until when the set may be used (RFC 8210 §6)."""
        return self.confirmed_at + self.timing.expire


@dataclass(frozen=True, slots=True, eq=False)
class Confirmed:
    """A response has ended well: what is held is what the cache has.

    Attributes:
        held: the set and its state.
        is_changed: whether the set is another than before.
    """

    held: Held
    is_changed: bool


RouterAction = Send | Close | Note | Confirmed


class RouterSession:
    """A router and its cache. Times are seconds of any clock that never goes back.

    Args:
        lowest, highest: the versions that may be spoken.
        floor_s, ceiling_s: bounds for the pause between queries and between attempts, whatever the cache wishes.

    Attributes:
        phase: where the conversation stands.
        held: what the cache said last, None if that is nothing or must not be used any more.
        trouble: why the cache does not answer, in words; None while it does, or none has been tried yet.
        connect_at: in CLOSED, when to open the next connection.
    """

    def __init__(
        self,
        *,
        floor_s: float,
        ceiling_s: float,
        lowest: Version = Version.V0,
        highest: Version = Version.V2,
    ) -> None:
        self.phase = Phase.CLOSED
        self.held: Held | None = None
        self.trouble: str | None = None
        self.connect_at = 0.0
        self._negotiation = Negotiation(lowest, highest)
        self._floor_s, self._ceiling_s = floor_s, ceiling_s
        self._timing = Timing()
        self._failures = 0
        # The connection
        self._buffer = bytearray()
        self._has_heard = False
        self._reports = 0
        self._told_session_id: int | None = None
        # The query under way, or the next one
        self._query: SerialQuery | ResetQuery = ResetQuery()
        self._wants_all = False
        self._response: Response | None = None
        self._notified_serial: int | None = None
        self._asked_at = 0.0
        self._deadline: float | None = None
        self._response_deadline: float | None = None

    @property
    def version(self) -> Version | None:
        """The version agreed on this connection, None before that."""
        negotiation = self._negotiation
        return negotiation.version if negotiation.is_agreed and self.phase is not Phase.CLOSED else None

    @property
    def response_bytes(self) -> int:
        """How many octets of payload have come of the response that is under way."""
        return 0 if self._response is None else self._response.size

    @property
    def deadline(self) -> float | None:
        """When `timer` is to be called, if nothing else happens before; None while there is no connection."""
        if self.phase is Phase.CLOSED:
            return None
        other = self._negotiation.climb_at if self.phase is Phase.WAITING else self._response_deadline
        return min((moment for moment in (self._deadline, other) if moment is not None), default=None)

    # The connection

    def opened(self, now: float) -> list[RouterAction]:
        """A connection is open: ask."""
        self._negotiation.opened()
        self._told_session_id = None
        self._has_heard = False
        return self._ask(now)

    def failed(self, reason: str, now: float) -> None:
        """No connection could be opened."""
        self._lose(reason, now)

    def closed(self, reason: str, now: float) -> None:
        """The connection has ended, and not by a `Close`."""
        if self.phase is Phase.CLOSED:
            return
        negotiation = self._negotiation
        was_silent = self.phase is Phase.ASKING and not self._has_heard
        is_known_to_speak_it = self.held is not None and self.held.version is negotiation.version
        self._end()
        if was_silent and not is_known_to_speak_it and negotiation.version > negotiation.lowest:
            negotiation.step_down(Version(negotiation.version - 1), is_guessed=True)
            self.connect_at = now
        elif negotiation.is_refused:  # 8210bis §7 leaves it to the cache; the lower version gets its own connection
            self.connect_at = now
        else:
            self._lose(reason, now)

    def receive(self, data: bytes, now: float) -> list[RouterAction]:
        """Take octets from the cache, in any pieces."""
        if self.phase is Phase.CLOSED:
            return []
        self._buffer += data
        if self.phase is not Phase.WAITING:
            self._deadline = now + SILENCE_S
        return self._advance(now)

    def timer(self, now: float) -> list[RouterAction]:
        """The deadline may have passed."""
        if self.deadline is None or now < self.deadline:
            return []
        if self.phase is not Phase.WAITING:
            if self._negotiation.is_refused:  # the cache keeps the connection, but does not go on with it
                return [self._reconnect("no answer on a connection that was refused", now)]
            return [self._drop(f"no answer within {SILENCE_S:.0f} s, or no end of it within {RESPONSE_S:.0f} s", now)]
        climb_at = self._negotiation.climb_at
        if climb_at is not None and now >= climb_at:
            return [self._reconnect("to try a higher version again", now)]
        return self._ask(now)

    # What is asked

    def _ask(self, now: float) -> list[RouterAction]:
        if self.held is not None and now >= self.held.expires_at:
            self.held = None
        held, version = self.held, self._negotiation.version
        if held is None or held.version is not version or self._wants_all:
            self._query = ResetQuery()
        else:
            self._query = SerialQuery(held.state.session_id, held.state.serial)
        self.phase = Phase.ASKING
        self._notified_serial = None
        self._reports = 0
        self._asked_at = now
        self._deadline, self._response_deadline = now + SILENCE_S, now + RESPONSE_S
        return [Send(encode(version, self._query))]

    def _wait(self, pause_s: float, now: float) -> None:
        """Stay connected and ask again after so long."""
        self.phase = Phase.WAITING
        self._deadline, self._response_deadline = now + self._bounded(pause_s), None

    def _bounded(self, pause_s: float) -> float:
        return max(self._floor_s, min(pause_s, self._ceiling_s))

    # What is heard

    def _advance(self, now: float) -> list[RouterAction]:
        actions: list[RouterAction] = []
        at = 0
        try:
            while self.phase is not Phase.CLOSED:
                if self._response is not None:
                    at = self._response.consume(self._buffer, at)
                pdu = self._next(at)
                if pdu is None:
                    break
                at += len(pdu)
                actions += self._received(pdu, now)
        except ProtocolError as error:
            actions += self._fault(error, now)
        del self._buffer[:at]
        return actions

    def _next(self, at: int) -> bytes | None:
        """The next PDU, or None while it is incomplete.

        Raises:
            ProtocolError: Corrupt Data for a length that is known to be wrong before the rest is there.
        """
        if len(self._buffer) - at < HEADER_BYTES:
            return None
        version, kind, length = _HEADER.unpack_from(self._buffer, at)
        low, high = HEADER_BYTES, MAX_PDU_BYTES
        if version == self._negotiation.version and kind in PDU_TYPES[self._negotiation.version]:
            if kind == PduType.END_OF_DATA:
                low = high = _END_OF_DATA_BYTES[self._negotiation.version]
            elif kind in _CACHE_BYTES:
                low = high = _CACHE_BYTES[kind]
        if not low <= length <= high:
            text = f"PDU of type {kind} with length field {length}: expected {low}..{high}"
            raise ProtocolError(ErrorCode.CORRUPT_DATA, text, bytes(self._buffer[at : at + HEADER_BYTES]))
        if len(self._buffer) - at < length:
            return None
        return bytes(self._buffer[at : at + length])

    def _received(self, pdu: bytes, now: float) -> list[RouterAction]:
        version, kind = pdu[:2]
        self._has_heard = True
        if not self._negotiation.is_agreed:
            if kind == PduType.SERIAL_NOTIFY:
                return []  # 8210bis §7: its version is guessed as long as none is agreed
            if self._negotiation.lowest <= version < self._negotiation.version:
                return self._answered_lower(Version(version), pdu, now)
        if kind == PduType.ERROR_REPORT:
            return self._reported(pdu, now)
        if version != self._negotiation.version:
            text = f"version {version} where version {self._negotiation.version} was asked for"
            raise ProtocolError(ErrorCode.UNEXPECTED_PROTOCOL_VERSION, text, pdu)
        if kind not in PDU_TYPES[self._negotiation.version]:
            text = f"PDU type {kind} does not exist in version {version}"
            raise ProtocolError(ErrorCode.UNSUPPORTED_PDU_TYPE, text, pdu)
        if kind in PAYLOAD_BYTES:
            raise ProtocolError(ErrorCode.CORRUPT_DATA, f"{PduType(kind).name} outside a response", pdu)
        _, value = decode(pdu)
        match self.phase, value:
            case Phase.ASKING, CacheResponse(session_id):
                return self._begin(session_id, pdu, now)
            case Phase.ASKING, CacheReset() if isinstance(self._query, SerialQuery):
                self._negotiation.agree(now)
                self._wants_all = True
                return [Note("cache reset received", {"serial": self._query.serial}), *self._ask(now)]
            case Phase.RECEIVING, EndOfData():
                assert isinstance(value, EndOfData)
                return self._finish(value, pdu, now)
            case _, SerialNotify(session_id, serial):
                return self._notified(session_id, serial, pdu, now)
            case _:
                text = f"{PduType(kind).name} in phase {self.phase.name}, after a {type(self._query).__name__}"
                raise ProtocolError(ErrorCode.CORRUPT_DATA, text, pdu)

    def _begin(self, session_id: int, pdu: bytes, now: float) -> list[RouterAction]:
        if isinstance(self._query, SerialQuery) and session_id != self._query.session_id:
            text = f"session id {session_id} in answer to session id {self._query.session_id}"
            raise ProtocolError(ErrorCode.CORRUPT_DATA, text, pdu)
        self._negotiation.agree(now)
        self._told_session_id = session_id
        self._response = Response(self._negotiation.version)
        self.phase = Phase.RECEIVING
        return []

    def _finish(self, end: EndOfData, pdu: bytes, now: float) -> list[RouterAction]:
        assert self._response is not None
        if end.session_id != self._told_session_id:
            text = f"session id {end.session_id} ends the response of session id {self._told_session_id}"
            raise ProtocolError(ErrorCode.CORRUPT_DATA, text, pdu)
        held, query, state = self.held, self._query, State(end.session_id, end.serial)
        is_full = isinstance(query, ResetQuery)
        outcome = self._response.apply(None if is_full or held is None else held.table)
        if isinstance(query, SerialQuery):
            is_same = state.serial == query.serial
            if not is_same and not is_newer(state.serial, query.serial):
                text = f"serial {state.serial} does not follow {query.serial}"
                raise ProtocolError(ErrorCode.CORRUPT_DATA, text, pdu)
            if is_same and len(outcome.delta):
                text = f"{len(outcome.delta)} changes from serial {state.serial} to itself"
                raise ProtocolError(ErrorCode.CORRUPT_DATA, text, pdu)
        timing = Timing() if end.timing is None else _within_ranges(end.timing)
        table = outcome.table
        is_changed = held is None or (table != held.table if is_full else len(outcome.delta) > 0)
        if held is not None and not is_changed:
            table = held.table
        self.held = Held(self._negotiation.version, state, table, timing, now)
        self.trouble, self._timing = None, timing
        self._failures = 0
        self._wants_all = False
        self._response = None
        actions: list[RouterAction] = [Confirmed(self.held, is_changed)]
        if self._negotiation.version is Version.V2 and not outcome.is_ordered:
            actions.insert(0, Note("payload out of order", {"serial": state.serial}, is_warning=True))
        if end.timing not in (None, timing):
            fields = {"told": end.timing, "taken": timing}
            actions.insert(0, Note("intervals out of range", fields, is_warning=True))
        self._wait(timing.refresh, now)
        if self._notified_serial not in (None, state.serial):
            self._ask_soon(now)
        return actions

    def _notified(self, session_id: int, serial: int, pdu: bytes, now: float) -> list[RouterAction]:
        if self._told_session_id is None:
            return []  # before the first answer of this connection
        if session_id != self._told_session_id:
            text = f"Serial Notify of session id {session_id} on a connection of {self._told_session_id}"
            raise ProtocolError(ErrorCode.CORRUPT_DATA, text, pdu)
        if self.phase is not Phase.WAITING:
            self._notified_serial = serial  # the answer that is due may or may not be of that serial
        elif self.held is None or serial != self.held.state.serial:
            if now >= self._asked_at + NOTIFY_PAUSE_S:
                return self._ask(now)
            self._ask_soon(now)
        return []

    def _ask_soon(self, now: float) -> None:
        """Ask again as soon as the last query is long enough ago."""
        soon = max(now, self._asked_at + NOTIFY_PAUSE_S)
        self._deadline = soon if self._deadline is None else min(self._deadline, soon)

    # The version

    def _answered_lower(self, version: Version, pdu: bytes, now: float) -> list[RouterAction]:
        """The first answer is in a lower version: the cache has said what it speaks, by Error Report 4 or otherwise."""
        requested = self._negotiation.version
        self._negotiation.step_down(version, is_guessed=False)
        note = Note("version stepped down", {"requested": requested.name, "offered": version.name})
        if pdu[1] == PduType.ERROR_REPORT and _code(pdu) == ErrorCode.UNSUPPORTED_PROTOCOL_VERSION:
            # 8210bis §7: the cache may keep the connection for the next query; if it does not, there is another.
            return [note, *self._ask(now)]
        return [note, self._reconnect(f"the cache answers in version {version}", now)]

    def _reported(self, pdu: bytes, now: float) -> list[RouterAction]:
        """An Error Report from the cache. It is never answered (8210bis §5.8)."""
        try:
            version, report = decode(pdu)
        except ProtocolError as error:
            return [self._drop(f"malformed Error Report: {error.text}", now)]
        assert isinstance(report, ErrorReport)
        is_known = report.code <= HIGHEST_ERROR_CODE[version]
        name = ErrorCode(report.code).name if is_known else "unassigned"
        note = Note("error report received", {"code": report.code, "name": name, "text": report.text}, is_warning=True)
        self._reports += 1
        if version is self._negotiation.version and self._reports <= MAX_NON_FATAL_REPORTS:
            match report.code:
                case ErrorCode.NO_DATA_AVAILABLE if self.phase is Phase.ASKING:
                    self._negotiation.agree(now)
                    self.trouble = "the cache has no data yet"
                    self._wait(self._timing.retry, now)
                    return [note]
                case ErrorCode.UNSUPPORTED_PROTOCOL_VERSION if (
                    not self._negotiation.is_agreed and version > self._negotiation.lowest
                ):
                    # It names the very version that it refuses, as some caches do: the one below is worth an attempt.
                    self._negotiation.step_down(Version(version - 1), is_guessed=True)
                    return [note, *self._ask(now)]
                case ErrorCode.CACHE_RESTART if version is Version.V2:
                    return [note]  # 8210bis §8.5: it will be back, and what it said still holds
                case ErrorCode.CACHE_SHUTDOWN if version is Version.V2:
                    self.held = None  # 8210bis §8.6: and here it does not
                case _:
                    pass
        # What the cache could not answer is not to be asked again.
        self._wants_all |= self.phase in (Phase.ASKING, Phase.RECEIVING)
        return [note, self._drop(f"the cache reported error {report.code} ({name})", now)]

    # The end

    def _fault(self, error: ProtocolError, now: float) -> list[RouterAction]:
        """The cache breaks the protocol: report it, close, and ask for everything next time, a Retry Interval later."""
        fields = {"code": int(error.code), "name": error.code.name, "text": error.text}
        actions: list[RouterAction] = [Note("protocol error", fields, is_warning=True)]
        is_about_report = len(error.erroneous_pdu) > 1 and error.erroneous_pdu[1] == PduType.ERROR_REPORT
        if not is_about_report and error.code <= HIGHEST_ERROR_CODE[self._negotiation.version]:
            report = ErrorReport(error.code, error.erroneous_pdu, error.text)
            actions.append(Send(encode(self._negotiation.version, report)))
        self._wants_all = True
        close = self._drop(f"the cache broke the protocol: {error.text}", now)
        self.connect_at = now + self._bounded(self._timing.retry)
        return [*actions, close]

    def _reconnect(self, reason: str, now: float) -> Close:
        """Close without a fault, to go on with another connection at once."""
        self._end()
        self.connect_at = now
        return Close(reason)

    def _drop(self, reason: str, now: float) -> Close:
        self._end()
        self._lose(reason, now)
        return Close(reason)

    def _end(self) -> None:
        self.phase = Phase.CLOSED
        self._response = None
        self._buffer.clear()

    def _lose(self, reason: str, now: float) -> None:
        self._negotiation.give_up()
        pause_s = FIRST_PAUSE_S * 2 ** min(self._failures, 16)
        self._failures += 1
        self.trouble = reason
        self.connect_at = now + min(pause_s, self._bounded(self._timing.retry))


def _code(pdu: bytes) -> int:
    """The error code of an Error Report."""
    return int.from_bytes(pdu[2:4])


def _within_ranges(told: Timing) -> Timing:
    """The nearest intervals that RFC 8210 §6 allows; Expire stands, and the others stay below it."""
    refresh, retry, expire = (max(low, min(getattr(told, name), high)) for name, (low, high) in INTERVALS.items())
    return Timing(min(refresh, expire - 1), min(retry, expire - 1), expire)
