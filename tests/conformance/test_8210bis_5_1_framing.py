"""8210bis §5.1 and §9 (RFC 8210 §5.1, RFC 6810 §5.1): octets into PDUs, and what is no PDU of a router."""

import random
import struct

import pytest
from tests.conformance.harness import PAYLOAD_TYPES, SAMPLE, Pair, report, seen_by
from tests.model_core import Sync, reset_query, serial_query
from tests.model_pdus import ASPA, CACHE_PDUS, ERROR_REPORT, RESET_QUERY, ROUTER_KEY, SERIAL_QUERY

CORRUPT_DATA, INVALID_REQUEST, UNSUPPORTED_PDU_TYPE = 0, 3, 5


def header(version: int, kind: int, length: int, field: int = 0) -> bytes:
    return struct.pack("!BBHI", version, kind, field, length)


@pytest.mark.parametrize("step", [1, 3, 7, 8, 11, 13, 0])
def test_queries_in_any_pieces_get_the_same_answers(version: int, step: int) -> None:
    """B1: a PDU may arrive in any number of pieces, and several may share a segment."""
    pair = Pair(version, *SAMPLE)
    first, second = pair.send(reset_query(version) * 2, step)
    assert isinstance(first, Sync)
    assert isinstance(second, Sync)
    assert first.payload == second.payload == seen_by(version, *SAMPLE)
    assert pair.closed is None


def test_half_a_header_survives_an_update_and_a_timer(version: int) -> None:
    """B1: never lose a half-read header when something else wakes the connection."""
    pair = Pair(version, SAMPLE[0])
    pair.reset()
    query = pair.router.query()
    assert pair.send(query[:5]) == []
    pair.publish(*SAMPLE)
    pair.wait(61)
    pair.publish(*SAMPLE[1:])
    (answer,) = pair.send(query[5:])
    assert isinstance(answer, Sync)
    assert pair.router.payload == seen_by(version, *SAMPLE[1:])


def test_queued_queries_are_answered_in_order(version: int) -> None:
    """B2: queued queries are answered one after the other in arrival order, and never interleave."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    pair.is_slow = True
    session_id = pair.router.session_id
    assert session_id is not None
    unknown = serial_query(version, session_id, pair.router.serial - 7)
    assert pair.send(reset_query(version) + pair.router.query() + unknown + reset_query(version)) == []
    full, nothing, reset, again = pair.go_on()
    assert isinstance(full, Sync)
    assert isinstance(nothing, Sync)
    assert isinstance(again, Sync)
    assert (full.is_full, nothing.is_full, nothing.pdus, again.is_full) == (True, False, (), True)
    assert pair.router.cache_resets == 1
    assert reset == pair.events[-2]


def test_a_full_queue_stops_the_reading_and_loses_nothing(version: int) -> None:
    """B2: a bound on the queue is allowed; ours leaves further queries unread until there is room."""
    pair = Pair(version, *SAMPLE)
    pair.is_slow = True
    pair.send(reset_query(version) * 50)
    assert not pair.session.wants_input
    assert len(pair.go_on()) == 50
    assert pair.session.wants_input


@pytest.mark.parametrize("length", range(8))
def test_a_length_below_the_header_is_corrupt(version: int, length: int) -> None:
    """B3: Length counts the header; below 8 it is corrupt, and what follows is not looked at."""
    pair = Pair(version, *SAMPLE)
    assert report(pair.send(header(version, RESET_QUERY, length) + reset_query(version))).code == CORRUPT_DATA
    assert pair.closed is not None


@pytest.mark.parametrize("length", [65536, 2**24, 2**31, 2**32 - 1])
@pytest.mark.parametrize("kind", [RESET_QUERY, SERIAL_QUERY, 77])
def test_an_excessive_length_is_refused_on_the_header(version: int, kind: int, length: int) -> None:
    """B4, B5: a PDU longer than 65535 octets is refused on the header alone, in versions 0 and 1, too."""
    pair = Pair(version, *SAMPLE)
    assert report(pair.send(header(version, kind, length))).code == CORRUPT_DATA
    assert pair.closed is not None


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("kind", "length"),
    [(SERIAL_QUERY, length) for length in (8, 11, 13, 65535)] + [(RESET_QUERY, length) for length in (9, 12, 65535)],
)
def test_a_query_of_another_length_is_corrupt_at_once(version: int, kind: int, length: int, is_first: bool) -> None:
    """B6: Serial Query is 12 octets, Reset Query 8; any other Length is corrupt as soon as the header is there."""
    pair = Pair(version, *SAMPLE)
    if not is_first:
        pair.reset()
    answer = report(pair.send(header(version, kind, length, field=pair.router.session_id or 0)))
    assert answer.code == CORRUPT_DATA
    assert len(answer.copy) >= 4
    assert pair.closed is not None


@pytest.mark.parametrize("reserved", [1, 0x100, 0xFFFF])
def test_reserved_octets_of_a_query_are_ignored(version: int, reserved: int) -> None:
    """B7: reserved fields are ignored when received: a Reset Query with 0xffff in octets 2 and 3 is served."""
    pair = Pair(version, *SAMPLE)
    (answer,) = pair.send(reset_query(version, reserved))
    assert isinstance(answer, Sync)


def test_reserved_octets_and_flags_are_sent_as_zero(version: int) -> None:
    """B7, B8: reserved fields are sent as zero and only bit 0 of Flags is used (the model router insists on both)."""
    pair = Pair(version, *SAMPLE)
    full = pair.reset()
    pair.publish()
    empty = pair.update()
    assert {pdu.type for pdu in full.pdus} == {pdu.type for pdu in empty.pdus} == PAYLOAD_TYPES[version]
    assert pair.router.payload == frozenset()


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("kind", [5, 12, 99, 254, 255])
def test_an_unknown_type_is_unsupported(version: int, kind: int, is_first: bool) -> None:
    """B9: an unknown PDU type gets code 5 with a copy of the PDU, then the connection is closed."""
    pair = Pair(version, *SAMPLE)
    if not is_first:
        pair.reset()
    pdu = header(version, kind, 12) + b"\1\2\3\4"
    answer = report(pair.send(pdu))
    assert (answer.code, answer.copy) == (UNSUPPORTED_PDU_TYPE, pdu)
    assert pair.closed is not None


@pytest.mark.parametrize(("version", "kind"), [(0, ROUTER_KEY), (0, ASPA), (1, ASPA)])
def test_a_type_of_a_later_version_is_unsupported(version: int, kind: int) -> None:
    """B9: type 9 in a version 0 session, and type 11 in a version 0 or 1 session, are unknown."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    assert report(pair.send(header(version, kind, 8))).code == UNSUPPORTED_PDU_TYPE
    assert pair.closed is not None


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("version", "kind", "length"),
    [
        (version, kind, shortest[version])
        for kind, (_, first_version, shortest, _) in CACHE_PDUS.items()
        for version in range(first_version, 3)
        if kind != ERROR_REPORT
    ],
)
def test_what_only_caches_send_is_an_invalid_request(version: int, kind: int, length: int, is_first: bool) -> None:
    """B10, B20: a known type that only caches send is a bad request: code 3, then the connection is closed."""
    pair = Pair(version, *SAMPLE)
    if not is_first:
        pair.reset()
    pdu = header(version, kind, length) + bytes(length - 8)
    answer = report(pair.send(pdu))
    assert (answer.code, answer.copy, answer.version) == (INVALID_REQUEST, pdu, version)
    assert pair.closed is not None


NOISE = {
    "http": b"GET /metrics HTTP/1.1\r\nHost: cache.example\r\n\r\n",
    "tls": bytes.fromhex("16030100f8010000f40303") + bytes(240),
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n",
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "proxy": b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 323\r\n",
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
@pytest.mark.parametrize("step", [0, 1])
def test_what_is_no_rtr_ends_in_a_bounded_close(noise: bytes, step: int) -> None:
    """B11, R16: octets that are no RTR get at most one Error Report and a close; no absurd Length is waited for."""
    pair = Pair(2, *SAMPLE)
    assert len(pair.send(noise, step)) <= 1
    pair.wait(60)
    assert pair.closed is not None


def test_noise_never_breaks_the_session(version: int) -> None:
    """B11: whatever octets come, the answers are whole PDUs, and nothing follows a close."""
    for seed in range(300):
        generator = random.Random(seed)
        pair = Pair(version, *SAMPLE)
        if seed % 2:
            pair.reset()
        start = bytes([version, generator.randrange(12)]) + generator.randbytes(2)
        pair.send(start + generator.choice([4, 8, 12, 16, 24]).to_bytes(4) + generator.randbytes(40), seed % 5)


def test_an_idle_connection_stays_up(version: int) -> None:
    """B13: a connection with nothing to say stays up; a router that polls once a day gets its changes (R7)."""
    pair = Pair(version, *SAMPLE)
    pair.reset()
    assert pair.wait(86400) == []
    assert pair.closed is None
    pair.publish(*SAMPLE[1:])
    assert pair.update().withdrawn == [("vrp", "192.0.2.0/24", 24, 64496)]
