"""Octets of a peer as PDUs: the framer and the codec."""

from __future__ import annotations

from pyrtr.wire.codec import decode, encode
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.framer import HEADER_BYTES, MAX_PDU_BYTES, Framer


def framer(data: bytes) -> None:
    """A stream gives the same PDUs however it is cut, and nothing is lost. The first octet says how it is cut."""
    step, stream = data[:1], data[1:]
    whole, left = _cut([stream])
    size = 1 + (step or b"\0")[0]
    assert _cut([stream[at : at + size] for at in range(0, len(stream), size)]) == (whole, left)
    assert b"".join(whole) + left == stream


def _cut(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """The PDUs of a stream, up to a length that no PDU has, and what is left."""
    framer, pdus = Framer(), []
    for piece in pieces:
        framer.feed(piece)
        while (header := framer.header()) and HEADER_BYTES <= header.length <= MAX_PDU_BYTES:
            pdu = framer.take(header.length)
            if pdu is None:
                break
            pdus.append(pdu)
    return pdus, framer.peek(len(framer))


def codec(data: bytes) -> None:
    """Any octets are a PDU, which encodes to what decodes to the same, or a `ProtocolError` that names them."""
    try:
        version, pdu = decode(data)
    except ProtocolError as error:
        named = error.erroneous_pdu
    else:
        assert decode(encode(version, pdu)) == (version, pdu)
        return
    assert named == data
