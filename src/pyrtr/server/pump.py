"""Back-pressure: a shared image goes to one router a slice at a time, as fast as that router takes it.

The transport is given a slice only when it holds nothing else, so that a router that does not read costs one reference
to the image, and a slice that the kernel has taken in part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Pump:
    """Sends one response after another through one transport.

    Args:
        transport: where to; its write limits are set so that it says when it has given away everything.
        slice_bytes: how much may be handed over at once now.
        done: called in a turn of its own when the whole response has been handed over.

    Attributes:
        is_paused: whether the transport holds octets that it could not give away yet.
        is_cut: whether a response was stopped before all of it was handed over.
    """

    def __init__(self, transport: asyncio.Transport, slice_bytes: Callable[[], int], done: Callable[[], None]) -> None:
        transport.set_write_buffer_limits(high=1, low=0)  # with a high mark of 0 uvloop's TLS pauses, and never resumes
        self.is_paused = False
        self.is_cut = False
        self._transport = transport
        self._slice_bytes = slice_bytes
        self._done = done
        self._head = b""
        self._rest: memoryview | None = None
        self._tail = b""
        self._loop = asyncio.get_running_loop()

    def start(self, head: bytes, body: memoryview, tail: bytes) -> None:
        """Send a response: what is small goes out together (8210bis §9: not one segment per PDU)."""
        self._head, self._rest, self._tail = head, body, tail
        self._pump()

    def pause(self) -> None:
        """The transport holds octets that it could not give away yet."""
        self.is_paused = True

    def resume(self) -> None:
        """The transport holds nothing any more."""
        self.is_paused = False
        self._pump()

    def stop(self) -> None:
        """Let go of the image."""
        self.is_cut = self.is_cut or self._rest is not None
        self._rest = None

    def _pump(self) -> None:
        """Hand over the next slice; the one after it in another turn, since other routers want theirs."""
        if self._rest is None or self.is_paused or self._transport.is_closing():
            return  # a router that has reset it is gone already, and we are told in a later turn
        size = self._slice_bytes()
        part, self._rest = self._rest[:size], self._rest[size:]
        parts: list[bytes | memoryview] = [self._head, part] if self._rest else [self._head, part, self._tail]
        self._head = b""
        if self._rest:
            self._loop.call_soon(self._pump)
        else:
            self._rest = None
            self._loop.call_soon(self._done)
        self._transport.writelines(parts)
