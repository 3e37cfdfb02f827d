"""A router may reset its connection at any moment: the event loop has closed it then, and tells us a turn later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pyrtr.server.pump import Pump


class Closed(asyncio.Transport):
    """As uvloop's is then."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return True

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:  # noqa: ARG002
        raise RuntimeError("the handler is closed")


async def test_nothing_is_handed_to_a_closed_transport() -> None:
    pump = Pump(Closed(), lambda: 1, lambda: None)
    pump.start(b"head", memoryview(b"body"), b"tail")
    pump.stop()
    assert pump.is_cut
