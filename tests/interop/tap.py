"""A tap between one router and the cache: passes on each byte as it comes and notes each PDU (RFC 8210 section 5)."""

import asyncio
import contextlib
import time
from collections import Counter
from pathlib import Path

from tests.interop.process import free_port

NAMES = {
    0: "Serial Notify", 1: "Serial Query", 2: "Reset Query", 3: "Cache Response", 4: "IPv4 Prefix", 6: "IPv6 Prefix",
    7: "End of Data", 8: "Cache Reset", 9: "Router Key", 10: "Error Report", 11: "ASPA",
}  # fmt: skip
PAYLOAD = ("IPv4 Prefix", "IPv6 Prefix", "Router Key", "ASPA")
MAX_PDU_BYTES = 65536  # beyond this the stream is no RTR; it is passed on without a further look


class Tap:
    """One router's connections to the cache.

    Attributes:
        port: where the router finds the cache.
        is_plain: whether what passes is RTR; else it is passed on without a look.
        names: the router's connections, as the cache's `/clients` calls them.
        version: of the last response.
        seen: PDUs since the step began, by name.
        responses: for each End of Data since then, how many payload PDUs came before it.
        router_errors: codes of the Error Reports since then that the router sent.
        synced: set by the first End of Data since then.
    """

    def __init__(self, cache_port: int, log: Path, *, is_plain: bool = True):
        self.cache_port, self.log, self.is_plain = cache_port, log, is_plain
        self.port = free_port()
        self.names: set[str] = set()
        self.version: int | None = None
        self.payload_count = 0
        self.connections: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}
        self.begin()

    def begin(self) -> None:
        """Forget what was seen: a new step."""
        self.seen: Counter[str] = Counter()
        self.responses: list[int] = []
        self.router_errors: list[int] = []
        self.synced = asyncio.Event()

    async def open(self) -> None:
        """Take connections."""
        self.server = await asyncio.start_server(self.connected, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Refuse connections from now on; those there are end with the cache or the router."""
        self.server.close()

    async def abandon(self) -> None:
        """Refuse connections, and end those there are."""
        self.server.close()
        for router in self.connections.values():
            router.close()
        await asyncio.wait_for(asyncio.gather(*filter(None, self.connections)), 5)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self.connections[task] = writer
        self.note("connection", "opened")
        try:
            cache_reader, cache_writer = await asyncio.open_connection("127.0.0.1", self.cache_port)
            self.names.add("{}:{}".format(*cache_writer.get_extra_info("sockname")))
            try:
                await self.pass_on(reader, cache_writer, cache_reader, writer)
            finally:
                cache_writer.close()
        except OSError as fault:
            self.note("connection", str(fault))
        finally:
            writer.close()
            del self.connections[task]
            self.note("connection", "closed")

    async def pass_on(
        self,
        from_router: asyncio.StreamReader,
        to_cache: asyncio.StreamWriter,
        from_cache: asyncio.StreamReader,
        to_router: asyncio.StreamWriter,
    ) -> None:
        """Both directions, until either side closes."""
        pumps = {
            asyncio.create_task(self.pump("router", from_router, to_cache)),
            asyncio.create_task(self.pump("cache", from_cache, to_router)),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()

    async def pump(self, side: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = bytearray()
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                if self.is_plain:
                    buffer += data
                    self.look(side, buffer)
                await writer.drain()

    def look(self, side: str, buffer: bytearray) -> None:
        """Take whole PDUs off the front of the buffer."""
        while len(buffer) >= 8:
            length = int.from_bytes(buffer[4:8], "big")
            if not 8 <= length <= MAX_PDU_BYTES:
                self.note(side, f"not a PDU: {buffer[:8].hex()}")
                buffer.clear()
                return
            if len(buffer) < length:
                return
            self.saw(side, bytes(buffer[:length]))
            del buffer[:length]

    def saw(self, side: str, pdu: bytes) -> None:
        name = NAMES.get(pdu[1], f"type {pdu[1]}")
        self.note(side, f"V{pdu[0]} {name} {pdu[2:4].hex()} {pdu[8:].hex()}")
        self.seen[name] += 1
        if name == "Error Report" and side == "router":
            self.router_errors.append(int.from_bytes(pdu[2:4], "big"))
        if name in PAYLOAD:
            self.payload_count += 1
        if name == "Cache Response":
            self.payload_count = 0
        if name == "End of Data":
            self.version = pdu[0]
            self.responses.append(self.payload_count)
            self.synced.set()

    def note(self, side: str, what: str) -> None:
        with self.log.open("a") as log:
            print(f"{time.monotonic():.3f}", side, what, file=log)
