"""The strict router itself: it takes what is right and complains of each thing that is wrong."""

import struct
from ipaddress import ip_address

import pytest
from tests.model_core import NOTIFY_GAP_S, RouterCore, Sync, error_report, reset_query, serial_query
from tests.model_pdus import RouterComplaint

SESSION, SERIAL = 0x0A0B, 7


def pdu(version: int, kind: int, field: int = 0, body: bytes = b"") -> bytes:
    return struct.pack("!BBHI", version, kind, field, 8 + len(body)) + body


def prefix(address: str, length: int, max_length: int, asn: int = 64496, flags: int = 1, reserved: int = 0) -> bytes:
    packed = ip_address(address).packed
    body = bytes([flags, length, max_length, reserved]) + packed + struct.pack("!I", asn)
    return pdu(2, 4 if len(packed) == 4 else 6, body=body)


def key(ski: int = 1, spki: bytes = b"\x30\x01\x00", asn: int = 64496, flags: int = 0x100) -> bytes:
    return pdu(2, 9, flags, bytes([ski]) * 20 + struct.pack("!I", asn) + spki)


def aspa(*asns: int, flags: int = 0x100) -> bytes:
    return pdu(2, 11, flags, struct.pack(f"!{len(asns)}I", *asns))


def begin(session_id: int = SESSION, version: int = 2) -> bytes:
    return pdu(version, 3, session_id)


def end(serial: int = SERIAL, timing: tuple[int, ...] = (3600, 600, 7200), session_id: int = SESSION) -> bytes:
    return pdu(2, 7, session_id, struct.pack(f"!{1 + len(timing)}I", serial, *timing))


def notify(serial: int, session_id: int = SESSION) -> bytes:
    return pdu(2, 0, session_id, struct.pack("!I", serial))


ONE = prefix("192.0.2.0", 24, 24)
WITHDRAWN = prefix("192.0.2.0", 24, 24, flags=0)

# Answers to a Reset Query of version 2, and what the complaint is about.
WRONG_RESET_ANSWERS = {
    "version octet": (begin(version=1), "§7"),
    "unknown version": (begin(version=3), "§5.1"),
    "unknown type": (pdu(2, 5), "§5: type 5"),
    "a query": (reset_query(2), "§5: type 2"),
    "length below header": (struct.pack("!BBHI", 2, 3, 0, 7), "§5: Cache Response of 7"),
    "long Cache Response": (pdu(2, 3, SESSION, b"\0"), "§5: Cache Response of 9"),
    "End of Data of version 0": (begin() + end(timing=()), "§5: End of Data of 12"),
    "PDU above 65535": (begin() + struct.pack("!BBHI", 2, 11, 0x100, 65536), "§5: ASPA of 65536"),
    "payload outside a response": (ONE, "§8.1"),
    "End of Data outside a response": (end(), "§5.7"),
    "two responses at once": (begin() + begin(), "§8.1"),
    "more than was asked": (begin() + end() + begin(), "§5.2"),
    "Cache Reset": (pdu(2, 8), "§5.6"),
    "session changes": (begin() + end(session_id=1), "§5.7"),
    "reserved octets": (begin() + ONE[:2] + b"\1" + ONE[3:], "§5: reserved"),
    "zero octet": (begin() + prefix("192.0.2.0", 24, 24, reserved=1), "§5: reserved"),
    "flags": (begin() + prefix("192.0.2.0", 24, 24, flags=3), "§5.1: flags"),
    "host bits": (begin() + prefix("192.0.2.1", 24, 24), "host bits"),
    "host bits of IPv6": (begin() + prefix("2001:db8::1", 127, 127), "host bits"),
    "prefix length": (begin() + prefix("192.0.2.0", 33, 33), "prefix length"),
    "max length too low": (begin() + prefix("192.0.2.0", 24, 23), "max length"),
    "max length too high": (begin() + prefix("2001:db8::", 32, 129), "max length"),
    "duplicate": (begin() + ONE + ONE, "§11.2"),
    "withdrawal": (begin() + WITHDRAWN, "§5.5"),
    "address order": (begin() + ONE + prefix("198.51.100.0", 24, 24), "§11.2"),
    "max length order": (begin() + ONE + prefix("192.0.2.0", 24, 25), "§11.2"),
    "length order": (begin() + prefix("192.0.2.0", 24, 25) + prefix("192.0.2.0", 25, 25), "§11.2"),
    "AS0 not last": (begin() + prefix("192.0.2.0", 24, 24, 0) + ONE, "§11.2"),
    "type order": (begin() + prefix("2001:db8::", 32, 32) + ONE, "§11.2"),
    "key order": (begin() + key(2) + key(1), "§11.2"),
    "SPKI length order": (begin() + key(spki=b"\x30\x02\x05\x00") + key(spki=b"\x30\x01\xff"), "§11.2"),
    "key ASN order": (begin() + key(asn=2**31) + key(asn=1), "§11.2"),
    "key without SPKI": (begin() + key(spki=b""), "§5: Router Key of 32"),
    "SPKI cut": (begin() + key(spki=b"\x30\x05\x00"), "§5.11"),
    "SPKI with a tail": (begin() + key(spki=b"\x30\x81\x01\x00\x00"), "§5.11"),
    "key flags": (begin() + key(flags=0x101), "§5: reserved"),
    "ASPA order": (begin() + aspa(2, 1) + aspa(1, 2), "§11.2"),
    "ASPA twice": (begin() + aspa(1, 2) + aspa(1, 3), "§11.2"),
    "ASPA empty": (begin() + aspa(1), "§5.12"),
    "ASPA size": (begin() + pdu(2, 11, 0x100, b"\0" * 7), "§5.12"),
    "providers descend": (begin() + aspa(1, 3, 2), "§5.12"),
    "provider twice": (begin() + aspa(1, 2, 2), "§5.12"),
    "AS0 in company": (begin() + aspa(1, 0, 2), "§5.12"),
    "customer 0": (begin() + aspa(0, 1), "§5.12"),
    "Refresh 0": (begin() + end(timing=(0, 600, 7200)), "§6: Refresh"),
    "Retry too long": (begin() + end(timing=(3600, 7201, 9000)), "§6: Retry"),
    "Expire too short": (begin() + end(timing=(100, 100, 599)), "§6: Expire Interval"),
    "Expire not above Refresh": (begin() + end(timing=(3600, 600, 3600)), "§6: Expire 3600"),
    "Notify first": (notify(8), "§7"),
    "Notify within": (begin() + notify(8), "§5.2"),
    "Notify of another session": (begin() + end() + notify(8, 1), "§5.2"),
    "Notify without news": (begin() + end() + notify(7), "§5.2"),
    "Notify of the past": (begin() + end() + notify(6), "§5.2"),
    "Notify twice at once": (begin() + end() + notify(8) + notify(9), "§8.2"),
    "code above the list": (error_report(2, 14), "§12"),
    "copy beyond the report": (pdu(2, 10, 0, struct.pack("!II", 1, 0)), "§5.8"),
    "text length": (pdu(2, 10, 0, struct.pack("!II", 0, 1)), "§5.8"),
    "copy of what was not sent": (error_report(2, 0, reset_query(1)), "§7|§5.8"),
    "tiny copy": (error_report(2, 0, b"\2\2\0"), "§5.8"),
    "report in a report": (error_report(2, 0, error_report(2, 0)), "§5.8"),
    "generic error with a copy": (error_report(2, 1, reset_query(2)), "§5.8"),
    "text not UTF-8": (error_report(2, 0, b"", b"\xff"), "§5.8"),
    "text with NUL": (error_report(2, 0, b"", b"no\0"), "§5.8"),
    "code 2 within": (begin() + error_report(2, 2), "§5.5"),
    "code 2 unasked": (begin() + end() + error_report(2, 2), "§5.2"),
    "code 3 unasked": (begin() + end() + error_report(2, 3), "§5.2"),
    "code 4 within": (begin() + error_report(2, 4), "§5.5"),
    "code 4 for a served version": (error_report(2, 4, reset_query(2)), "§7"),
    "code 8 before agreed": (error_report(2, 8, reset_query(2)), "§7"),
    "report of another version": (error_report(1, 0), "§7"),
    "more after a fatal report": (error_report(2, 0) + begin(), "§12"),
}


def feed(core: RouterCore, data: bytes, step: int) -> None:
    for start in range(0, len(data), step):
        core.feed(data[start : start + step], 0)


@pytest.mark.parametrize(("answer", "complaint"), WRONG_RESET_ANSWERS.values(), ids=WRONG_RESET_ANSWERS)
@pytest.mark.parametrize("is_split", [False, True])
def test_a_wrong_reset_answer(answer: bytes, complaint: str, is_split: bool) -> None:
    core = RouterCore(2)
    core.send(reset_query(2))
    with pytest.raises(RouterComplaint, match=complaint):
        feed(core, answer, 1 if is_split else len(answer))


# Answers to a Serial Query by a router that holds 192.0.2.0/24, a key and an ASPA.
WRONG_SERIAL_ANSWERS = {
    "another session": (begin(1), "§5.3"),
    "announced again": (begin() + ONE + end(8), "code 7"),
    "key announced again": (begin() + key() + end(8), "code 7"),
    "ASPA unchanged": (begin() + aspa(64496, 64497) + end(8), "code 7"),
    "withdrawn unknown": (begin() + prefix("192.0.2.0", 24, 25, flags=0), "code 6"),
    "key withdrawn unknown": (begin() + key(asn=1, flags=0), "code 6"),
    "ASPA withdrawn unknown": (begin() + aspa(1, flags=0), "code 6"),
    "ASPA withdrawn with providers": (begin() + aspa(64496, 64497, flags=0), "§5.12"),
    "withdrawn before announced": (begin() + WITHDRAWN + prefix("192.0.2.0", 25, 25), "§11.2"),
    "withdrawals descend": (begin() + prefix("198.51.100.0", 24, 24, flags=0) + WITHDRAWN, "code 6|§11.2"),
    "announced and withdrawn": (
        begin() + prefix("192.0.2.0", 25, 25) + prefix("192.0.2.0", 25, 25, flags=0),
        "§5.3",
    ),
    "payload without a step": (begin() + WITHDRAWN + end(SERIAL), "§5.3"),
    "older serial": (begin() + end(SERIAL - 1), "§4"),
    "reserved octets of Cache Reset": (pdu(2, 8, 1), "§5: reserved"),
}


@pytest.mark.parametrize(("answer", "complaint"), WRONG_SERIAL_ANSWERS.values(), ids=WRONG_SERIAL_ANSWERS)
def test_a_wrong_serial_answer(answer: bytes, complaint: str) -> None:
    core = RouterCore(2)
    core.send(reset_query(2))
    core.feed(begin() + ONE + key() + aspa(64496, 64497) + end(), 0)
    core.send(core.query())
    with pytest.raises(RouterComplaint, match=complaint):
        core.feed(answer, 0)


def test_one_state_is_one_payload_set() -> None:
    core = RouterCore(2)
    core.send(reset_query(2) * 2)
    core.feed(begin() + ONE + end(), 0)
    with pytest.raises(RouterComplaint, match="two payload sets"):
        core.feed(begin() + end(), 0)


def test_a_response_that_is_cut_short() -> None:
    for octets in (begin(), begin() + ONE[:9]):
        core = RouterCore(2)
        core.send(reset_query(2))
        core.feed(octets, 0)
        with pytest.raises(RouterComplaint, match="closed within"):
            core.closed()


def test_version_0_has_short_end_of_data_and_no_keys() -> None:
    core = RouterCore(0)
    core.send(reset_query(0))
    (sync,) = core.feed(begin(version=0) + pdu(0, 7, SESSION, struct.pack("!I", SERIAL)), 0)
    assert isinstance(sync, Sync)
    assert sync.timing is None
    for wrong in (pdu(0, 9, 0x100, b"\0" * 30), pdu(0, 11, 0x100, b"\0" * 8), pdu(0, 7, SESSION, b"\0" * 16)):
        core.send(reset_query(0))
        with pytest.raises(RouterComplaint):
            core.feed(wrong, 0)
        core.reconnected()


def test_what_is_right_is_taken() -> None:
    core = RouterCore(2)
    core.send(reset_query(2))
    core.feed(begin() + ONE + key() + aspa(64496, 0) + end(2**32 - 1), 0)
    assert core.payload == {
        ("vrp", "192.0.2.0/24", 24, 64496),
        ("key", b"\1" * 20, 64496, b"\x30\x01\x00"),
        ("aspa", 64496, (0,)),
    }
    core.feed(notify(0), 0)
    core.feed(notify(1), NOTIFY_GAP_S)
    core.send(core.query())
    core.feed(begin() + prefix("192.0.2.0", 25, 25) + WITHDRAWN + aspa(64496, 64497) + end(1), 70)
    assert (core.serial, core.full_syncs, core.incremental_syncs, core.notifies) == (1, 1, 1, 2)
    core.send(serial_query(2, SESSION, 99))
    core.feed(pdu(2, 8), 80)
    assert core.cache_resets == 1
    core.feed(error_report(2, 12, b"", b"back soon"), 90)
    core.closed()
