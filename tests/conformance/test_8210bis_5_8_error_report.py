"""8210bis §5.8, §12 (RFC 8210 §5.11, §12): the Error Reports that the cache sends."""

import struct

import pytest
from tests.conformance.harness import SAMPLE, Pair, report
from tests.model_core import Sync, error_report, reset_query
from tests.model_pdus import ERROR_REPORT, HIGHEST_CODE, MAX_PDU_BYTES, Pdu

from pyrtr.session.cache import MAX_TEXT
from pyrtr.wire.pdu import ErrorReport

INTERNAL_ERROR, UNSUPPORTED_PDU_TYPE = 1, 5


def unknown_type(version: int, size: int) -> bytes:
    return struct.pack("!BBHI", version, 99, 0, size) + b"\xa5" * (size - 8)


@pytest.mark.parametrize("size", [8, 9, 300, 60000, 65400, MAX_PDU_BYTES - 16, MAX_PDU_BYTES - 15, MAX_PDU_BYTES])
def test_the_copy_is_what_was_received(version: int, size: int) -> None:
    """B78: Length = 16 + E + T; the copy is complete unless too long, and cut where the report would not fit."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    pdu = unknown_type(version, size)
    answer = report(pair.send(pdu))
    room = MAX_PDU_BYTES - 16 - len(answer.text.encode())
    assert answer.copy == pdu[:room]
    assert len(answer.copy) >= 4


def test_an_internal_error_is_reported_without_a_copy(version: int) -> None:
    """B79, B84: code 1 for own failures, E = 0, then close; never is a response left unfinished in silence."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = True
    pair.send(reset_query(version))
    answer = report(pair.fail("the image could not be read"))
    assert (answer.code, answer.copy, answer.text) == (INTERNAL_ERROR, b"", "the image could not be read")
    assert pair.closed is not None


@pytest.mark.parametrize("text", ["", "a", "ü" * 2000, "€" * 2000, "𝄞" * 2000, "a" + "𝄞" * 2000, "\ud800"])
def test_the_text_is_whole_characters(version: int, text: str) -> None:
    """B80: T = 0 without a text; UTF-8 without cutting a character (the model router decodes it strictly)."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = True
    pair.send(reset_query(version))
    answer = report(pair.fail(text))
    assert text.encode("utf-8", "replace").decode().startswith(answer.text)
    assert bool(answer.text) == bool(text)


FAULTS = {
    "short": lambda version: struct.pack("!BBHI", version, 2, 0, 4),
    "long": lambda version: struct.pack("!BBHI", version, 2, 0, 2**20),
    "no query": lambda version: struct.pack("!BBHI", version, 3, 0, 8),
    "unknown": lambda version: struct.pack("!BBHI", version, 99, 0, 8),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_report_is_of_the_version_that_is_spoken(version: int, fault, is_first: bool) -> None:
    """B81, B82: the version octet is the negotiated version, or that of a first PDU; the code is one that it has."""
    pair = Pair(version, *SAMPLE)
    if not is_first:
        pair.reset()
    answer = report(pair.send(fault(version)))
    assert answer.version == version
    assert answer.code <= HIGHEST_CODE[version]
    assert answer.text
    assert answer.text.isascii()  # English in version 2, and so everywhere
    assert pair.closed is not None
    assert not pair.closed.abort  # B83: in such a way that the report arrives


def test_a_report_waits_for_the_end_of_the_response(version: int) -> None:
    """B63, B83: a fault that is found in mid-response is reported after it, where a PDU may stand."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = True
    pair.send(reset_query(version))
    assert pair.send(unknown_type(version, 12)) == []
    assert not pair.session.wants_input
    sync, *rest = pair.go_on()
    assert isinstance(sync, Sync)
    assert report(rest).code == UNSUPPORTED_PDU_TYPE


@pytest.mark.parametrize("step", [0, 1, 5])
def test_pieces_do_not_change_a_report(version: int, step: int) -> None:
    """B1, B78: whatever the pieces, a fault is reported in the same octets."""
    for data in (
        struct.pack("!BBHI", version, 2, 0, 12) + b"\0" * 4,
        unknown_type(version, 30),
        bytes([version, 1]) * 9,
    ):
        whole, split = Pair(version, *SAMPLE), Pair(version, *SAMPLE)
        whole.send(data)
        split.send(data, step)
        assert split.events == whole.events


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("length", [*range(24), 65536, 2**32 - 1])
def test_no_report_about_a_report(version: int, length: int, is_first: bool) -> None:
    """B85: no report in answer to a report, whatever is wrong with it, before or after negotiation."""
    pair = Pair(version, *SAMPLE)
    if not is_first:
        pair.reset()
    pair.events.clear()
    pdu = struct.pack("!BBHI", version, ERROR_REPORT, 2, length) + b"\xff" * 16
    assert pair.send(pdu) == []
    assert pair.closed is not None


@pytest.mark.parametrize("code", [0, 1, 3, 5, 6, 7])
@pytest.mark.parametrize("is_slow", [True, False])
def test_a_fatal_report_ends_the_session(version: int, code: int, is_slow: bool) -> None:
    """B86, R11: a fatal code ends the session, silently, also in mid-response."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = is_slow
    pair.send(reset_query(version))
    heard = len(pair.events)
    assert pair.send(error_report(version, code, b"\0" * 20, b"broken")) == []
    assert pair.closed is not None
    assert pair.closed.abort is is_slow  # nobody takes the rest of a response
    assert len(pair.events) == heard
    assert pair.session.error_received is not None
    assert pair.session.error_received.code == code


def test_of_a_long_report_the_beginning_is_kept(version: int) -> None:
    """B88, B89: a router may say 64 KiB, and stay; what it costs, in memory and in the log, is bounded."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    assert pair.send(error_report(version, 2, b"\1" * 30_000, b"x" * 30_000)) == []
    assert pair.closed is None
    assert pair.session.error_received == ErrorReport(2, b"", "x" * MAX_TEXT)
    assert pair.notes[-1].fields["text"] == "x" * MAX_TEXT


@pytest.mark.parametrize(
    ("version", "code"),
    [(0, 8), (0, 13), (1, 9), (1, 12), (2, 14), (0, 200), (1, 255), (2, 255), (2, 256), (2, 65535)],
)
def test_an_unassigned_code_ends_the_session(version: int, code: int) -> None:
    """B87, R10: a report with a code that the version does not have: drop and log."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    assert pair.send(error_report(version, code, b"", b"odd")) == []
    assert pair.closed is not None
    assert pair.notes[-1].is_warning


@pytest.mark.parametrize("code", [0, 2])
@pytest.mark.parametrize(
    ("copy_bytes", "text_bytes"), [(2**32 - 1, 0), (13, 0), (12, 1), (9, 0), (8, 1), (0, 2**32 - 1), (2**31, 2**31)]
)
def test_lengths_that_do_not_add_up_end_the_session(version: int, code: int, copy_bytes: int, text_bytes: int) -> None:
    """B87, B88, R10: both lengths of a report are checked against its Length before they are used."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    body = struct.pack("!I", copy_bytes) + b"\0" * 8 + struct.pack("!I", text_bytes)
    assert pair.send(struct.pack("!BBHI", version, ERROR_REPORT, code, 8 + len(body)) + body) == []
    assert pair.closed is not None


COPIES = {
    "none": b"",
    "header": reset_query(2),
    "cut": reset_query(2)[:5],
    "long": b"\xff" * 65000,
    "queries": reset_query(2) * 3,
    "report": error_report(2, 0, b"\0" * 8),
}
TEXTS = {"none": b"", "nul": b"no such thing\0", "binary": b"\xff\xfe\x80", "terminal": b"\x1b[2J\r\nfaked line"}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("step", [0, 4096])
def test_the_copy_in_a_report_is_never_acted_on(version: int, copy: bytes, text: bytes, step: int) -> None:
    """B88, B89, B90, R10: a report that makes no sense is kept silent about, with any copy and any text."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    assert pair.send(error_report(version, 2, copy, text), step) == []
    assert pair.closed is None
    assert pair.update().pdus == ()


@pytest.mark.parametrize(("version", "code", "stays"), [(0, 4, False), (1, 4, False), (2, 4, True), (2, 12, True)])
def test_non_fatal_codes_from_a_router_keep_the_session(version: int, code: int, stays: bool) -> None:
    """B90: codes that make no sense from a router are kept silent about; 4 and 12 are non-fatal in version 2 only."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    assert pair.send(error_report(version, code)) == []
    assert (pair.closed is None) is stays


def test_reports_are_of_the_cache_alone(version: int) -> None:
    """B82: codes that only routers send (6, 7, 9, 11) never come from the cache, whatever it hears."""
    codes = set()
    for fault in FAULTS.values():
        pair = Pair(version, *SAMPLE)
        pair.reset()
        pair.send(fault(version))
        codes |= {event.code for event in pair.events if isinstance(event, Pdu)}
    assert codes <= {0, 3, 5}


def test_nothing_is_said_after_the_end(version: int) -> None:
    """8210bis §8: whatever happens to a session that has ended, of its own or of the transport, nobody hears of it."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    pair.leave(None)
    assert pair.closed is not None
    assert pair.fail("the image could not be read") == []
    pair.session.blocked(pair.source, pair.now)
    assert pair.wait(1_000_000) == []
