"""What the golden bytes do not show: what is never encoded, what is cut, and how long a PDU may be."""

import struct

import pytest
from tests.examples import aspa, key

from pyrtr.wire.codec import MAX_ERROR_TEXT_BYTES, decode, encode
from pyrtr.wire.enums import ErrorCode, Version
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.framer import MAX_PDU_BYTES
from pyrtr.wire.pdu import AspaAnnounce, AspaWithdraw, EndOfData, ErrorReport, Key, Timing


@pytest.mark.parametrize(
    ("version", "pdu"),
    [
        (Version.V0, Key(key(), announce=True)),
        (Version.V0, AspaAnnounce(aspa(64496, 64497))),
        (Version.V1, AspaAnnounce(aspa(64496, 64497))),
        (Version.V1, AspaWithdraw(64496)),
        (Version.V0, EndOfData(1, 2, Timing())),
        (Version.V1, EndOfData(1, 2, None)),
        (Version.V2, EndOfData(1, 2, None)),
    ],
)
def test_a_version_is_not_made_to_say_what_it_can_not(version, pdu):
    with pytest.raises(ValueError, match=r"version [012] "):
        encode(version, pdu)


def report_parts(pdu: bytes) -> tuple[bytes, str]:
    """The copy and the text of an Error Report, read by its lengths."""
    (copy_bytes,) = struct.unpack_from("!I", pdu, 8)
    (text_bytes,) = struct.unpack_from("!I", pdu, 12 + copy_bytes)
    assert len(pdu) == 16 + copy_bytes + text_bytes
    return pdu[12 : 12 + copy_bytes], pdu[16 + copy_bytes :].decode()


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize(
    ("copy_bytes", "text", "kept"),
    [(65519, "", 65519), (65520, "", 65519), (65519, "text", 65515), (65535, "text", 65515), (70000, "é", 65517)],
)
def test_a_copy_is_cut_where_the_report_would_not_fit(version, copy_bytes, text, kept):
    """8210bis §5.8: "If the entire erroneous PDU will not fit in the Erroneous PDU field, it MUST be truncated"."""
    erroneous_pdu = bytes(index % 251 for index in range(copy_bytes))
    pdu = encode(version, ErrorReport(0, erroneous_pdu, text))
    assert len(pdu) <= MAX_PDU_BYTES
    assert report_parts(pdu) == (erroneous_pdu[:kept], text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a" * MAX_ERROR_TEXT_BYTES, "a" * MAX_ERROR_TEXT_BYTES),
        ("a" * (MAX_ERROR_TEXT_BYTES + 1), "a" * MAX_ERROR_TEXT_BYTES),
        ("a" + "é" * MAX_ERROR_TEXT_BYTES, "a" + "é" * ((MAX_ERROR_TEXT_BYTES - 1) // 2)),
        ("€" * MAX_ERROR_TEXT_BYTES, "€" * (MAX_ERROR_TEXT_BYTES // 3)),
        ("\ud800 from a file name", "? from a file name"),
    ],
    ids=["fits", "one too many", "two octets a character", "three", "lone surrogate"],
)
def test_a_text_is_cut_between_characters(text, kept):
    assert report_parts(encode(Version.V2, ErrorReport(0, b"", text)))[1] == kept


def error_report_of(size: int) -> bytes:
    return struct.pack("!BBHII", 2, 10, 0, size, size - 16) + bytes(size - 12)


def test_a_pdu_of_65535_octets_is_decoded():
    assert decode(error_report_of(65535)) == (Version.V2, ErrorReport(0, bytes(65519), ""))


def test_a_longer_pdu_is_refused():
    with pytest.raises(ProtocolError) as caught:
        decode(error_report_of(65536))
    assert caught.value.code is ErrorCode.CORRUPT_DATA


def test_the_longest_aspa_goes_round():
    announcement = AspaAnnounce(aspa(64496, *range(1, 16381)))
    pdu = encode(Version.V2, announcement)
    assert len(pdu) == 12 + 4 * 16380
    assert decode(pdu) == (Version.V2, announcement)
