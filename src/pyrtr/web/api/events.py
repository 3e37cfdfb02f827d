"""`/api/v1/events`: what happens, told as it happens (server-sent events, HTML Living Standard §9.2).

    event       data                                                   when
    status      what `/api/v1/status` answers                          at first, and when the verdict changes, or what
                                                                       is held back
    generation  {"serial", "time", "counts", "changes"}                another serial is published
    router      {"event", "client", "version", "transport", "serial"}  one comes ("connected"), has been sent a whole
                                                                       response ("synced"), or goes ("left")
    routers     {"connected", "synced", "left"}                        as many more have, beyond MAX_ROUTERS_PER_TURN
    source      {"location", "ok", "error"}                            a location was looked at
    lost        {}                                                     this listener reads too slowly: ask for all anew

Generations are told at once, the rest in turns of `TURN_S`: of a router to which several things happened within one,
the last is told. While nobody listens nothing is made.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from pyrtr.logs import printable
from pyrtr.server.connection import Connection
from pyrtr.server.registry import Happening
from pyrtr.web.api.operations import Operation
from pyrtr.web.api.parameters import Query
from pyrtr.web.api.status import describe_status
from pyrtr.web.context import Context
from pyrtr.web.replies import METHODS, iso_time
from pyrtr.web.verdict import condition

# What waits for one listener. Who is further behind than a busy minute is better served by asking anew.
MAX_WAITING = 256
TURN_S = 0.5
# Ten thousand routers may come at once: so many of a turn are told one by one, the others counted.
MAX_ROUTERS_PER_TURN = 50
# Proxies that find a connection idle give up after 30 seconds or more.
KEEP_ALIVE_S = 15.0
# How soon a browser comes back when the connection is lost.
RETRY_MS = 3000

MEDIA_TYPE = "text/event-stream"
OPERATIONS = (
    Operation(
        "/api/v1/events",
        "What happens, as it happens",
        (),
        None,
        texts={MEDIA_TYPE: 'event: source\ndata: {"location":"/var/lib/rpki-client/json","ok":true,"error":null}\n\n'},
    ),
)


def routes(context: Context) -> APIRouter:
    """The endpoint."""
    router = APIRouter()
    feed = Feed(context)

    @router.api_route("/api/v1/events", methods=METHODS)
    async def events(request: Request) -> Response:
        Query(request)
        content = iter(()) if request.method == "HEAD" else feed.listen()
        # Buffering proxies would keep what happens to themselves until there is more of it.
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(content, headers=headers, media_type=MEDIA_TYPE)

    return router


class _Listener:
    """What one of those who listen has not been sent yet."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._has_more = asyncio.Event()

    def put(self, message: bytes) -> None:
        if len(self._waiting) == MAX_WAITING:
            self._waiting.clear()
            message = _message("lost", {})
        self._waiting.append(message)
        self._has_more.set()

    async def take(self) -> bytes:
        """All that waits, or a comment when nothing has come for a while."""
        try:
            await asyncio.wait_for(self._has_more.wait(), KEEP_ALIVE_S)
        except TimeoutError:
            return b": keep-alive\n\n"
        self._has_more.clear()
        messages = b"".join(self._waiting)
        self._waiting.clear()
        return messages


class Feed:
    """Tells those who listen what happens."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._listeners: set[_Listener] = set()
        self._watching: asyncio.Task[None] | None = None
        self._serial: int | None = None
        self._verdict: Hashable = None
        self._looks: dict[str, Hashable] = {}
        self._routers: dict[Connection, Happening] = {}
        self._more_routers: Counter[Happening] = Counter()
        context.publisher.subscribe(self._published)
        context.registry.subscribe(self._router)

    async def listen(self) -> AsyncIterator[bytes]:
        """What happens from now on, for as long as somebody reads it."""
        listener = _Listener()
        if not self._listeners:
            self._begin()
        self._listeners.add(listener)
        try:
            yield b"retry: %d\n\n" % RETRY_MS + _message("status", await describe_status(self._context))
            while True:
                yield await listener.take()
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._watching is not None:
                self._watching.cancel()
                self._watching = None

    def _begin(self) -> None:
        published = self._context.publisher.current
        self._serial = published.serial if published.is_ready else None
        self._verdict = self._current_verdict()
        self._looks = self._current_looks()
        self._routers.clear()
        self._more_routers.clear()
        self._watching = asyncio.create_task(self._watch())

    def _tell(self, event: str, data: object) -> None:
        message = _message(event, data)
        for listener in self._listeners:
            listener.put(message)

    # What others call

    def _published(self) -> None:
        published = self._context.publisher.current
        if not self._listeners or published.table is None or published.serial == self._serial:
            return
        steps = published.history.steps
        is_next = bool(steps) and steps[-1].from_serial == self._serial
        self._serial = published.serial
        summary = {
            "serial": published.serial,
            "time": iso_time(published.published_at),
            "counts": published.table.counts,
            "changes": len(steps[-1].delta) if is_next else None,
        }
        self._tell("generation", summary)

    def _router(self, happening: Happening, connection: Connection) -> None:
        if not self._listeners:
            return
        if connection in self._routers or len(self._routers) < MAX_ROUTERS_PER_TURN:
            self._routers[connection] = happening
        else:
            self._more_routers[happening] += 1

    # What is looked at

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TURN_S)
            self._tell_routers()
            self._tell_looks()
            verdict = self._current_verdict()
            if verdict != self._verdict:
                self._verdict = verdict
                self._tell("status", await describe_status(self._context))

    def _tell_routers(self) -> None:
        routers, self._routers = self._routers, {}
        for connection, happening in routers.items():
            version, held = connection.session.version, connection.session.held
            router = {
                "event": happening,
                "client": connection.address,
                "version": None if version is None else version.name,
                "transport": connection.transport,
                "serial": None if held is None else held.serial,
            }
            self._tell("router", router)
        if self._more_routers:
            self._tell("routers", {happening: self._more_routers[happening] for happening in Happening})
            self._more_routers.clear()

    def _tell_looks(self) -> None:
        looks = self._current_looks()
        for place in self._context.loader.places:
            location, error = place.status.location, place.status.error
            if looks[location] != self._looks.get(location):
                error = None if error is None else printable(error)
                self._tell("source", {"location": printable(location), "ok": error is None, "error": error})
        self._looks = looks

    def _current_looks(self) -> dict[str, Hashable]:
        statuses = [place.status for place in self._context.loader.places]
        return {status.location: (status.success_count, status.failure_count, status.error) for status in statuses}

    def _current_verdict(self) -> Hashable:
        """What the verdict follows from, without the times that pass by themselves."""
        now = condition(self._context, time.time())
        is_stale = now.age_s is not None and now.age_s > now.max_age_s
        return dataclasses.replace(now, age_s=None, held_for_s=0.0), is_stale


def _message(event: str, data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event.encode(), msgspec.json.encode(data))
