"""A router may reset its connection at any moment: the event loop has closed it then, and tells us a turn later."""

from __future__ import annotations

import asyncio
import socket

import uvloop

from pyrtr.server.pump import Pump


def test_nothing_is_handed_to_a_closed_transport() -> None:
    async def respond() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        pump = Pump(transport, lambda: 1, lambda: None)
        theirs.close()
        transport.abort()
        pump.start(b"head", memoryview(b"body"), b"tail")
        await asyncio.sleep(0)

    uvloop.run(respond())
