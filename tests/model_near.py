"""A strict router beside the cache: it talks with a session of its own, without a socket or a task."""

from __future__ import annotations

from tests.model_core import RouterCore, reset_query

from pyrtr.server.publisher import Published
from pyrtr.session.actions import Action, Respond, Send
from pyrtr.session.cache import CacheSession
from pyrtr.wire.enums import Version


class Router:
    """A router that may lose its connection, but never what it holds."""

    def __init__(self, version: int) -> None:
        self.core = RouterCore(version)
        self.session: CacheSession | None = None

    def disconnect(self) -> None:
        self.core.reconnected()
        self.session = None

    def sync(self, published: Published, now: float) -> None:
        if self.session is None:
            self.session = CacheSession(Version.V0, Version.V2)
        resets = self.core.cache_resets
        self._ask(self.core.query(), published, now)
        if self.core.cache_resets > resets:
            self._ask(reset_query(self.core.version), published, now)

    def notify(self, published: Published, now: float) -> None:
        if self.session is not None:
            self._take(self.session.notify(published, now), published, now)

    def _ask(self, query: bytes, published: Published, now: float) -> None:
        assert self.session is not None
        self._take(self.session.receive(self.core.send(query), published, now), published, now)

    def _take(self, actions: list[Action], published: Published, now: float) -> None:
        assert self.session is not None
        for action in actions:
            if isinstance(action, Send):
                self.core.feed(action.data, now)
            elif isinstance(action, Respond):
                self.core.feed(action.head + bytes(action.image.get().body) + action.tail, now)
                self._take(self.session.responded(published, now), published, now)
