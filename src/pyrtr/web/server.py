"""The HTTP server: uvicorn as one task of the program, with deadlines for those who neither ask nor read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import cast

import h11
import msgspec
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from pyrtr.server.descriptors import FOR_LOADING, require_spare
from pyrtr.server.tcp import listen_sparingly
from pyrtr.web.limits import MAX_HEAD_BYTES
from pyrtr.web.tls import HttpTls

# How long the head of a request may take to come.
REQUEST_TIMEOUT_S = 30.0
# How long a reader may take nothing of a response. It holds on to the table that the response began with.
STALL_TIMEOUT_S = 60.0
# How long the TLS handshake, and the end of TLS, may take.
TLS_TIMEOUT_S = 10.0
# After a stop, what is under way may go on for so long.
GRACE_S = 0.5
# Those beyond are closed at once: descriptors are for routers.
MAX_CONNECTIONS = 128
BACKLOG = 1024
ACCEPTS_PER_TURN = 16
# Out of descriptors or memory, nothing gets better by trying at once.
OVERLOAD_PAUSE_S = 0.5


class HttpServer:
    """Serves an application on bound sockets, in the event loop that is running.

    Args:
        app: the application.
        sockets: bound and listening; closed when the server stops.
        tls: for HTTPS; None for plain HTTP.
    """

    def __init__(self, app: FastAPI, sockets: list[socket.socket], tls: HttpTls | None = None) -> None:
        self._sockets = sockets
        self._server = _Server(
            uvicorn.Config(
                app,
                loop="none",
                http=_Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",  # strangers cause its warnings, as often as they like
                access_log=False,
                proxy_headers=False,
                server_header=False,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                timeout_graceful_shutdown=1,
            ),
            tls,
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
    """uvicorn's server, which would accept without a limit, and wait a minute for a handshake."""

    def __init__(self, config: uvicorn.Config, tls: HttpTls | None) -> None:
        super().__init__(config)
        self._tls = tls
        self._entering: dict[asyncio.Task[None], _Connection] = {}
        self._accepting: list[socket.socket] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the program."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        self.servers = []
        for sock in sockets or []:
            listen_sparingly(sock, BACKLOG)
            sock.setblocking(False)
            self._resume(sock)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; let what is under way end."""
        for sock in self._accepting:
            asyncio.get_running_loop().remove_reader(sock)
        self._accepting.clear()
        for task in list(self._entering):
            task.cancel()
        await super().shutdown(sockets)

    def _resume(self, sock: socket.socket) -> None:
        if not self.should_exit:
            self._accepting.append(sock)
            asyncio.get_running_loop().add_reader(sock, self._accept, sock)

    def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(ACCEPTS_PER_TURN):
            try:
                require_spare(sock, FOR_LOADING)
                client, _ = sock.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # that one went away: on to the next
                continue
            except OSError:
                loop.remove_reader(sock)
                self._accepting.remove(sock)
                loop.call_later(OVERLOAD_PAUSE_S, self._resume, sock)
                return
            if len(self.server_state.connections.union(self._entering.values())) >= MAX_CONNECTIONS:
                client.close()
                continue
            connection = _Connection(self.config, self.server_state, {})
            task = loop.create_task(self._enter(client, connection))
            self._entering[task] = connection
            task.add_done_callback(self._entering.pop)

    async def _enter(self, client: socket.socket, connection: _Connection) -> None:
        context, timeout_s = (None, None) if self._tls is None else (self._tls.context, TLS_TIMEOUT_S)
        try:
            client.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                client,
                ssl=context,
                ssl_handshake_timeout=timeout_s,
                ssl_shutdown_timeout=timeout_s,
            )
        except OSError:  # it went away meanwhile, or does not speak TLS
            client.close()


class _Connection(H11Protocol):
    """uvicorn's connection, which waits for ever for a request to come, and for a response to be read."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect(REQUEST_TIMEOUT_S)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - as uvicorn has it
        """Refuse what is no HTTP as everything else is refused, unless an answer has begun."""
        if self._is_responding:
            self.cycle.disconnected = True  # else the application's answer would be an error, with a traceback
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = msgspec.json.encode({"error": "this is no HTTP request that can be answered"})
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

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
