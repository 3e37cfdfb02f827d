"""Written conversations, read by the codec, the framer and the images."""

from __future__ import annotations

import pytest
from tests.golden.transcript import FOLDER, read_transcript

from pyrtr.payload.delta import difference
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import VRP, Aspa, RouterKey
from pyrtr.wire.codec import decode, encode
from pyrtr.wire.enums import PduType
from pyrtr.wire.framer import Framer
from pyrtr.wire.image import encode_delta, encode_snapshot
from pyrtr.wire.pdu import (
    AspaAnnounce,
    AspaWithdraw,
    CacheResponse,
    EndOfData,
    Key,
    Prefix,
    ResetQuery,
    SerialQuery,
)

QUERIES = {PduType.SERIAL_QUERY, PduType.RESET_QUERY}

pytestmark = pytest.mark.parametrize("path", sorted(FOLDER.glob("*.hex")), ids=lambda path: path.stem)


def test_every_pdu_is_decoded_and_encoded_again(path):
    for message in read_transcript(path):
        version, pdu = decode(message.octets)
        assert encode(version, pdu) == message.octets


def test_the_sender_may_send_it(path):
    for message in read_transcript(path):
        assert message.sender == ("router" if message.octets[1] in QUERIES else "cache")


def test_a_stream_has_the_same_pdus(path):
    for sender in ("router", "cache"):
        pdus = [message.octets for message in read_transcript(path) if message.sender == sender]
        framer = Framer()
        framer.feed(b"".join(pdus))
        for pdu in pdus:
            header = framer.header()
            assert header is not None
            assert framer.take(header.length) == pdu
        assert len(framer) == 0


def test_images_are_what_is_written(path):
    """Each answer, octet by octet, is the image of the payload that it leads to."""
    payload: dict[object, VRP | RouterKey | Aspa] = {}  # by what identifies it
    before, body, is_reset = PayloadTable.of(), b"", False
    for message in read_transcript(path):
        version, pdu = decode(message.octets)
        body += message.octets
        match pdu:
            case ResetQuery() | SerialQuery():
                before, is_reset = PayloadTable.of(payload.values()), isinstance(pdu, ResetQuery)
            case CacheResponse():
                body = b""
                if is_reset:
                    payload.clear()
            case Prefix(value, announce=True) | Key(value, announce=True):
                payload[value] = value
            case Prefix(value, announce=False) | Key(value, announce=False):
                del payload[value]
            case AspaAnnounce(aspa):
                payload[aspa.customer_asn] = aspa
            case AspaWithdraw(customer_asn):
                del payload[customer_asn]
            case EndOfData():
                after = PayloadTable.of(payload.values())
                image = (
                    encode_snapshot(version, after) if is_reset else encode_delta(version, difference(before, after))
                )
                assert image.body == body.removesuffix(message.octets)
            case _:  # no payload
                pass
