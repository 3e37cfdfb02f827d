"""A router of any manners: our side of the conversation is told any octets, in any pieces, at any time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tests.conformance.harness import SAMPLE, Source, vrp
from tests.fuzz.acts import play
from tests.model_pdus import CACHE_RESPONSE, END_OF_DATA, ERROR_REPORT, Pdu, parse, pdu_length

from pyrtr.payload.table import PayloadTable
from pyrtr.session.actions import Action, Close, Note, Respond, Send
from pyrtr.session.cache import MAX_PENDING, CacheSession, Phase
from pyrtr.wire.enums import ErrorCode, Version
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.framer import MAX_PDU_BYTES

READY = Source().updated(*SAMPLE).updated(*SAMPLE[:3]).updated(*SAMPLE, vrp("203.0.113.0/24"))
NOT_READY = Source(PayloadTable.of(), is_ready=False)


def cache(data: bytes) -> None:
    """The first octet chooses the versions served and whether there is data; the others are acts (see `play`)."""
    line = Line(*_versions((data or b"\0")[0]))
    play(data[1:], line.hear, line.act)
    line.finish()


def split(data: bytes) -> None:
    """A stream gives the same conversation and the same end, whole and in pieces.

    The first octet chooses versions and data as above, the second the size of the pieces.
    """
    first, size, stream = (data or b"\0")[0], 1 + (data[1:2] or b"\0")[0], data[2:]
    whole, pieces = Line(*_versions(first)), Line(*_versions(first))
    whole.hear(stream)
    for start in range(0, len(stream), size):
        pieces.hear(stream[start : start + size])
    # An Error Report ends a session at once: in the whole stream it comes before what waits is answered.
    assert pieces.sent.startswith(whole.sent)
    assert (whole.closed is None) == (pieces.closed is None)


def _versions(octet: int) -> tuple[Version, Version, Source]:
    lowest, highest = sorted((octet % 3, octet // 3 % 3))
    return Version(lowest), Version(highest), NOT_READY if octet & 0x80 else READY


@dataclass
class Line:
    """A session and what becomes of its actions, as a connection with an obedient transport would have it.

    Attributes:
        sent: octets for the router.
        closed: how the session ended.
        is_slow: the router takes responses only when it is told to.
    """

    lowest: Version
    highest: Version
    source: Source
    now: float = 1000.0
    sent: bytearray = field(default_factory=bytearray)
    closed: Close | None = None
    is_slow: bool = False
    response: Respond | None = None

    def __post_init__(self) -> None:
        self._actions: deque[Action] = deque()
        self.session = CacheSession(self.lowest, self.highest)
        self._judged = 0
        self._is_responding = False

    def hear(self, octets: bytes) -> None:
        """The router sends, unless the session does not read; what it sends then waits in the kernel, for ever."""
        if self.session.wants_input:
            self._do(self.session.receive(octets, self.source, self.now))
        assert len(self.session._pending) <= MAX_PENDING + 1
        assert len(self.session._framer) <= MAX_PDU_BYTES + len(octets)

    def act(self, number: int) -> None:
        """Something that happens on our side."""
        match number % 8:
            case 0:
                self.source = self.source.updated(*SAMPLE[: number // 8])
                self._do(self.session.notify(self.source, self.now))
            case 1:
                self.now += 20.0 * (number // 8)
                self._do(self.session.timer(self.source, self.now))
            case 2:
                self.is_slow = not self.is_slow
                self.go_on()
            case 3:
                self.session.blocked(self.source, self.now)
            case 4:
                self.session.progressed(self.source, self.now)
            case 5:
                self._do(self.session.leave((None, ErrorCode.CACHE_RESTART, ErrorCode.CACHE_SHUTDOWN)[number // 8 % 3]))
            case 6:
                self.response = None
                self._actions.clear()
                self._do(self.session.fail(ProtocolError(ErrorCode.INTERNAL_ERROR, "a fault of ours")))
            case _:
                self._do(self.session.proceed(self.source, self.now))

    def go_on(self) -> None:
        """The router takes a response that waits."""
        if self.response is not None:
            response, self.response = self.response, None
            self.sent += bytes(response.image.get().body) + response.tail
            self._do(self.session.responded(self.source, self.now))

    def finish(self) -> None:
        """Let all that can happen happen."""
        self.is_slow = False
        self.go_on()
        if self.closed is None:
            self._do(self.session.leave(None))
        assert self.closed is not None
        assert self.session.phase is Phase.CLOSED
        assert not self.session.receive(b"\2\2\0\0\0\0\0\x08", self.source, self.now)

    def _do(self, actions: list[Action]) -> None:
        assert self.closed is None or not actions, f"{actions} after {self.closed}"
        self._actions.extend(actions)
        if any(isinstance(action, Close) and action.abort for action in actions):
            self.response = None
            self._actions = deque(action for action in self._actions if isinstance(action, Close))
        while self._actions and self.response is None:
            self._perform(self._actions.popleft())
        if self.response is None:
            self._judge()
            if self.session.has_more:
                self._do(self.session.proceed(self.source, self.now))

    def _perform(self, action: Action) -> None:
        assert self.closed is None, f"{action} after {self.closed}"
        match action:
            case Send(octets):
                self.sent += octets
            case Respond(head):
                self.sent += head
                self.response = action
                if not self.is_slow:
                    self.go_on()
            case Close():
                self.closed = action
            case Note():
                pass

    def _judge(self) -> None:
        """What was sent is whole PDUs of a version that is served; nothing follows a fatal Error Report."""
        has_ended = False
        while self._judged < len(self.sent):
            assert not has_ended
            length = pdu_length(bytes(self.sent[self._judged : self._judged + 8]))
            pdu = parse(bytes(self.sent[self._judged : self._judged + length]))
            assert self._judged + length <= len(self.sent) or self.closed is not None
            self._judged += length
            assert self.lowest <= pdu.version <= self.highest
            self._judge_place(pdu)
            has_ended = pdu.is_fatal and pdu.code != ErrorCode.UNSUPPORTED_PROTOCOL_VERSION

    def _judge_place(self, pdu: Pdu) -> None:
        if pdu.type == CACHE_RESPONSE:
            assert not self._is_responding
            self._is_responding = True
        elif pdu.type == END_OF_DATA:
            assert self._is_responding
            self._is_responding = False
        elif pdu.type != ERROR_REPORT:
            assert self._is_responding == bool(pdu.payload)
