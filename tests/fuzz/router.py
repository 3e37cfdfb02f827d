"""A cache of any manners: the querying side is told any octets, in any pieces, at any time."""

from __future__ import annotations

from tests.fuzz.acts import play
from tests.fuzz.readers import judge_table

from pyrtr.session.actions import Close, Note, Send
from pyrtr.session.router import Confirmed, Phase, RouterAction, RouterSession
from pyrtr.wire.codec import decode
from pyrtr.wire.enums import Version
from pyrtr.wire.pdu import ErrorReport, ResetQuery, SerialQuery


def router(data: bytes) -> None:
    """The first octet chooses the versions spoken; the others are acts: ours are of the connection and of time."""
    first = (data or b"\0")[0]
    lowest, highest = sorted((first % 3, first // 3 % 3))
    feed = Feed(Version(lowest), Version(highest))
    play(data[1:], feed.hear, feed.act)


class Feed:
    """A session and what becomes of its actions, as a follower with an obedient transport would have it."""

    def __init__(self, lowest: Version, highest: Version) -> None:
        self._session = RouterSession(floor_s=1.0, ceiling_s=86400.0, lowest=lowest, highest=highest)
        self._now = 1000.0
        self._is_open = False
        self._open()

    def hear(self, octets: bytes) -> None:
        """The cache sends."""
        if self._is_open:
            self._do(self._session.receive(octets, self._now))

    def act(self, number: int) -> None:
        """Something that happens on our side."""
        kind = number % 4
        if kind == 0:
            self._now += 10.0 * (number // 4)
            self._do(self._session.timer(self._now))
        elif kind == 1 and self._is_open:
            self._is_open = False
            self._session.closed("closed by the cache", self._now)
        elif kind == 2 and not self._is_open:
            self._session.failed("refused", self._now)
        elif not self._is_open:
            assert self._session.connect_at < self._now + 86401.0
            self._now = max(self._now, self._session.connect_at)
            self._open()

    def _open(self) -> None:
        self._is_open = True
        self._do(self._session.opened(self._now))

    def _do(self, actions: list[RouterAction]) -> None:
        for action in actions:
            assert self._is_open, f"{action} without a connection"
            match action:
                case Send(octets):
                    _, pdu = decode(octets)
                    assert isinstance(pdu, ResetQuery | SerialQuery | ErrorReport)
                case Close():
                    self._is_open = False
                case Confirmed(held):
                    assert held is self._session.held
                    judge_table(held.table)
                case Note():
                    pass
        assert self._is_open is (self._session.phase is not Phase.CLOSED)
