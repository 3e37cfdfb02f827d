"""A BGP neighbour that announces probe routes and listens no further: enough of RFC 4271 to see a router validate."""

import asyncio
import struct
from collections.abc import Iterable

from tests.interop.payload import OTHER, Network, Probe

ADDRESS = "127.0.0.2"
AS_TRANS = 23456
MARKER = b"\xff" * 16
OPEN, UPDATE, KEEPALIVE = 1, 2, 4
FAMILIES = {4: (1, 1), 6: (2, 1)}  # AFI, SAFI
PATH_ID = 1


def message(kind: int, body: bytes = b"") -> bytes:
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def capability(code: int, value: bytes) -> bytes:
    return bytes([2, 2 + len(value), code, len(value)]) + value  # each an optional parameter of its own, RFC 5492


def open_message() -> bytes:
    """Without hold timer; multiprotocol, 4-octet AS, role customer (RFC 9234), several paths a prefix (RFC 7911)."""
    capabilities = b"".join(capability(1, struct.pack("!HBB", afi, 0, safi)) for afi, safi in FAMILIES.values())
    capabilities += capability(65, struct.pack("!I", OTHER)) + capability(9, bytes([3]))
    capabilities += capability(69, b"".join(struct.pack("!HBB", afi, safi, 2) for afi, safi in FAMILIES.values()))
    identifier = bytes(map(int, ADDRESS.split(".")))
    return message(OPEN, struct.pack("!BHH", 4, AS_TRANS, 0) + identifier + bytes([len(capabilities)]) + capabilities)


def attribute(flags: int, code: int, value: bytes) -> bytes:
    return bytes([flags, code, len(value)]) + value


def nlri(prefix: Network, path_id: int) -> bytes:
    octets = prefix.network_address.packed[: (prefix.prefixlen + 7) // 8]
    return struct.pack("!IB", path_id, prefix.prefixlen) + octets


def update(probe: Probe, path_id: int) -> bytes:
    """One route; its path identifier keeps it apart from others with the same prefix."""
    attributes = attribute(0x40, 1, b"\0")  # ORIGIN
    attributes += attribute(0x40, 2, struct.pack(f"!BB{len(probe.path)}I", 2, len(probe.path), *probe.path))
    route = nlri(probe.prefix, path_id)
    if probe.prefix.version == 6:
        next_hop = bytes(15) + b"\1"
        reach = struct.pack("!HBB", *FAMILIES[6], len(next_hop)) + next_hop + b"\0" + route
        attributes += attribute(0x80, 14, reach)  # MP_REACH_NLRI
        route = b""
    else:
        attributes += attribute(0x40, 3, bytes(map(int, ADDRESS.split("."))))  # NEXT_HOP
    return message(UPDATE, struct.pack("!HH", 0, len(attributes)) + attributes + route)


class Neighbour:
    """One session; the routes stay announced as long as it is open."""

    def __init__(self) -> None:
        self.writer: asyncio.StreamWriter | None = None

    async def start(self, port: int, routes: Iterable[Probe]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(ADDRESS, 0))
        self.writer = writer
        writer.write(open_message() + message(KEEPALIVE))
        async with asyncio.timeout(10):
            while (await self.message_kind(reader)) != KEEPALIVE:
                pass
        writer.writelines(update(route, n) for n, route in enumerate(routes, start=1))

    async def message_kind(self, reader: asyncio.StreamReader) -> int:
        head = await reader.readexactly(19)
        body = await reader.readexactly(int.from_bytes(head[16:18], "big") - 19)
        if head[18] not in (OPEN, KEEPALIVE):
            raise OSError(f"the router answers our OPEN with message {head[18]}: {body.hex()}")
        return head[18]

    async def stop(self) -> None:
        if self.writer is not None:
            self.writer.close()
