"""A strict router's side of one conversation: octets and the time in, events and complaints out. No socket.

It holds what it was sent as plain sets, remembers every state it ever held, and complains of whatever a router may
refuse: a PDU out of place, a duplicate, an unknown withdrawal, a broken order, one state with two payload sets.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Collection, Set
from dataclasses import dataclass, field

from tests.model_pdus import (
    CACHE_RESET,
    CACHE_RESPONSE,
    END_OF_DATA,
    ERROR_REPORT,
    HEADER_BYTES,
    RESET_QUERY,
    SERIAL_NOTIFY,
    SERIAL_QUERY,
    Payload,
    Pdu,
    parse,
    pdu_length,
    require,
)

NOTIFY_GAP_S = 60.0
NO_DATA, UNSUPPORTED_VERSION, UNEXPECTED_VERSION = 2, 4, 8
UNSOLICITED_CODES = {10, 12, 13}  # 8210bis §8.5, §8.6, §9

Key = tuple[int, int, int]  # version, session id, serial: what names a payload set


def reset_query(version: int, reserved: int = 0) -> bytes:
    return struct.pack("!BBHI", version, RESET_QUERY, reserved, 8)


def serial_query(version: int, session_id: int, serial: int) -> bytes:
    return struct.pack("!BBHII", version, SERIAL_QUERY, session_id, 12, serial % 2**32)


def error_report(version: int, code: int, copy: bytes = b"", text: bytes = b"") -> bytes:
    head = struct.pack("!BBHI", version, ERROR_REPORT, code, 16 + len(copy) + len(text))
    return head + struct.pack("!I", len(copy)) + copy + struct.pack("!I", len(text)) + text


@dataclass(frozen=True)
class Query:
    """A query that waits for its answer."""

    version: int
    type: int
    session_id: int = 0
    serial: int = 0


@dataclass(frozen=True)
class Sync:
    """A response that has ended well.

    Attributes:
        is_full: whether it answers a Reset Query.
        pdus: its payload PDUs in the order in which they came.
        payload: what the router holds by it; None where it does not know what it started from.
    """

    is_full: bool
    session_id: int
    serial: int
    timing: tuple[int, int, int] | None
    pdus: tuple[Pdu, ...]
    payload: Set[Payload] | None

    @property
    def announced(self) -> list[Payload]:
        return [pdu.payload for pdu in self.pdus if pdu.announce]

    @property
    def withdrawn(self) -> list[Payload]:
        return [pdu.payload for pdu in self.pdus if not pdu.announce]


Event = Sync | Pdu


def identity(payload: Payload) -> Payload:
    """What makes a payload the same: all of a VRP or router key, the customer of an ASPA."""
    return payload[:2] if payload[0] == "aspa" else payload


@dataclass
class Response:
    """A response that is coming in."""

    query: Query
    session_id: int
    base: dict[Payload, Payload] | None
    pdus: list[Pdu] = field(default_factory=list)
    seen: set[Payload] = field(default_factory=set)

    def add(self, pdu: Pdu) -> None:
        """Take one payload PDU."""
        require(not self.pdus or self.pdus[-1].order < pdu.order, "§11.2: %s after %s", pdu.payload, self.pdus[-1:])
        key = identity(pdu.payload)
        require(key not in self.seen, "§5.3: %s twice in a response", pdu.payload)
        is_delta = self.query.type == SERIAL_QUERY
        require(pdu.announce or is_delta, "§5.5: %s withdrawn in a reset answer", pdu.payload)
        if self.base is not None and pdu.announce:
            require(self.base.get(key) != pdu.payload, "§12 code 7: %s announced again", pdu.payload)
        elif self.base is not None:
            require(key in self.base, "§12 code 6: %s withdrawn unknown", pdu.payload)
        self.seen.add(key)
        self.pdus.append(pdu)

    def finish(self, end: Pdu) -> Sync:
        """Check End of Data and put together what is held now."""
        require(end.session_id == self.session_id, f"§5.7: session {end.session_id} ends that of {self.session_id}")
        is_full = self.query.type == RESET_QUERY
        steps = (end.serial - self.query.serial) % 2**32
        require(is_full or steps < 2**31, f"§4: serial {end.serial} is older than {self.query.serial}")
        require(is_full or steps or not self.pdus, f"§5.3: payload, but no step from serial {end.serial}")
        payload = None
        if self.base is not None:
            held = dict(self.base)
            for pdu in self.pdus:
                held.pop(identity(pdu.payload), None)
                if pdu.announce:
                    held[identity(pdu.payload)] = pdu.payload
            payload = frozenset(held.values())
        return Sync(is_full, end.session_id, end.serial, end.timing, tuple(self.pdus), payload)


class RouterCore:
    """One router. What it holds outlives its connections: `reconnected` starts a new one.

    Attributes:
        version: what it speaks; `speak` lowers it after a refusal.
        payload, session_id, serial, timing: of the last End of Data; the session id is None before the first.
        full_syncs, incremental_syncs, cache_resets, notifies: how many came in.
        reports: the Error Reports of this connection.
    """

    def __init__(self, version: int, cache_versions: Collection[int] = (0, 1, 2)) -> None:
        self.version = version
        self.payload: Set[Payload] = frozenset()
        self.session_id: int | None = None
        self.serial = 0
        self.timing: tuple[int, int, int] | None = None
        self.full_syncs = self.incremental_syncs = self.cache_resets = self.notifies = 0
        self._cache_versions = cache_versions
        self._known: dict[Key, Set[Payload]] = {}
        self.reconnected()

    def reconnected(self) -> None:
        """A new connection: what is held stays, the conversation starts again."""
        self.reports: list[Pdu] = []
        self._buffer = bytearray()
        self._sent = bytearray()
        self._sent_end = 0
        self._asked: deque[Query] = deque()
        self._response: Response | None = None
        self._is_agreed = self._has_provoked = self._has_ended = False
        self._told_session_id: int | None = None
        self._notified_at: float | None = None

    def speak(self, version: int) -> None:
        """Ask in another version from now on, of which nothing is held."""
        self.version, self.session_id = version, None

    @property
    def awaits_answer(self) -> bool:
        return bool(self._asked) or self._response is not None

    def query(self) -> bytes:
        """What a router asks: for the changes where it holds something, else for everything."""
        if self.session_id is None:
            return reset_query(self.version)
        return serial_query(self.version, self.session_id, self.serial)

    def send(self, data: bytes) -> bytes:
        """Note what is sent, in any pieces, so that the answers can be judged."""
        self._sent += data
        while len(self._sent) - self._sent_end >= HEADER_BYTES:
            version, kind, session_id, length = struct.unpack_from("!BBHI", self._sent, self._sent_end)
            if (kind, length) not in ((SERIAL_QUERY, 12), (RESET_QUERY, 8)) or version != self.version:
                self._has_provoked = True  # no answer but an Error Report is due for it
            elif len(self._sent) - self._sent_end >= length:
                serial = int.from_bytes(self._sent[self._sent_end + 8 : self._sent_end + length])
                self._asked.append(Query(version, kind, session_id, serial))
            if not HEADER_BYTES <= length <= len(self._sent) - self._sent_end:
                break
            self._sent_end += length
        return data

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take octets of the cache."""
        require(not self._has_ended or not data, f"§12: {data[:32].hex()} after a fatal Error Report")
        self._buffer += data
        events = []
        start = 0
        while len(self._buffer) - start >= HEADER_BYTES:
            length = pdu_length(bytes(self._buffer[start : start + HEADER_BYTES]))
            if len(self._buffer) - start < length:
                break
            event = self._take(parse(bytes(self._buffer[start : start + length])), now)
            start += length
            if event is not None:
                events.append(event)
            require(not self._has_ended or start == len(self._buffer), "§12: more after a fatal Error Report")
        del self._buffer[:start]
        return events

    def closed(self) -> None:
        """The cache has closed the connection in an orderly way."""
        require(not self._buffer, f"§5.1: closed within a PDU: {bytes(self._buffer[:32]).hex()}")
        require(self._response is None or self._has_ended, "§12: closed within a response, without an Error Report")

    def _take(self, pdu: Pdu, now: float) -> Event | None:
        if pdu.type == ERROR_REPORT:
            return self._report(pdu)
        require(pdu.version == self.version, "§7: %s of version %s, not %s", pdu.name, pdu.version, self.version)
        if pdu.type == SERIAL_NOTIFY:
            return self._notify(pdu, now)
        if pdu.payload:
            require(self._response, "§8.1: %s outside a response", pdu.payload)
            assert self._response is not None
            self._response.add(pdu)
            return None
        if pdu.type == END_OF_DATA:
            return self._end_of_data(pdu)
        require(self._response is None, f"§8.1: {pdu.name} within a response")
        require(self._asked, f"§5.2: {pdu.name} without a query")
        query = self._asked.popleft()
        self._is_agreed = True
        if pdu.type == CACHE_RESPONSE:
            self._response = self._begin(query, pdu)
            return None
        assert pdu.type == CACHE_RESET
        require(query.type == SERIAL_QUERY, "§5.6: Cache Reset in answer to a Reset Query")
        self.cache_resets += 1
        return pdu

    def _begin(self, query: Query, pdu: Pdu) -> Response:
        if query.type == RESET_QUERY:
            return Response(query, pdu.session_id, {})
        require(pdu.session_id == query.session_id, f"§5.3: session {pdu.session_id} for that of {query.session_id}")
        base = self._known.get((self.version, query.session_id, query.serial))
        return Response(query, pdu.session_id, None if base is None else {identity(value): value for value in base})

    def _end_of_data(self, pdu: Pdu) -> Sync:
        require(self._response, "§5.7: End of Data outside a response")
        assert self._response is not None
        sync = self._response.finish(pdu)
        self._response = None
        self._told_session_id = sync.session_id
        if sync.is_full:
            self.full_syncs += 1
        else:
            self.incremental_syncs += 1
        if sync.payload is not None:
            state = (self.version, sync.session_id, sync.serial)
            require(self._known.setdefault(state, sync.payload) == sync.payload, f"§4: two payload sets at {state}")
            self.payload, self.session_id, self.serial = sync.payload, sync.session_id, sync.serial
            self.timing = sync.timing
        return sync

    def _notify(self, pdu: Pdu, now: float) -> Pdu:
        require(self._response is None, "§5.2: Serial Notify within a response")
        require(self._told_session_id is not None, "§7: Serial Notify before the first End of Data")
        require(pdu.session_id == self._told_session_id, f"§5.2: Serial Notify of session {pdu.session_id}")
        gap = None if self._notified_at is None else now - self._notified_at
        require(gap is None or gap >= NOTIFY_GAP_S, f"§8.2: {gap} s from one Serial Notify to the next")
        steps = (pdu.serial - self.serial) % 2**32
        require(0 < steps < 2**31, f"§5.2: Serial Notify {pdu.serial} is no news to a router that holds {self.serial}")
        self._notified_at = now
        self.notifies += 1
        return pdu

    def _report(self, pdu: Pdu) -> Pdu:
        what = f"Error Report {pdu.code} ({pdu.text})"
        asked = pdu.copy[0] if pdu.copy and not self._is_agreed else self.version
        own = asked if asked in self._cache_versions else max(self._cache_versions)
        require(pdu.version == own, f"§7: {what} in version {pdu.version}, not {own}")
        require(pdu.is_fatal or self._response is None, f"§5.5: {what} within a response")
        is_due = self._asked or self._has_provoked or self._response or pdu.code in UNSOLICITED_CODES
        require(is_due, f"§5.2: {what} unasked")
        require(pdu.copy in bytes(self._sent), f"§5.8: {what} copies what was not sent: {pdu.copy[:32].hex()}")
        if pdu.code == UNSUPPORTED_VERSION:
            require(not self._is_agreed, f"§7: {what} after a version was agreed")
            require(asked not in self._cache_versions, f"§7: {what} for a version that is served")
        if pdu.code == UNEXPECTED_VERSION:
            require(self._is_agreed, f"§7: {what} before a version was agreed")
        if pdu.code == NO_DATA:
            require(self._asked, f"§8.4: {what} without a query")
            self._is_agreed = True
        if pdu.code in (NO_DATA, UNSUPPORTED_VERSION) and self._asked and self._asked[0].version == asked:
            self._asked.popleft()
        self._has_ended = pdu.is_fatal and pdu.code != UNSUPPORTED_VERSION  # which invites to ask again, §7
        self.reports.append(pdu)
        return pdu
