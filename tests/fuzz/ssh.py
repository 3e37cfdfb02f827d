"""Octets of somebody who has not logged in to SSH: they end in nothing worse than the end of the connection."""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import asyncssh
from structlog.testing import capture_logs
from tests.unit.web.world import published

from pyrtr.server.peers import Peer
from pyrtr.server.publisher import Publisher
from pyrtr.server.registry import Registry
from pyrtr.server.ssh import SshDoor, SshFiles, _Carrier
from pyrtr.wire.enums import Version

BANNER = b"SSH-2.0-fuzz\r\n"
TURNS = 5


def ssh(data: bytes) -> None:
    """The first octet says whether the rest is a stream, or a list of packets, each after an octet for its length."""
    is_stream, rest = (data or b"\0")[0] < 64, data[1:]
    loop, faults = _loop()
    door = _door()
    with capture_logs() as lines:
        loop.run_until_complete(_talk(loop, door, rest if is_stream else BANNER + _packets(rest)))
    assert faults == []
    assert len(lines) <= 1, lines


def _packets(data: bytes) -> bytes:
    """As RFC 4253 section 6 has them before keys are exchanged."""
    stream, at = bytearray(), 0
    while at < len(data):
        payload = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
        padding = 4 + (-len(payload) - 9) % 8
        stream += (1 + len(payload) + padding).to_bytes(4) + bytes([padding]) + payload + bytes(padding)
    return bytes(stream)


async def _talk(loop: asyncio.AbstractEventLoop, door: SshDoor, stream: bytes) -> None:
    has_left: list[bool] = []
    peer = Peer(ip_address("192.0.2.1"), "192.0.2.1:22", lambda: has_left.append(True))
    carrier, transport = _Carrier(loop, door._identity.options, door, peer), _Transport()
    carrier.connection_made(transport)
    for start in range(0, len(stream), 1024):
        if not transport.is_closing():
            carrier.data_received(stream[start : start + 1024])
        for _ in range(TURNS):
            await asyncio.sleep(0)
    carrier.connection_lost(None)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert has_left, "its place is not given back"
    assert not door._registry.connections, "somebody came in"


@cache
def _loop() -> tuple[asyncio.AbstractEventLoop, list[dict[str, Any]]]:
    """The event loop of all runs, and what went wrong in it behind our backs."""
    loop = asyncio.new_event_loop()
    faults: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    return loop, faults


@cache
def _door() -> SshDoor:
    registry = Registry(Publisher(published()), Version.V0, Version.V2)
    with tempfile.TemporaryDirectory() as name:
        authorized_keys = Path(name, "authorized_keys")
        authorized_keys.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_public_key())
        return SshDoor(SshFiles(Path(name, "host_key"), authorized_keys, None), registry, with_old_algorithms=False)


class _Transport(asyncio.Transport):
    """Takes everything."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 22), "sockname": ("192.0.2.2", 22)})
        self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    abort = close

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass
