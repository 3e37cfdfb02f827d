"""Octets in any pieces, whole PDUs out."""

import pytest

from pyrtr.wire.framer import MAX_PDU_BYTES, Framer, Header

RESET_QUERY = bytes.fromhex("01 02 0000 00000008")
SERIAL_QUERY = bytes.fromhex("01 01 1234 0000000c 00000007")
ERROR_REPORT = bytes.fromhex("01 0a 0000 00000018 00000004 01020000 00000004 74657874")
PDUS = [SERIAL_QUERY, RESET_QUERY, ERROR_REPORT, RESET_QUERY]
STREAM = b"".join(PDUS)


def pull(framer: Framer) -> list[bytes]:
    """Every PDU that is whole."""
    pdus = []
    while (header := framer.header()) and (pdu := framer.take(header.length)) is not None:
        pdus.append(pdu)
    return pdus


@pytest.mark.parametrize("size", [*range(1, 13), len(STREAM)])
def test_pieces_of_any_size(size):
    framer, pdus = Framer(), []
    for start in range(0, len(STREAM), size):
        framer.feed(STREAM[start : start + size])
        pdus += pull(framer)
    assert pdus == PDUS
    assert len(framer) == 0


@pytest.mark.parametrize("tail", [SERIAL_QUERY[:size] for size in range(1, len(SERIAL_QUERY))], ids=len)
def test_a_tail_waits_for_its_rest(tail):
    framer = Framer()
    framer.feed(RESET_QUERY + tail)
    assert pull(framer) == [RESET_QUERY]
    assert len(framer) == len(tail)
    framer.feed(SERIAL_QUERY[len(tail) :])
    assert pull(framer) == [SERIAL_QUERY]


def test_a_header_is_there_before_its_body():
    framer = Framer()
    framer.feed(SERIAL_QUERY[:7])
    assert framer.header() is None
    framer.feed(SERIAL_QUERY[7:8])
    assert framer.header() == framer.header() == Header(version=1, type=1, field=0x1234, length=12)
    assert framer.take(12) is None
    assert len(framer) == 8


def test_a_header_is_not_checked():
    framer = Framer()
    framer.feed(b"GET / HTTP/1.1")
    assert framer.header() == Header(version=0x47, type=0x45, field=0x5420, length=0x2F204854)


def test_a_pdu_is_a_copy_of_its_own():
    framer = Framer()
    framer.feed(RESET_QUERY)
    pdu = framer.take(8)
    framer.feed(SERIAL_QUERY)
    assert isinstance(pdu, bytes)
    assert pdu == RESET_QUERY


def test_a_refused_pdu_is_taken_by_its_length():
    framer = Framer()
    framer.feed(b"\x07" + SERIAL_QUERY[1:] + RESET_QUERY)
    assert framer.take(12) == b"\x07" + SERIAL_QUERY[1:]
    assert pull(framer) == [RESET_QUERY]


def test_peek_consumes_nothing():
    framer = Framer()
    framer.feed(SERIAL_QUERY)
    assert framer.peek(4) == SERIAL_QUERY[:4]
    assert framer.peek(100) == SERIAL_QUERY
    assert len(framer) == 12


def test_clear():
    framer = Framer()
    framer.feed(SERIAL_QUERY)
    framer.clear()
    assert (len(framer), framer.header(), framer.peek(8)) == (0, None, b"")


def test_the_longest_pdu():
    """8210bis §5.1: a PDU is no longer than 65535 octets."""
    assert MAX_PDU_BYTES == 65535
