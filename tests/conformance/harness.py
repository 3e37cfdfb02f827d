"""A `CacheSession` and a strict router back to back, without a socket: time stands still unless a test moves it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

from tests.model_core import Event, RouterCore, Sync, reset_query, serial_query
from tests.model_pdus import ASPA, CACHE_RESET, ERROR_REPORT, IPV4, IPV6, ROUTER_KEY, SERIAL_NOTIFY, Payload, Pdu

from pyrtr.payload.delta import compose, difference
from pyrtr.payload.history import History, Step
from pyrtr.payload.serial import State, next_serial
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import VRP, Aspa, RouterKey
from pyrtr.session.actions import Action, Close, Note, Respond, Send
from pyrtr.session.cache import CacheSession
from pyrtr.wire.enums import ErrorCode, Version
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.image import SharedImage, encode_delta, encode_snapshot, is_visible
from pyrtr.wire.pdu import Timing

Value = VRP | RouterKey | Aspa

ALL_VERSIONS = (0, 1, 2)
SESSION_IDS = {Version.V0: 0x1000, Version.V1: 0x2001, Version.V2: 0x3002}
FIRST_SERIAL = 4096
PAYLOAD_TYPES = {0: {IPV4, IPV6}, 1: {IPV4, IPV6, ROUTER_KEY}, 2: {IPV4, IPV6, ROUTER_KEY, ASPA}}


def vrp(prefix: str, asn: int = 64496, max_length: int | None = None) -> VRP:
    network = ip_network(prefix)
    return VRP(network, network.prefixlen if max_length is None else max_length, asn)


def key(ski: int = 1, asn: int = 64496, spki: bytes = b"\x30\x03\x02\x01\x05") -> RouterKey:
    return RouterKey(bytes([ski]) * 20, asn, spki)


def aspa(customer: int, *providers: int) -> Aspa:
    return Aspa(customer, providers)


SAMPLE = (
    vrp("192.0.2.0/24"),
    vrp("198.51.100.0/24", 64497, 26),
    vrp("2001:db8::/32", 64496, 48),
    key(),
    aspa(64496, 64497, 64498),
)


def seen_by(version: int, *values: Value) -> frozenset[Payload]:
    """What a router of this version holds of these values."""
    plain: set[Payload] = set()
    for value in values:
        match value:
            case VRP(prefix, max_length, asn):
                plain.add(("vrp", str(prefix), max_length, asn))
            case RouterKey(ski, asn, spki) if version >= 1:
                plain.add(("key", ski, asn, spki))
            case Aspa(customer, providers) if version >= 2:
                plain.add(("aspa", customer, providers))
    return frozenset(plain)


@dataclass(frozen=True)
class Source:
    """Published payload: the sessions' `PayloadSource`, with every step kept."""

    table: PayloadTable = field(default_factory=PayloadTable.of)
    history: History = field(default_factory=History)
    serial: int = FIRST_SERIAL
    is_ready: bool = True
    may_catch_up: bool = False
    timing: Timing = field(default_factory=Timing)
    session_shift: int = 0  # another one makes other sessions
    former_session_ids: tuple[int, ...] = ()  # hold as well, whatever the version

    def updated(self, *values: Value) -> Source:
        """The source after an update to these values: a new serial, whatever they are."""
        table = PayloadTable.of(values)
        step = Step(self.serial, difference(self.table, table))
        history = self.history.followed_by(step, max_steps=100, table_size=len(table))
        return replace(self, table=table, history=history, serial=next_serial(self.serial))

    def state(self, version: Version) -> State:
        return State(SESSION_IDS[version] + self.session_shift, self.serial)

    def is_session(self, version: Version, session_id: int) -> bool:
        return session_id in (self.state(version).session_id, *self.former_session_ids)

    def snapshot(self, version: Version) -> SharedImage:
        return SharedImage(lambda: encode_snapshot(version, self.table))

    def delta(self, version: Version, serial: int) -> SharedImage | None:
        deltas = self.history.since(serial)
        return None if deltas is None else SharedImage(lambda: encode_delta(version, compose(deltas)))

    def is_news(self, version: Version, serial: int) -> bool:
        deltas = self.history.since(serial)
        return deltas is None or is_visible(version, compose(deltas))


class Pair:
    """A router and a cache that hear each other at once.

    Attributes:
        router: judges every octet of the cache.
        session: the cache's side.
        source: what is published; `publish` replaces it.
        now: the time of both.
        is_slow: while set, the router takes only the Cache Response and the first payload PDU of a response.
        events: all that the router heard, oldest first.
        notes: all that the cache logged.
        closed: how the cache ended the connection; None before that.
    """

    def __init__(self, version: int = 2, *values: Value, cache_versions: Collection[int] = ALL_VERSIONS) -> None:
        self.router = RouterCore(version, cache_versions)
        self.session = CacheSession(Version(min(cache_versions)), Version(max(cache_versions)))
        self.source = Source(PayloadTable.of(values))
        self.now = 1000.0
        self.is_slow = False
        self.events: list[Event] = []
        self.notes: list[Note] = []
        self.closed: Close | None = None
        self._held_back: bytes | None = None

    # The router speaks

    def send(self, data: bytes, step: int = 0) -> list[Event]:
        """Send octets, at once or in pieces of `step`; what is heard in return."""
        start = len(self.events)
        self.router.send(data)
        for piece in [data] if not step else [data[at : at + step] for at in range(0, len(data), step)]:
            self._do(self.session.receive(piece, self.source, self.now))
        return self.events[start:]

    def reset(self) -> Sync:
        """Ask for everything and get it."""
        return self._sync(reset_query(self.router.version))

    def update(self) -> Sync:
        """Ask for the changes since the last End of Data and get them."""
        return self._sync(self.router.query())

    def query(self, serial: int, session_id: int | None = None) -> list[Event]:
        """A Serial Query with any serial; the session is the cache's unless another is given."""
        version = self.router.version
        own = self.source.state(Version(version)).session_id
        return self.send(serial_query(version, own if session_id is None else session_id, serial))

    def reconnect(self) -> None:
        """The router comes back on a new connection to the same cache."""
        self.router.reconnected()
        versions = self.session._lowest, self.session._highest
        self.session, self.closed, self._held_back = CacheSession(*versions), None, None

    # The cache acts

    def publish(self, *values: Value) -> list[Event]:
        """An update of the payload."""
        self.source = self.source.updated(*values)
        return self.remind()

    def remind(self) -> list[Event]:
        """The session is told that there may be something new, as after every load."""
        start = len(self.events)
        self._do(self.session.notify(self.source, self.now))
        return self.events[start:]

    def leave(self, farewell: ErrorCode | None) -> list[Event]:
        """The cache goes away."""
        start = len(self.events)
        self._do(self.session.leave(farewell))
        return self.events[start:]

    def fail(self, text: str) -> list[Event]:
        """The cache finds a fault of its own."""
        start = len(self.events)
        self._do(self.session.fail(ProtocolError(ErrorCode.INTERNAL_ERROR, text)))
        return self.events[start:]

    def wait(self, seconds: float) -> list[Event]:
        """Let time pass, with the session's timer called when it asks for it."""
        start, end = len(self.events), self.now + seconds
        for _ in range(10):
            if self.session.deadline is None or self.session.deadline > end:
                self.now = end
                return self.events[start:]
            self.now = max(self.now, self.session.deadline)
            self._do(self.session.timer(self.source, self.now))
        raise AssertionError(f"the timer is set to {self.session.deadline} again and again at {self.now}")

    def go_on(self) -> list[Event]:
        """The slow router takes the rest of the response, and is slow no more."""
        assert self._held_back is not None
        start = len(self.events)
        self.is_slow = False
        held_back, self._held_back = self._held_back, None
        self._hear(held_back)
        self._do(self.session.responded(self.source, self.now))
        return self.events[start:]

    def _sync(self, query: bytes) -> Sync:
        (event,) = self.send(query)
        assert isinstance(event, Sync), event
        return event

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            assert self.closed is None, f"{action} after {self.closed}"
            match action:
                case Send(data):
                    self._held_back = None  # a report of our own failure takes the place of what is left
                    self._hear(data)
                case Respond(head, image, tail):
                    self._respond(head, bytes(image.get().body), tail)
                case Close():
                    self.closed = action
                    if not action.abort and self._held_back is None:
                        self.router.closed()
                case Note():
                    self.notes.append(action)

    def _respond(self, head: bytes, body: bytes, tail: bytes) -> None:
        assert self._held_back is None, "two responses at once"
        if self.is_slow:
            first_bytes = int.from_bytes(body[4:8])
            self._hear(head + body[:first_bytes])
            self._held_back = body[first_bytes:] + tail
        else:
            self._hear(head + body + tail)
            self._do(self.session.responded(self.source, self.now))

    def _hear(self, data: bytes) -> None:
        self.events += self.router.feed(data, self.now)


def report(events: list[Event]) -> Pdu:
    """The one Error Report that was heard, and nothing else."""
    (event,) = events
    assert isinstance(event, Pdu)
    assert event.type == ERROR_REPORT, event
    return event


def notify(events: list[Event]) -> Pdu:
    """The one Serial Notify that was heard, and nothing else."""
    (event,) = events
    assert isinstance(event, Pdu)
    assert event.type == SERIAL_NOTIFY, event
    return event


def is_cache_reset(events: list[Event]) -> bool:
    """Whether one Cache Reset was heard, and nothing else."""
    return len(events) == 1 and isinstance(events[0], Pdu) and events[0].type == CACHE_RESET
