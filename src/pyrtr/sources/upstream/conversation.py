"""One connection to an RTR cache, driven by a router session: octets and time in, what the session says out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from pyrtr.errors import SourceError
from pyrtr.session.actions import Send
from pyrtr.session.router import Phase, RouterAction, RouterSession
from pyrtr.sources.upstream.messages import Peer
from pyrtr.sources.upstream.transport import Connection, connect


async def converse(session: RouterSession, peer: Peer, do: Callable[[Iterable[RouterAction]], None]) -> None:
    """Connect, and converse until the connection ends.

    Args:
        session: its clock is the monotonic one; afterwards it says when the next connection is due, and why.
        peer: the cache.
        do: called with the actions of every step, when their octets have been sent.
    """
    try:
        connection = await connect(peer)
    except SourceError as error:
        session.failed(str(error), time.monotonic())
        return
    try:
        await _converse(session, connection, do)
    finally:
        await connection.close()


async def _converse(
    session: RouterSession, connection: Connection, do: Callable[[Iterable[RouterAction]], None]
) -> None:
    def act(actions: list[RouterAction]) -> None:
        for action in actions:
            if isinstance(action, Send):
                connection.write(action.data)
        do(actions)

    act(session.opened(time.monotonic()))
    while session.phase is not Phase.CLOSED:
        try:
            async with asyncio.timeout_at(session.deadline):
                data = await connection.read()
        except TimeoutError:
            act(session.timer(time.monotonic()))
            continue
        except SourceError as error:
            session.closed(str(error), time.monotonic())
            continue
        if data:
            act(session.receive(data, time.monotonic()))
        else:
            session.closed("it closed the connection", time.monotonic())
