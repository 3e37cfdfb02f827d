"""Our side of one conversation with a router (RFC 6810 §6, RFC 8210 §8, 8210bis §8).

A `CacheSession` is given octets and the time, and returns actions. It decides everything that the protocol decides:
which version is spoken, what a query is answered with, when a Serial Notify may be sent, and how a fault ends.

    phase        leaves it by
    OPENING      a query of a version that is served -> READY
    READY        a query -> RESPONDING, or WAITING if the router is ahead of a cache that follows another
    WAITING      a publication that catches up, or the deadline -> READY; what arrives meanwhile waits its turn
    RESPONDING   `responded` -> READY; what arrives meanwhile waits its turn
    CLOSED       never
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType

from pyrtr.payload.serial import State, is_newer
from pyrtr.session.actions import Action, Close, Note, Parting, PayloadSource, Respond, Send
from pyrtr.wire.codec import decode, encode
from pyrtr.wire.enums import HIGHEST_ERROR_CODE, NON_FATAL_ERROR_CODES, PDU_TYPES, ErrorCode, PduType, Version
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.framer import HEADER_BYTES, MAX_PDU_BYTES, Framer, Header
from pyrtr.wire.image import EMPTY_IMAGE, SharedImage
from pyrtr.wire.pdu import (
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorReport,
    ResetQuery,
    SerialNotify,
    SerialQuery,
)

# 8210bis §8.2: "the cache MUST rate-limit Serial Notifies to no more frequently than one per minute".
NOTIFY_INTERVAL_S = 60.0
# 8210bis §9: a transport that is stalled for more than three Retry Intervals is given up.
STALL_RETRIES = 3
# Queries that may wait behind a response; with more, nothing is read until one has been answered.
MAX_PENDING = 8
# So many PDUs are worked off in one turn, so that one router that sends many delays no other.
MAX_PDUS_PER_TURN = 16
# Error Reports that do not end a session may be sent so often; nothing sensible sends more.
MAX_NON_FATAL_REPORTS = 4
# What is kept and logged of an Error Report's text, in characters. It may be 64 KiB long, and routers are thousands.
MAX_TEXT = 512
# 8210bis §7 invites a router that asked for too high a version to ask again; not for ever.
MAX_REFUSALS = 4
# How long a PDU may take from its first octet to its last. Octet by octet gains nothing.
PDU_TIMEOUT_S = 120.0
# How long a version may take to be agreed after the first octet, or after a refusal.
OPENING_TIMEOUT_S = 60.0
# How long a router may wait that holds a serial which the cache that we follow has told it, and not us yet. That takes
# a fraction of a second where the two hear each other, and routers give up on an answer after tens of seconds.
CATCH_UP_S = 10.0

# What a router may send besides an Error Report, and how long it is: known as soon as the header is there.
QUERY_BYTES: Mapping[int, int] = MappingProxyType({PduType.SERIAL_QUERY: 12, PduType.RESET_QUERY: HEADER_BYTES})

_NOTHING = SharedImage(lambda: EMPTY_IMAGE)


class Phase(Enum):
    """Where the conversation stands."""

    OPENING = auto()
    READY = auto()
    WAITING = auto()
    RESPONDING = auto()
    CLOSED = auto()


class CacheSession:
    """One conversation. Times are seconds of any clock that never goes back.

    Attributes:
        phase: where the conversation stands.
        version: the negotiated version, None before that.
        held: the state of the last End of Data that was sent; None before the first.
        reset_queries, serial_queries: how many were received.
        full_responses, delta_responses, cache_resets, notifies: how many were sent, or begun.
        errors_sent, errors_received: Error Reports by code.
        error_received: the last Error Report that the router sent, its text cut to `MAX_TEXT`, without the copy.
        parting: why it ended; None while nobody on our side decided that.
        has_more: whether more was received than one turn works off: `proceed` is to be called in another.
    """

    def __init__(self, lowest: Version, highest: Version) -> None:
        self.phase = Phase.OPENING
        self.version: Version | None = None
        self.held: State | None = None
        self.reset_queries = 0
        self.serial_queries = 0
        self.full_responses = 0
        self.delta_responses = 0
        self.cache_resets = 0
        self.notifies = 0
        self.errors_sent: Counter[int] = Counter()
        self.errors_received: Counter[int] = Counter()
        self.error_received: ErrorReport | None = None
        self.parting: Parting | None = None
        self._lowest = lowest
        self._highest = highest
        self._framer = Framer()
        self._pending: deque[SerialQuery | ResetQuery | ProtocolError] = deque()
        self._refusals = 0
        self._told_session_id: int | None = None
        self._responding_with: State | None = None
        self._notified: State | None = None
        self._notify_allowed_at = 0.0
        self._farewell: ErrorCode | None = None
        self._leave_reason: str | None = None  # set once the cache is going away
        self._deadline: float | None = None
        self._blocked_until: float | None = None
        self._response_due_at = 0.0
        self._pdu_due_at: float | None = None  # set while one has begun that is not there whole
        self.has_more = False

    @property
    def wants_input(self) -> bool:
        """Whether the connection should go on reading."""
        return self._has_room and not self.has_more

    @property
    def _has_room(self) -> bool:
        return len(self._pending) < MAX_PENDING and not self._has_failed and self.phase is not Phase.CLOSED

    @property
    def _has_failed(self) -> bool:
        """Whether a fault waits to be reported: nothing that comes after it counts."""
        return bool(self._pending) and isinstance(self._pending[-1], ProtocolError)

    @property
    def deadline(self) -> float | None:
        """When `timer` is to be called, if nothing else happens before."""
        deadlines = (self._deadline, self._blocked_until, self._pdu_due_at)
        return min((moment for moment in deadlines if moment is not None), default=None)

    def receive(self, data: bytes, source: PayloadSource, now: float) -> list[Action]:
        """Take octets from the router, in any pieces."""
        if self.phase is Phase.CLOSED:
            return []
        self._framer.feed(data)
        return self.proceed(source, now)

    def proceed(self, source: PayloadSource, now: float) -> list[Action]:
        """Go on with what was received."""
        actions = self._advance(source, now)
        if self.phase is Phase.OPENING and len(self._framer) and self._deadline is None:
            self._deadline = now + OPENING_TIMEOUT_S
        return actions

    def responded(self, source: PayloadSource, now: float) -> list[Action]:
        """The last response has been handed over to the transport, to its last octet."""
        if self.phase is not Phase.RESPONDING:
            return []
        self.phase = Phase.READY
        self.held, self._responding_with = self._responding_with, None
        self._deadline = None
        return self._advance(source, now) + self._notify(source, now)

    def blocked(self, source: PayloadSource, now: float) -> None:
        """The transport holds octets that the router does not take at once."""
        if self.phase is not Phase.CLOSED:
            self._blocked_until = now + STALL_RETRIES * source.timing.retry

    def progressed(self, source: PayloadSource, now: float) -> None:
        """The router has taken what the transport held: it is not stalled, and has time until the answer is old."""
        self._blocked_until = None
        if self.phase is Phase.RESPONDING:
            self._deadline = min(now + STALL_RETRIES * source.timing.retry, self._response_due_at)

    def notify(self, source: PayloadSource, now: float) -> list[Action]:
        """There may be something new: answer a query that waits for it, or say so if the router is due that."""
        answers = self._advance(source, now) if self.phase is Phase.WAITING else []
        return answers + self._notify(source, now)

    def _notify(self, source: PayloadSource, now: float) -> list[Action]:
        """Send a Serial Notify if the router is due one (8210bis §5.2, §8.2).

        Never before the first End of Data, so never in a version that is only guessed; never within a response; not
        more than one a minute; and not for a serial that the router has been told.
        """
        if self.phase is not Phase.READY or self.version is None or self.held is None:
            return []
        self._deadline = None
        if not source.is_session(self.version, self.held.session_id):
            # Its serials mean nothing any more, and the new one may be equal to what it holds.
            return [self._closed("the session that the router was told is over", Parting.SESSION_OVER)]
        # 8210bis §5.2: a Notify names the session that this connection was told.
        state = replace(source.state(self.version), session_id=self.held.session_id)
        if state in (self.held, self._notified) or not source.is_news(self.version, self.held.serial):
            return []
        if now < self._notify_allowed_at:
            self._deadline = self._notify_allowed_at
            return []
        self._notified = state
        self._notify_allowed_at = now + NOTIFY_INTERVAL_S
        self.notifies += 1
        return [Send(encode(self.version, SerialNotify(state.session_id, state.serial)))]

    def timer(self, source: PayloadSource, now: float) -> list[Action]:
        """The deadline may have passed."""
        if self._blocked_until is not None and now >= self._blocked_until:
            # Code 10 would have to wait behind what the router does not read: it could never arrive.
            return [self._closed(f"no octet taken for {STALL_RETRIES} retry intervals", Parting.STALLED, abort=True)]
        if self._pdu_due_at is not None and now >= self._pdu_due_at:
            text = f"a PDU has begun that is not complete after {PDU_TIMEOUT_S:.0f} s"
            return self._report(ProtocolError(ErrorCode.TRANSPORT_FAILURE, text))
        if self._deadline is None or now < self._deadline:
            return []
        match self.phase:
            case Phase.READY:
                return self._notify(source, now)
            case Phase.WAITING:
                return self._advance(source, now) + self._notify(source, now)
            case Phase.RESPONDING:
                if now >= self._response_due_at:
                    text = "an answer not taken within the expire interval"
                else:
                    text = f"no octet taken for {STALL_RETRIES} retry intervals"
                return [self._closed(text, Parting.STALLED, abort=True)]
            case Phase.OPENING:
                text = f"no query of a version that is served within {OPENING_TIMEOUT_S:.0f} s"
                return [self._closed(text, Parting.SILENT)]
            case Phase.CLOSED:
                return []

    def leave(self, farewell: ErrorCode | None, reason: str = "the cache is stopping") -> list[Action]:
        """The cache is going away: say so to a version 2 router (8210bis §8.5, §8.6) and close.

        Args:
            farewell: Cache Restart, Cache Shutdown, or None to say nothing.
            reason: why, in words.
        """
        self._farewell, self._leave_reason = farewell, reason
        self._pending.clear()
        if self.phase in (Phase.OPENING, Phase.READY, Phase.WAITING):
            return self._take_leave()
        return []

    def fail(self, error: ProtocolError) -> list[Action]:
        """Report a fault of our own, code 1, in the place of a response of which nothing was sent, and close."""
        return [] if self.phase is Phase.CLOSED else self._report(error)

    def _advance(self, source: PayloadSource, now: float) -> list[Action]:
        """Do whatever can be done now: answer what waits, then read on."""
        actions: list[Action] = []
        self.has_more = is_partial = False
        taken = 0
        while self.phase is not Phase.CLOSED:
            if self.phase is not Phase.RESPONDING and self._leave_reason is not None:
                actions += self._take_leave()
                continue
            if self.phase is not Phase.RESPONDING and self._pending and not self._waits(source, now):
                actions += self._answer(self._pending.popleft(), source, now)
                continue
            if not self._has_room:
                break
            if taken == MAX_PDUS_PER_TURN:
                self.has_more = True
                break
            try:
                header = self._framer.header()
                if header is None:
                    is_partial = len(self._framer) > 0
                    break
                self._check_header(header)
                pdu = self._framer.take(header.length)
                if pdu is None:
                    is_partial = True
                    break
                taken += 1
                actions += self._received(header, pdu, now)
            except ProtocolError as error:
                self._pending.append(error)
        # Not while we respond: a close would cut the response, and the router can't gain by it.
        if self.phase is not Phase.READY or not is_partial:
            self._pdu_due_at = None
        elif taken or self._pdu_due_at is None:
            self._pdu_due_at = now + PDU_TIMEOUT_S
        return actions

    def _waits(self, source: PayloadSource, now: float) -> bool:
        """Whether the first query is of a router that is ahead of us, and we may have what it holds any moment."""
        query = self._pending[0]
        is_ahead = (
            self.version is not None
            and isinstance(query, SerialQuery)
            and source.may_catch_up
            and source.is_session(self.version, query.session_id)
            and is_newer(query.serial, source.state(self.version).serial)
        )
        if self.phase is not Phase.WAITING:
            if is_ahead:
                self.phase, self._deadline = Phase.WAITING, now + CATCH_UP_S
            return is_ahead
        assert self._deadline is not None
        if is_ahead and now < self._deadline:
            return True
        self.phase, self._deadline = Phase.READY, None
        return False

    def _check_header(self, header: Header) -> None:
        """Refuse what no further octet can mend.

        Raises:
            ProtocolError: Corrupt Data.
        """
        # The length is checked before it is waited for: 8210bis §5.1 allows 65535, and a header takes 8.
        if not HEADER_BYTES <= header.length <= MAX_PDU_BYTES:
            text = f"length field {header.length}: expected {HEADER_BYTES}..{MAX_PDU_BYTES}"
            raise ProtocolError(ErrorCode.CORRUPT_DATA, text, self._framer.peek(HEADER_BYTES))
        if header.version == self.version or (self.version is None and self._is_served(header.version)):
            expected = QUERY_BYTES.get(header.type)
            if expected is not None and header.length != expected:
                text = f"{PduType(header.type).name} with length field {header.length}: expected {expected}"
                raise ProtocolError(ErrorCode.CORRUPT_DATA, text, self._framer.peek(HEADER_BYTES))

    def _received(self, header: Header, pdu: bytes, now: float) -> list[Action]:
        is_report = header.type == PduType.ERROR_REPORT
        if self.version is None:
            if is_report:  # 8210bis §7: no answer to an Error Report, whatever its version
                return [self._closed("Error Report before any query", Parting.ROUTER_ERROR)]
            if not self._is_served(header.version):
                return self._refuse(header, pdu, now)
        elif header.version != self.version:
            if is_report:
                return [self._dropped("Error Report of another version")]
            text = f"version {header.version} on a connection of version {self.version}"
            raise ProtocolError(ErrorCode.UNEXPECTED_PROTOCOL_VERSION, text, pdu)
        version = Version(header.version)
        if is_report:
            return self._heard(version, pdu)
        if header.type not in PDU_TYPES[version]:
            text = f"PDU type {header.type} does not exist in version {version}"
            raise ProtocolError(ErrorCode.UNSUPPORTED_PDU_TYPE, text, pdu)
        if header.type not in QUERY_BYTES:
            text = f"{PduType(header.type).name} is for caches to send"
            raise ProtocolError(ErrorCode.INVALID_REQUEST, text, pdu)
        _, query = decode(pdu)
        assert isinstance(query, SerialQuery | ResetQuery)
        self._pending.append(query)
        if self.version is None:
            self.version = version
            self.phase = Phase.READY
            self._deadline = None
            return [Note("version agreed", {"version": version.name})]
        return []

    def _is_served(self, version: int) -> bool:
        return self._lowest <= version <= self._highest

    def _refuse(self, header: Header, pdu: bytes, now: float) -> list[Action]:
        """8210bis §7: Error Report 4 of our highest version; a router that asked for more may then ask for that."""
        text = f"version {header.version} is not served: expected {self._lowest}..{self._highest}"
        report = ErrorReport(ErrorCode.UNSUPPORTED_PROTOCOL_VERSION, pdu, text)
        self.errors_sent[report.code] += 1
        actions: list[Action] = [
            Note("version refused", {"requested": header.version, "offered": self._highest.name}),
            Send(encode(self._highest, report)),
        ]
        self._refusals += 1
        if header.version < self._lowest or self._refusals == MAX_REFUSALS:
            return [*actions, self._closed(text, Parting.VERSION_REFUSED)]
        self._deadline = now + OPENING_TIMEOUT_S
        return actions

    def _heard(self, version: Version, pdu: bytes) -> list[Action]:
        """An Error Report from the router. It is never answered (8210bis §5.8)."""
        try:
            _, report = decode(pdu)
        except ProtocolError as error:
            return [self._dropped(f"malformed Error Report: {error.text}")]
        assert isinstance(report, ErrorReport)
        report = ErrorReport(report.code, b"", report.text[:MAX_TEXT])
        self.error_received = report
        self.errors_received[report.code] += 1
        is_known = report.code <= HIGHEST_ERROR_CODE[version]
        name = ErrorCode(report.code).name if is_known else "unassigned"
        note = Note("error report received", {"code": report.code, "name": name, "text": report.text}, is_warning=True)
        is_bearable = self.errors_received.total() <= MAX_NON_FATAL_REPORTS
        if is_known and is_bearable and report.code in NON_FATAL_ERROR_CODES[version]:
            return [note]
        return [note, self._dropped(f"the router reported error {report.code}")]

    def _answer(
        self, request: SerialQuery | ResetQuery | ProtocolError, source: PayloadSource, now: float
    ) -> list[Action]:
        if isinstance(request, ProtocolError):
            return self._report(request)
        assert self.version is not None
        if isinstance(request, ResetQuery):
            self.reset_queries += 1
        else:
            self.serial_queries += 1
            # 8210bis §5.3: another session than the one this connection was told is an error; on a fresh connection
            # it is merely unknown, and the router may go on using what it has until it has the whole table.
            if self._told_session_id not in (None, request.session_id):
                text = f"session id {request.session_id} where this connection was told {self._told_session_id}"
                return self._report(ProtocolError(ErrorCode.CORRUPT_DATA, text, encode(self.version, request)))
        if not source.is_ready:
            report = ErrorReport(ErrorCode.NO_DATA_AVAILABLE, b"", "no data yet, try later")
            return [Note("no data available", {}), Send(self._encoded_error(report))]
        state = source.state(self.version)
        if isinstance(request, ResetQuery):
            self.full_responses += 1
            return self._respond(source.snapshot(self.version), state, source, now, is_full=True)
        if source.is_session(self.version, request.session_id):
            state = replace(state, session_id=request.session_id)
            is_current = request.serial == state.serial
            delta = _NOTHING if is_current else source.delta(self.version, request.serial)
            if delta is not None:
                self.delta_responses += 1
                return self._respond(delta, state, source, now, is_full=False)
        self.cache_resets += 1
        fields = {"session_id": request.session_id, "serial": request.serial, "current": state}
        return [Note("cache reset", fields), Send(encode(self.version, CacheReset()))]

    def _respond(
        self, image: SharedImage, state: State, source: PayloadSource, now: float, *, is_full: bool
    ) -> list[Action]:
        assert self.version is not None
        self.phase = Phase.RESPONDING
        self._responding_with = state
        self._told_session_id = state.session_id
        # Later it is of no use to the router (8210bis §6), and as long as it is sent it is in memory.
        self._response_due_at = now + source.timing.expire
        self.progressed(source, now)
        timing = None if self.version is Version.V0 else source.timing
        head = encode(self.version, CacheResponse(state.session_id))
        tail = encode(self.version, EndOfData(state.session_id, state.serial, timing))
        return [Respond(head, image, tail, is_full)]

    def _report(self, error: ProtocolError) -> list[Action]:
        """Send an Error Report and close; unless the error lies in an Error Report, or the version has no such code."""
        fields = {"code": int(error.code), "name": error.code.name, "text": error.text}
        actions: list[Action] = [Note("protocol error", fields, is_warning=True)]
        is_about_report = len(error.erroneous_pdu) > 1 and error.erroneous_pdu[1] == PduType.ERROR_REPORT
        if not is_about_report and error.code <= HIGHEST_ERROR_CODE[self._report_version(error.erroneous_pdu)]:
            report = ErrorReport(error.code, error.erroneous_pdu, error.text)
            actions.append(Send(self._encoded_error(report)))
        is_ours = error.code is ErrorCode.INTERNAL_ERROR
        return [*actions, self._closed(error.text, Parting.INTERNAL_ERROR if is_ours else Parting.PROTOCOL_ERROR)]

    def _report_version(self, erroneous_pdu: bytes) -> Version:
        """The negotiated version; before that the router's own where it is served, else our highest."""
        if self.version is not None:
            return self.version
        if erroneous_pdu and self._is_served(erroneous_pdu[0]):
            return Version(erroneous_pdu[0])
        return self._highest

    def _encoded_error(self, report: ErrorReport) -> bytes:
        self.errors_sent[report.code] += 1
        return encode(self._report_version(report.erroneous_pdu), report)

    def _take_leave(self) -> list[Action]:
        assert self._leave_reason is not None
        actions: list[Action] = []
        if self.version is Version.V2 and self._farewell is not None:
            actions.append(Send(self._encoded_error(ErrorReport(self._farewell, b"", self._leave_reason))))
        return [*actions, self._closed(self._leave_reason, Parting.STOPPING)]

    def _dropped(self, reason: str) -> Close:
        """The router has ended the session: in mid-response there is nobody any more to take the rest."""
        return self._closed(reason, Parting.ROUTER_ERROR, abort=self.phase is Phase.RESPONDING)

    def _closed(self, reason: str, parting: Parting, *, abort: bool = False) -> Close:
        self.phase, self.parting = Phase.CLOSED, parting
        self._deadline = self._blocked_until = self._pdu_due_at = None
        self.has_more = False
        self._pending.clear()
        self._framer.clear()
        return Close(reason, abort)
