"""Routers of a fleet that remember what they held when, and what the stream says of that."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterable

from tests.inputs import Payload
from tests.model_core import Sync
from tests.model_pdus import CACHE_RESET, RouterComplaint
from tests.model_router import Address, Router

from pyrtr.fleet.jetstream import NatsStream
from pyrtr.fleet.record import Record
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import VRP, Aspa, RouterKey
from pyrtr.store.table_file import content_digest

PAUSE_S = 0.05


class WatchedRouter:
    """A router that goes on asking on a thread of its own, and connects anew whenever the connection ends.

    Attributes:
        held: what it held at each state (session id, serial).
        problems: what must not be.
        resets: whole tables that it had to take after the first, or was told to.
        gaps_s: how long each time without a connection was, until data was heard again.
    """

    def __init__(self, address: Address, version: int) -> None:
        self.held: dict[tuple[int | None, int], frozenset[Payload]] = {}
        self.problems: list[str] = []
        self.resets = 0
        self.gaps_s: list[float] = []
        self.router = Router(address, version)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> WatchedRouter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(30)
        self.router.close()

    @property
    def payload(self) -> frozenset[Payload]:
        return frozenset(self.router.payload)

    def _run(self) -> None:
        lost_at: float | None = None
        while not self._is_over.is_set():
            try:
                if self.router._socket is None:
                    self.router.reconnect()
                self._ask()
                if lost_at is not None:
                    self.gaps_s.append(time.monotonic() - lost_at)
                    lost_at = None
            except (OSError, RouterComplaint) as error:
                if isinstance(error, RouterComplaint) and "closed" not in str(error):
                    self.problems.append(str(error))
                lost_at = lost_at or time.monotonic()
                self.router.close()
            except Exception as error:
                self.problems.append(repr(error))
                return
            self._is_over.wait(PAUSE_S)

    def _ask(self) -> None:
        if self.router.session_id is None:
            self.router.reset()
        else:
            event = self.router.serial_query()
            if not isinstance(event, Sync):
                if event.type == CACHE_RESET:
                    self.resets += 1
                    self.router.reset()
                else:
                    raise OSError(str(event))
        state = (self.router.session_id, self.router.serial)
        holds = self.payload
        if self.held.setdefault(state, holds) != holds:
            self.problems.append(f"{state} is two sets")


def table_of(payload: Iterable[Payload]) -> PayloadTable:
    """Values as the program holds them."""
    from ipaddress import ip_network

    values: list[VRP | RouterKey | Aspa] = []
    for kind, *fields in payload:
        match kind:
            case "vrp":
                prefix, max_length, asn = fields
                values.append(VRP(ip_network(str(prefix)), max_length, asn))  # type: ignore[arg-type]
            case "key":
                values.append(RouterKey(*fields))  # type: ignore[arg-type]
            case _:
                values.append(Aspa(*fields))  # type: ignore[arg-type]
    return PayloadTable.of(values)


def accepted(urls: list[str], name: str) -> list[Record]:
    """All records of a fleet's stream."""

    async def read() -> list[Record]:
        stream = NatsStream(urls, name, "watcher", max_records=1001, tls=None)
        await stream.open(lambda _: None)
        try:
            _, last = await stream.end()
            found = [await stream.record(sequence) for sequence in range(1, last + 1)]
            return [record for record in found if record is not None]
        finally:
            with contextlib.suppress(Exception):
                await stream.close()

    return asyncio.run(read())


def disagreements(routers: Iterable[WatchedRouter], records: list[Record]) -> list[str]:
    """What routers of version 2 held that the stream does not say, and all that other versions did besides."""
    said = {(record.sessions.V2[0], record.serial): record.content for record in records}
    found = []
    for router in routers:
        found += router.problems
        if router.router.version == 2:
            for state, holds in router.held.items():
                if state not in said:
                    found.append(f"{state} is not on the stream")
                elif content_digest(table_of(holds)) != said[state]:
                    found.append(f"{state} is another set than the stream says")
    return found
