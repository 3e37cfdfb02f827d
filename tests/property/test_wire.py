"""Round trips, arbitrary octets, and streams in arbitrary pieces."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.property.strategies import uint16, versioned_pdus

from pyrtr.wire.codec import decode, encode
from pyrtr.wire.enums import PDU_TYPES, ErrorCode, PduType
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.framer import Framer

CODES = {
    ErrorCode.CORRUPT_DATA,
    ErrorCode.UNSUPPORTED_PROTOCOL_VERSION,
    ErrorCode.UNSUPPORTED_PDU_TYPE,
    ErrorCode.ASPA_PROVIDER_LIST_ERROR,
}


def framed(version: int, pdu_type: int, field: int, body: bytes) -> bytes:
    return struct.pack("!BBHI", version, pdu_type, field, 8 + len(body)) + body


few_or_whole_words = st.binary(max_size=40) | st.lists(st.binary(min_size=4, max_size=4), max_size=30).map(b"".join)
well_framed = st.builds(framed, st.integers(0, 3), st.integers(0, 12), uint16, few_or_whole_words)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A PDU with one octet changed."""
    octets = bytearray(encode(*draw(versioned_pdus)))
    octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    return bytes(octets)


@given(versioned_pdus)
def test_a_pdu_goes_round(versioned_pdu):
    octets = encode(*versioned_pdu)
    assert decode(octets) == versioned_pdu
    assert struct.unpack_from("!I", octets, 4) == (len(octets),)


@settings(max_examples=500)
@given(st.binary(max_size=200) | well_framed | damaged())
@example(b"")
def test_any_octets_are_a_pdu_or_a_protocol_error(octets):
    try:
        version, pdu = decode(octets)
    except ProtocolError as error:
        refusal = error
    else:
        assert (octets[0], struct.unpack_from("!I", octets, 4)) == (version, (len(octets),))
        assert decode(encode(version, pdu)) == (version, pdu)
        return
    assert refusal.code in CODES
    assert refusal.erroneous_pdu == octets


@given(st.integers(0, 255), st.integers(0, 255), uint16)
def test_a_type_is_known_or_refused_by_its_version(version, pdu_type, field):
    known = {number: {int(kind) for kind in kinds} for number, kinds in PDU_TYPES.items()}
    with pytest.raises(ProtocolError) as caught:
        decode(framed(version, pdu_type, field, b"?"))  # no PDU has 9 octets
    if version > 2:
        assert caught.value.code is ErrorCode.UNSUPPORTED_PROTOCOL_VERSION
    elif pdu_type not in known[version]:
        assert caught.value.code is ErrorCode.UNSUPPORTED_PDU_TYPE
    else:
        assert caught.value.code is ErrorCode.CORRUPT_DATA
        assert PduType(pdu_type).name.replace("_", " ").title() in caught.value.text


@given(st.lists(versioned_pdus, max_size=6), st.data())
def test_any_split_of_a_stream_gives_the_same_pdus(versioned_pdus, data):
    expected = [encode(*versioned_pdu) for versioned_pdu in versioned_pdus]
    stream = b"".join(expected)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    framer, received = Framer(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        framer.feed(stream[start:end])
        while (header := framer.header()) and (pdu := framer.take(header.length)) is not None:
            received.append(pdu)
    assert received == expected
    assert len(framer) == 0
