"""A stream of octets in, whole PDUs out (8210bis §5.1, §9)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER_BYTES = 8
# 8210bis §5.1: no PDU is longer. Versions 0 and 1 give no number, but the length is the peer's word for how much we
# are to buffer, so the same limit holds there.
MAX_PDU_BYTES = 65535

_HEADER = struct.Struct("!BBHI")


@dataclass(frozen=True, slots=True)
class Header:
    """The first 8 octets of a PDU, as they came: nothing in it has been checked.

    offset  bytes  field
    0       1      version
    1       1      type
    2       2      session id, error code, flags or zero, by type
    4       4      length of the whole PDU, header included
    """

    version: int
    type: int
    field: int
    length: int


class Framer:
    """Collects octets until a PDU is whole. It may be fed in any pieces; nothing is lost between calls."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __len__(self) -> int:
        """Octets that are waiting."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Append what was received."""
        self._buffer += data

    def header(self) -> Header | None:
        """The header of the next PDU, or None while it is incomplete. Does not consume it."""
        if len(self._buffer) < HEADER_BYTES:
            return None
        return Header(*_HEADER.unpack_from(self._buffer))

    def peek(self, size: int) -> bytes:
        """Up to `size` waiting octets, for a copy of what can't be consumed as a PDU."""
        return bytes(self._buffer[:size])

    def take(self, length: int) -> bytes | None:
        """Consume a PDU of `length` octets (8..65535), or None while it is incomplete."""
        if len(self._buffer) < length:
            return None
        pdu = bytes(self._buffer[:length])
        del self._buffer[:length]
        return pdu

    def clear(self) -> None:
        """Forget what is waiting."""
        self._buffer.clear()
