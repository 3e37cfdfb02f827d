"""A `RouterSession` and a cache back to back, without a socket: our own `CacheSession`, or a script of octets."""

from __future__ import annotations

from collections.abc import Iterable

from tests.conformance.harness import Source, Value
from tests.model_pdus import Pdu, parse
from tests.property.oracle import payload_of

from pyrtr.payload.table import PayloadTable
from pyrtr.session.actions import Action, Close, Note, Respond, Send
from pyrtr.session.cache import CacheSession
from pyrtr.session.router import Confirmed, Held, Phase, RouterAction, RouterSession
from pyrtr.wire.enums import Version
from pyrtr.wire.pdu import Timing

CEILING_S = 100_000.0
DEFAULT_TIMING = Timing()


def router_session(
    lowest: int = 0, highest: int = 2, *, floor_s: float = 1.0, ceiling_s: float = CEILING_S
) -> RouterSession:
    return RouterSession(floor_s=floor_s, ceiling_s=ceiling_s, lowest=Version(lowest), highest=Version(highest))


class Script:
    """A router session whose cache says what a test writes.

    Attributes:
        sent: what the router sent, oldest first.
        confirmed: the responses that ended well.
        notes: what it logged, by event.
        closed: why it ended the connection; empty while it has not.
    """

    def __init__(self, session: RouterSession | None = None, now: float = 1000.0) -> None:
        self.session = router_session() if session is None else session
        self.now = now
        self.sent: list[bytes] = []
        self.confirmed: list[Confirmed] = []
        self.notes: dict[str, Note] = {}
        self.closed = ""

    def open(self) -> bytes:
        """Open a connection; what the router asks first."""
        assert self.session.phase is Phase.CLOSED
        assert self.session.connect_at <= self.now, "a connection that is not due yet"
        self.closed = ""
        self._do(self.session.opened(self.now))
        return self.sent[-1]

    def hear(self, *pdus: bytes, step: int = 0) -> list[bytes]:
        """The cache sends octets, whole or in pieces; what the router sends in return."""
        start, data = len(self.sent), b"".join(pdus)
        for piece in [data] if not step else [data[at : at + step] for at in range(0, len(data), step)]:
            self._do(self.session.receive(piece, self.now))
        return self.sent[start:]

    def report(self) -> Pdu:
        """The Error Report that the router sent last, after which it closed."""
        assert self.closed
        assert self.session.phase is Phase.CLOSED
        return parse(self.sent[-1])

    def lose(self) -> None:
        """The cache closes, or the network does."""
        self.session.closed("closed by the cache", self.now)

    def wait(self, seconds: float | None = None) -> list[bytes]:
        """Let time pass, up to the deadline or the next connection if nothing is said; what the router sends then."""
        start = len(self.sent)
        if seconds is not None:
            self.now += seconds
        elif self.session.phase is Phase.CLOSED:
            self.now = max(self.now, self.session.connect_at)
        else:
            assert self.session.deadline is not None
            self.now = max(self.now, self.session.deadline)
        self._do(self.session.timer(self.now))
        return self.sent[start:]

    @property
    def held(self) -> Held:
        assert self.session.held is not None
        return self.session.held

    @property
    def payload(self) -> set[Value]:
        """What the router holds."""
        values = payload_of(self.held.table)
        assert len(set(values)) == len(values)
        return set(values)

    def _do(self, actions: Iterable[RouterAction]) -> None:
        for action in actions:
            assert not self.closed, f"{action} after {self.closed}"
            match action:
                case Send(data):
                    self.sent.append(data)
                case Confirmed():
                    self.confirmed.append(action)
                case Note(event):
                    self.notes[event] = action
                case Close(reason):
                    self.closed = reason


class Link(Script):
    """A router session and a `CacheSession` that hear each other at once.

    Attributes:
        source: what the cache publishes.
        connections: how many there were.
        step: octets are handed on in pieces of this size; 0 for whole.
    """

    def __init__(
        self,
        *values: Value,
        session: RouterSession | None = None,
        cache_versions: tuple[int, int] = (0, 2),
        timing: Timing = DEFAULT_TIMING,
        step: int = 0,
    ) -> None:
        super().__init__(session)
        self.source = Source(PayloadTable.of(values), timing=timing)
        self.cache_versions = cache_versions
        self.step = step
        self.connections = 0
        self.closes_on_refusal = False
        self._cache: CacheSession | None = None
        self._delivered = 0

    def connect(self) -> None:
        """Open connections for as long as one is due now."""
        for _ in range(8):
            if self.session.phase is not Phase.CLOSED or self.session.connect_at > self.now:
                return
            self.connections += 1
            lowest, highest = self.cache_versions
            self._cache = CacheSession(Version(lowest), Version(highest))
            self.open()
            self._talk()
        raise AssertionError("connections without end")

    def publish(self, *values: Value) -> None:
        """An update of the payload, of which the cache notifies when it may."""
        self.source = self.source.updated(*values)
        self.remind()

    def remind(self) -> None:
        if self._cache is not None:
            self._hand(self._cache.notify(self.source, self.now))
            self._talk()

    def let_pass(self, seconds: float) -> None:
        """Time passes for both."""
        end = self.now + seconds
        while self.session.deadline is not None and self.session.deadline <= end:
            self.wait()
            self._talk()
        self.now = end
        if self._cache is not None:
            self._hand(self._cache.timer(self.source, self.now))
            self._talk()

    def cut(self) -> None:
        """The connection breaks."""
        self._cache = None
        self.lose()

    def _talk(self) -> None:
        while self._delivered < len(self.sent):
            data = self.sent[self._delivered]
            self._delivered += 1
            if self._cache is not None:
                self._hand(self._cache.receive(data, self.source, self.now))

    def _hand(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(data):
                    self.hear(data, step=self.step)
                    if self.closes_on_refusal and data[1:4] == b"\x0a\x00\x04":
                        self.cut()
                case Respond(head, image, tail):
                    self.hear(head, bytes(image.get().body), tail, step=self.step)
                    assert self._cache is not None
                    self._hand(self._cache.responded(self.source, self.now))
                case Close():
                    if self.session.phase is not Phase.CLOSED:
                        self.cut()
                case Note():
                    pass
