"""A running program without a source: something published, an RTR server, and an HTTP server, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from fastapi import FastAPI

from pyrtr.compiler.agenda import Policy
from pyrtr.compiler.ledger import Ledger
from pyrtr.compiler.loader import Loader
from pyrtr.compiler.place import Place
from pyrtr.compiler.slurm import SlurmPlaces
from pyrtr.payload.delta import difference
from pyrtr.payload.history import History, Step
from pyrtr.payload.order import IPV4_ROW, octets
from pyrtr.payload.table import Facts, PayloadTable, endless
from pyrtr.server.connection import Connection
from pyrtr.server.publisher import Published, Publisher
from pyrtr.server.registry import Registry
from pyrtr.server.tcp import Listener, TcpDoor, bind
from pyrtr.settings import Settings
from pyrtr.sources.fetch.feed import DocumentFeed
from pyrtr.sources.fetch.request import SourceTls
from pyrtr.sources.location import Location
from pyrtr.store.archive import Archive
from pyrtr.store.state import Store
from pyrtr.store.table_file import content_digest, write_table
from pyrtr.web.app import Context, create_app
from pyrtr.web.server import HttpServer
from pyrtr.web.tls import HttpTls
from pyrtr.wire.codec import encode
from pyrtr.wire.enums import PduType, Version
from pyrtr.wire.pdu import Pdu, Timing

SESSION_IDS = {Version.V0: (1000,), Version.V1: (1001,), Version.V2: (1002,)}
FIRST_SERIAL = 4294967294  # so that three tables lead over the edge to 0
PUBLISHED_AT = 1_750_000_000.0


def published(*tables: PayloadTable, published_at: float = PUBLISHED_AT, metadata: object = None) -> Published:
    """The tables one after another, each a serial; the last is current."""
    serials = [(FIRST_SERIAL + number) % 2**32 for number in range(len(tables))]
    steps = tuple(
        Step(serial, difference(old, new)) for serial, old, new in zip(serials, tables, tables[1:], strict=False)
    )
    if not tables:
        return Published(Timing(), SESSION_IDS)
    return Published(
        Timing(),
        SESSION_IDS,
        serial=serials[-1],
        table=tables[-1],
        history=History(steps),
        published_at=published_at,
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def filed(first: Published, folder: Path, facts: Facts | None = None) -> Published:
    """The same with the file of its table, and with what is known of that."""
    assert first.table is not None
    path = folder / f"table-{first.serial}"
    digest = write_table(path, first.table, endless(first.table, "arin") if facts is None else facts)
    return dataclasses.replace(first, path=path, digest=digest, content=content_digest(first.table))


def large_table(size: int = 300_000) -> PayloadTable:
    """More than all socket buffers hold."""
    rows = np.zeros(size, IPV4_ROW)
    octets(rows)[:, :4] = np.arange(size, dtype=">u4").view(np.uint8).reshape(size, 4)
    octets(rows)[:, 4:6] = 32
    return PayloadTable(rows, PayloadTable.of().ipv6)


@dataclass
class World:
    """A running program; its HTTP application is called without a socket."""

    context: Context
    client: httpx.AsyncClient
    rtr_port: int
    routers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def router(self, *pdus: Pdu, version: Version = Version.V1, until: PduType | None = None) -> str:
        """Connect a router that sends PDUs and reads on until one of a type has come; returns its address."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.rtr_port)
        self.routers.append(writer)
        host, port = writer.get_extra_info("sockname")
        writer.write(b"".join(encode(version, pdu) for pdu in pdus))
        pdu_type = None
        while pdu_type != until:
            header = await reader.readexactly(8)
            await reader.readexactly(int.from_bytes(header[4:]) - 8)
            pdu_type = header[1]
        while self.connection(f"{host}:{port}") is None:  # noqa: ASYNC110 - accepted, but no event tells so
            await asyncio.sleep(0)
        return f"{host}:{port}"

    def connection(self, address: str) -> Connection | None:
        """Our side of a router's connection."""
        return next((found for found in self.context.registry.connections if found.address == address), None)


@contextlib.asynccontextmanager
async def world(
    first: Published, settings: Settings | None = None, archive: Archive | None = None
) -> AsyncIterator[World]:
    """Start it, and end it."""
    settings = settings or Settings()
    publisher, store = Publisher(first), Store(None)
    registry = Registry(publisher, Version(settings.min_version), Version(settings.max_version))
    policy = Policy(settings.reload, settings.max_age, settings.on_stale, settings.max_shrink, settings.hold)
    location = Location("file", "/data/json")
    loader = Loader(
        [Place("RPKICLIENT", location, str(location), DocumentFeed(location, store.path, SourceTls()))],
        settings.merge,
        SlurmPlaces(settings.slurm, {}),
        Ledger(store, publisher, max_steps=10, initial_serial=None),
        policy,
        gate=lambda _is_open: None,
    )
    sockets = bind(["127.0.0.1"], 0)
    rtr_port = port_of(sockets)
    listener = Listener({sock: TcpDoor(registry) for sock in sockets}, registry)
    listener.start()
    context = Context(
        publisher=publisher,
        registry=registry,
        loader=loader,
        settings=settings,
        rtr_addresses=(f"127.0.0.1:{rtr_port}",),
        http_addresses=("127.0.0.1:8080",),
        listener=listener,
        started_at=PUBLISHED_AT,
        archive=archive,
    )
    transport = httpx.ASGITransport(create_app(context))
    async with httpx.AsyncClient(base_url="http://pyrtr.example", transport=transport) as client:
        running = World(context, client, rtr_port)
        try:
            yield running
        finally:
            for writer in running.routers:
                writer.close()
            listener.close()
            for connection in list(registry.connections):
                connection.abort("the test is over")
            await context.lookup.close()
            publisher.close()
            store.close()


@dataclass
class Served:
    """An HTTP server on a real socket."""

    client: httpx.AsyncClient
    server: HttpServer
    serving: asyncio.Task[None]
    port: int

    async def connect(self, request: bytes = b"") -> socket.socket:
        """A raw connection that has sent `request`, with a small buffer for what comes back."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", self.port))
        await loop.sock_sendall(sock, request)
        return sock


@contextlib.asynccontextmanager
async def served(app: FastAPI, tls: HttpTls | None = None) -> AsyncIterator[Served]:
    """Serve an application, and stop."""
    sockets = bind(["127.0.0.1"], 0)
    port = port_of(sockets)
    server = HttpServer(app, sockets, tls)
    serving = asyncio.create_task(server.run())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client:
        try:
            yield Served(client, server, serving, port)
        finally:
            server.stop()
            await asyncio.wait([serving], timeout=5)


def port_of(sockets: Sequence[socket.socket]) -> int:
    port: int = sockets[0].getsockname()[1]
    return port
