"""The HTTP server: uvicorn as one task of the program, with deadlines for those who neither ask nor read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# How long the head of a request may take to come.
REQUEST_TIMEOUT_S = 30.0
# How long a reader may take nothing of a response. It holds on to the table that the response began with.
STALL_TIMEOUT_S = 60.0
# After a stop, what is under way may go on for so long.
GRACE_S = 0.5


class HttpServer:
    """Serves an application on bound sockets, in the event loop that is running.

    Args:
        app: the application.
        sockets: bound and listening; closed when the server stops.
    """

    def __init__(self, app: FastAPI, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self._server = _Server(
            uvicorn.Config(
                app,
                loop="none",
                http=_Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )

    async def run(self) -> None:
        """Serve until `stop` is called, or this is cancelled: either way the server ends in order, within a second."""
        serving = asyncio.create_task(self._server.serve(self._sockets))
        try:
            await asyncio.shield(serving)
        finally:
            self.stop()
            try:
                await serving
            finally:
                self._abort()  # uvloop does not close while anything waits to be written

    def stop(self) -> None:
        """Take no more requests; end what is under way after `GRACE_S`."""
        if not self._server.should_exit:
            self._server.should_exit = True
            asyncio.get_running_loop().call_later(GRACE_S, self._abort)

    def _abort(self) -> None:
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the program."""
        yield


class _Connection(H11Protocol):
    """uvicorn's connection, which waits for ever for a request to come, and for a response to be read."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect(REQUEST_TIMEOUT_S)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_responding:
            if self._deadline is None:  # a request that comes octet by octet gains nothing by each
                self._expect(REQUEST_TIMEOUT_S)
        elif not self.flow.write_paused:
            self._relax()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect(STALL_TIMEOUT_S)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._relax()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    @property
    def _is_responding(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _expect(self, timeout_s: float) -> None:
        self._relax()
        self._deadline = self.loop.call_later(timeout_s, self.transport.abort)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
