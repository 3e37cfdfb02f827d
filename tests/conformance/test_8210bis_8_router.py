"""8210bis section 8 from the router's side: what an upstream is asked, and when."""

from __future__ import annotations

import pytest
from tests.conformance.harness import SAMPLE, SESSION_IDS, aspa, key, seen_by, vrp
from tests.conformance.link import CEILING_S, DEFAULT_TIMING, Link, Script, router_session
from tests.model_core import error_report, reset_query, serial_query

from pyrtr.payload.values import VRP, Aspa
from pyrtr.session.negotiation import CLIMB_S
from pyrtr.session.router import MAX_NON_FATAL_REPORTS, RESPONSE_S, SILENCE_S, Phase
from pyrtr.wire.codec import encode
from pyrtr.wire.enums import Version
from pyrtr.wire.pdu import (
    AspaAnnounce,
    CacheReset,
    CacheResponse,
    EndOfData,
    Key,
    Pdu,
    Prefix,
    ResetQuery,
    SerialNotify,
    Timing,
)

V0, V1, V2 = Version
SESSION = 77
ONE, TWO = vrp("192.0.2.0/24"), vrp("198.51.100.0/24")


def announce(value: VRP | Aspa) -> Pdu:
    return AspaAnnounce(value) if isinstance(value, Aspa) else Prefix(value, announce=True)


def response(*pdus: Pdu, serial: int = 1, version: Version = V2, timing: Timing = DEFAULT_TIMING) -> bytes:
    """A whole response."""
    end = EndOfData(SESSION, serial, None if version is V0 else timing)
    return b"".join(encode(version, pdu) for pdu in (CacheResponse(SESSION), *pdus, end))


def notify(serial: int, session_id: int = SESSION) -> bytes:
    return encode(V2, SerialNotify(session_id, serial))


def synced(*values: VRP | Aspa, timing: Timing = DEFAULT_TIMING) -> Script:
    """A router that holds these values at serial 1."""
    script = Script()
    script.open()
    script.hear(response(*map(announce, values), timing=timing))
    assert script.payload == set(values)
    return script


# Queries


@pytest.mark.parametrize("version", [0, 1, 2])
def test_it_asks_for_everything_first_and_then_for_the_changes(version):
    """§8.1: "Reset Query … when it has no data"; then "Serial Query … the serial number … it holds"."""
    link = Link(*SAMPLE, session=router_session(highest=version))
    link.connect()
    assert link.sent == [reset_query(version)]
    assert link.session.version == version
    assert seen_by(version, *link.payload) == seen_by(version, *SAMPLE)
    link.let_pass(3600)
    state = link.source.state(Version(version))
    assert link.sent[1:] == [serial_query(version, SESSION_IDS[Version(version)], state.serial)]
    assert [done.is_changed for done in link.confirmed] == [True, False]


def test_it_resumes_on_another_connection():
    link = Link(ONE)
    link.connect()
    link.cut()
    link.publish(ONE, TWO)
    link.let_pass(1)
    link.connect()
    assert link.sent[-1][1] == 1  # Serial Query
    assert link.payload == {ONE, TWO}


def test_cache_reset_is_followed_by_a_reset_query():
    """§8.3: "the router SHOULD … issue a Reset Query"."""
    script = synced(ONE)
    script.wait()
    assert script.hear(encode(V2, CacheReset())) == [reset_query(2)]
    script.hear(response(announce(TWO), serial=9))
    assert script.payload == {TWO}


def test_no_data_is_asked_for_again_after_the_retry_interval():
    """§8.4: "the router … MAY … periodically issue a new query"."""
    script = Script()
    script.open()
    for _ in range(2 * MAX_NON_FATAL_REPORTS):
        assert script.hear(error_report(2, 2)) == []
        assert script.session.trouble == "the cache has no data yet"
        before = script.now
        assert script.wait() == [reset_query(2)]
        assert script.now - before == Timing().retry
    script.hear(response())
    assert script.payload == set()
    assert script.session.trouble is None


@pytest.mark.parametrize(
    ("timing", "pause_s"),
    [(Timing(100, 50, 7200), 100), (Timing(0, 0, 0), 1), (Timing(2**32 - 1, 2**32 - 1, 2**32 - 1), 86400)],
)
def test_the_refresh_interval_is_kept_within_its_range(timing, pause_s):
    """§6: 1 to 86400 seconds."""
    script = synced(ONE, timing=timing)
    before = script.now
    assert script.wait() == [serial_query(2, SESSION, 1)]
    assert script.now - before == pause_s
    assert ("intervals out of range" in script.notes) == (timing != Timing(100, 50, 7200))


def test_the_expire_interval_is_kept_within_its_range_and_above_the_others():
    assert synced(timing=Timing(700, 700, 600)).held.timing == Timing(599, 599, 600)
    assert synced(timing=Timing(1, 1, 10**6)).held.timing == Timing(1, 1, 172800)


@pytest.mark.parametrize(
    ("floor_s", "ceiling_s", "pause_s"), [(60, 900, 900), (60, CEILING_S, 3600), (5000, 9000, 5000)]
)
def test_the_caller_bounds_the_pause(floor_s, ceiling_s, pause_s):
    link = Link(session=router_session(floor_s=floor_s, ceiling_s=ceiling_s))
    link.connect()
    before = link.now
    link.wait()
    assert link.now - before == pause_s


def test_what_has_expired_is_not_asked_for_by_its_serial():
    """§6: "the router MUST NOT retain the data past the time indicated by this parameter"."""
    script = synced(ONE)
    script.lose()
    script.wait(7199)
    assert script.open() == serial_query(2, SESSION, 1)
    script.lose()
    script.wait(2)
    assert script.open() == reset_query(2)
    assert script.session.held is None


# Serial Notify


def test_a_notify_is_acted_on_at_once():
    """§8.2: the router "MAY immediately send a Serial Query"."""
    script = synced(ONE)
    script.wait(1)
    assert script.hear(notify(2)) == [serial_query(2, SESSION, 1)]


def test_a_notify_of_what_is_held_is_no_news():
    script = synced(ONE)
    script.wait(1)
    assert script.hear(notify(1)) == []


def test_notifies_without_end_are_not_queries_without_end():
    script = synced(ONE)
    queries = []
    for serial in range(2, 102):
        queries += script.hear(notify(serial))
        queries += script.wait(0.1)
        if queries and script.session.phase is Phase.ASKING:
            script.hear(response(serial=1))
    assert len(queries) <= 11


def test_a_notify_before_the_first_answer_is_ignored():
    """§7: "the router MUST ignore any Serial Notify PDUs it might receive from the cache during initial startup"."""
    script = Script()
    script.open()
    for version in range(3):
        assert script.hear(encode(Version(version), SerialNotify(1, 1))) == []
    script.hear(error_report(2, 2))
    assert script.hear(notify(1)) == []
    script.wait()
    script.hear(response(announce(ONE)))
    assert script.payload == {ONE}


def test_a_notify_within_a_response_waits_for_its_end():
    script = Script()
    script.open()
    whole = response(announce(ONE), serial=4)
    assert script.hear(whole[:28], notify(5)) == []
    assert script.hear(whole[28:]) == []
    assert script.payload == {ONE}
    assert script.wait(1) == [serial_query(2, SESSION, 4)]
    script.hear(notify(6), response(serial=6))
    assert script.wait(1) == []


# Losses


def test_attempts_are_further_and_further_apart_up_to_the_retry_interval():
    script = synced(ONE)
    script.lose()
    pauses = []
    for _ in range(14):
        pauses.append(script.session.connect_at - script.now)
        script.wait()
        script.session.failed("connection refused", script.now)
    assert pauses[:5] == [1, 2, 4, 8, 16]
    assert pauses[-2:] == [600, 600]
    assert script.session.trouble == "connection refused"
    script.wait()
    script.open()
    script.hear(response())
    script.lose()
    assert script.session.connect_at == script.now + 1


def test_half_a_response_counts_for_nothing():
    """§8.1, §5.7: the set is what End of Data ends."""
    script = synced(ONE)
    script.wait()
    script.hear(response(announce(TWO), serial=2)[:-1])
    script.lose()
    assert script.payload == {ONE}
    assert script.session.trouble == "closed by the cache"
    script.wait()
    assert script.open() == serial_query(2, SESSION, 1)


@pytest.mark.parametrize("heard", [b"", response(announce(ONE))[:-1], b"\2"])
def test_silence_ends_the_connection(heard):
    script = Script()
    script.open()
    script.hear(heard)
    script.wait()
    assert script.now == 1000 + SILENCE_S
    assert "no answer within" in script.closed
    assert script.session.connect_at == script.now + 1
    assert script.wait() == []
    assert script.open() == reset_query(2)


def test_a_slow_drip_ends_the_connection():
    script = Script()
    script.open()
    for octet in response(announce(ONE)):
        script.wait(SILENCE_S - 1)
        if script.closed:
            break
        script.hear(bytes((octet,)))
    assert RESPONSE_S <= script.now - 1000 < RESPONSE_S + SILENCE_S


# Versions


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("cache", [0, 1])
def test_it_steps_down_to_the_version_that_the_cache_offers(cache, closes):
    """§7: "the router MUST either downgrade … or terminate"; on the same connection, or another."""
    link = Link(*SAMPLE, cache_versions=(0, cache))
    link.closes_on_refusal = closes
    link.connect()
    assert link.connections == 1 + closes
    assert link.session.version == cache
    assert seen_by(cache, *link.payload) == seen_by(cache, *SAMPLE)
    link.let_pass(10 * CLIMB_S)
    assert link.connections == 1 + closes
    # Another connection begins with the highest version again, and then asks for the changes only.
    link.cut()
    link.cache_versions = (0, cache)
    link.publish(ONE)
    link.let_pass(1)
    link.connect()
    incremental = serial_query(cache, SESSION_IDS[Version(cache)], link.source.serial - 1)
    assert link.sent[-2 - closes :] == [reset_query(2), *[incremental] * (1 + closes)]
    assert seen_by(cache, *link.payload) == seen_by(cache, ONE)


def test_a_refusal_that_names_the_refused_version_is_a_step_of_one():
    script = Script()
    script.open()
    assert script.hear(error_report(2, 4)) == [reset_query(1)]
    assert script.hear(error_report(1, 4)) == [reset_query(0)]
    script.hear(error_report(0, 4))
    assert script.closed
    script.wait()
    assert script.open() == reset_query(2)


def test_a_cache_that_answers_in_its_own_version_is_asked_in_that():
    script = Script()
    script.open()
    script.hear(response(announce(ONE), version=V1))
    assert script.session.held is None
    assert script.session.connect_at == script.now
    assert script.open() == reset_query(1)
    script.hear(response(announce(ONE), version=V1))
    assert script.payload == {ONE}


def test_a_silent_close_is_a_step_down_and_not_for_ever():
    """A cache of old, or one that crashed at the wrong moment: who can tell?"""
    script = Script()
    for version in (2, 1, 0):
        assert script.session.connect_at <= script.now
        assert script.open() == reset_query(version)
        if version:
            script.lose()
    script.hear(response(announce(ONE), version=V0))
    assert script.payload == {ONE}
    start = script.now
    while not script.closed:
        for _ in script.wait():
            script.hear(response(version=V0))
    assert script.now - start == CLIMB_S
    assert script.closed == "to try a higher version again"
    assert script.session.trouble is None
    assert script.open() == reset_query(2)
    script.hear(response(announce(ONE)))
    assert script.session.version is V2
    script.wait()
    assert script.session.phase is Phase.ASKING


def test_a_cache_that_is_silent_in_every_version_is_tried_again_from_the_highest():
    script = Script()
    for version in (2, 1, 0):
        assert script.open() == reset_query(version)
        script.lose()
    assert script.session.connect_at == script.now + 1
    assert script.session.trouble == "closed by the cache"
    script.wait()
    assert script.open() == reset_query(2)


def test_a_cache_that_is_only_unreachable_is_no_reason_to_step_down():
    script = Script()
    script.open()
    script.lose()
    script.session.failed("connection refused", script.now)
    script.wait()
    assert script.open() == reset_query(2)


def test_a_cache_that_refuses_and_then_says_nothing_gets_another_connection():
    script = Script()
    script.open()
    assert script.hear(error_report(1, 4)) == [reset_query(1)]
    script.wait()
    assert script.closed
    assert script.session.connect_at == script.now
    assert script.open() == reset_query(1)
    script.hear(encode(V1, SerialNotify(1, 1)))
    script.lose()
    assert script.session.connect_at == script.now + 1  # heard, and nothing learnt: no third at once


# Error Reports that come


def test_a_restart_keeps_what_is_held_and_a_shutdown_does_not():
    """§8.5, §8.6."""
    script = synced(ONE)
    assert script.hear(error_report(2, 12)) == []
    assert script.session.phase is Phase.WAITING
    assert script.payload == {ONE}
    script.hear(error_report(2, 13))
    assert script.closed
    assert script.session.held is None


@pytest.mark.parametrize("code", [0, 1, 3, 5, 6, 7, 8, 9, 10, 11, 14, 255, 65535])
@pytest.mark.parametrize("is_asking", [False, True])
def test_a_fatal_report_ends_the_connection_unanswered(code, is_asking):
    """§5.8: "Error Report PDU MUST NOT be sent for an Error Report PDU"."""
    script = synced(ONE)
    if is_asking:
        script.wait()
    assert script.hear(error_report(2, code, b"", b"text")) == []
    assert f"reported error {code}" in script.closed
    assert script.payload == {ONE}
    assert script.notes["error report received"].fields["text"] == "text"
    script.wait()
    # What the cache could not answer is not asked again.
    assert script.open() == (reset_query(2) if is_asking else serial_query(2, SESSION, 1))


@pytest.mark.parametrize(
    "report",
    [
        error_report(2, 12)[:-1] + b"\1",  # the text is longer than the PDU
        error_report(2, 12, b"abcd")[:11] + b"\xff" + error_report(2, 12, b"abcd")[12:],
        error_report(3, 4),
        error_report(1, 12),
        b"\2\x0a\0\0\0\0\0\x07",
        b"\2\x0a\0\0\0\1\0\0",
    ],
)
def test_a_report_that_can_not_be_is_unanswered_too(report):
    script = synced(ONE)
    assert script.hear(report) == []
    assert script.closed
    assert script.payload == {ONE}


def test_reports_without_end_end_the_connection():
    script = synced(ONE)
    script.hear(*[error_report(2, 12)] * (MAX_NON_FATAL_REPORTS + 1))
    assert script.closed


# Faults of the cache

HOST_BITS = encode(V2, Prefix(ONE, announce=True)).replace(b"\xc0\x00\x02\x00", b"\xc0\x00\x02\x01")
MAX_LENGTH = encode(V2, Prefix(ONE, announce=True)).replace(b"\x18\x18", b"\x18\x21")
ASPA_LIST = encode(V2, AspaAnnounce(aspa(64496, 64497, 64498))).replace(b"\xfb\xf2", b"\xfb\xf1")
NOT_DER = encode(V2, Key(key(), announce=True)).replace(b"\x30\3", b"\x30\2")
BEGIN = encode(V2, CacheResponse(SESSION))
END = encode(V2, EndOfData(SESSION, 2, Timing()))


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        pytest.param((BEGIN, encode(V2, announce(ONE)), END), 7, id="announced though held"),
        pytest.param((BEGIN, encode(V2, announce(TWO)) * 2, END), 7, id="announced twice"),
        pytest.param((BEGIN, encode(V2, Prefix(TWO, announce=False)), END), 6, id="withdrawn unknown"),
        pytest.param((BEGIN, encode(V2, Prefix(ONE, announce=False)) * 2, END), 6, id="withdrawn twice"),
        pytest.param((BEGIN, HOST_BITS, END), 0, id="host bits"),
        pytest.param((BEGIN, MAX_LENGTH, END), 0, id="max length"),
        pytest.param((BEGIN, ASPA_LIST, END), 9, id="providers not ascending"),
        pytest.param((BEGIN, encode(V2, announce(aspa(64496, 64497))) * 2, END), 7, id="ASPA twice"),
        pytest.param((BEGIN, b"\2\x0b\0\0" + b"\0\0\0\x0c" + b"\0\0\xfb\xf0", END), 6, id="ASPA withdrawn unknown"),
        pytest.param((BEGIN, b"\2\x0b\1\0" + b"\0\0\0\x0c" + b"\0\0\xfb\xf0", END), 9, id="ASPA of no provider"),
        pytest.param((BEGIN, encode(V2, Key(key(), announce=True)) * 2, END), 7, id="router key twice"),
        pytest.param((BEGIN, encode(V2, Key(key(), announce=False)), END), 6, id="router key withdrawn unknown"),
        pytest.param(
            (BEGIN, encode(V2, Key(key(), announce=True)).replace(b"\x30\3", b"\x30\2"), END),
            0,
            id="SPKI that is no DER",
        ),
        pytest.param((BEGIN, encode(V2, EndOfData(SESSION + 1, 2, Timing()))), 0, id="other session at the end"),
        pytest.param((encode(V2, CacheResponse(SESSION + 1)),), 0, id="other session at the beginning"),
        pytest.param((notify(2, SESSION + 1),), 0, id="other session in a notify"),
        pytest.param((BEGIN, encode(V2, EndOfData(SESSION, 0, Timing()))), 0, id="a serial before"),
        pytest.param((BEGIN, encode(V2, announce(TWO)), encode(V2, EndOfData(SESSION, 1, Timing()))), 0, id="no step"),
        pytest.param((END,), 0, id="an end without a beginning"),
        pytest.param((BEGIN, BEGIN), 0, id="two beginnings"),
        pytest.param((BEGIN, encode(V2, CacheReset())), 0, id="reset in a response"),
        pytest.param((encode(V2, announce(TWO)),), 0, id="payload without a beginning"),
        pytest.param((encode(V2, ResetQuery()),), 0, id="a query"),
        pytest.param((b"\2\5\0\0\0\0\0\x08",), 5, id="unknown type"),
        pytest.param((b"\1\3\0\0\0\0\0\x08",), 8, id="other version"),
        pytest.param((BEGIN, encode(V1, announce(TWO))), 8, id="other version in a response"),
        pytest.param((b"\2\3\0\0\0\0\0\x07",), 0, id="too short"),
        pytest.param((b"\2\3\0\0\0\1\0\0",), 0, id="too long"),
        pytest.param((b"\2\3\0\0\0\0\0\x09",), 0, id="Cache Response of 9"),
        pytest.param((b"\2\7\0\x4d\0\0\0\x0c",), 0, id="End of Data of version 0"),
        pytest.param((BEGIN, b"\2\4\0\0\0\0\0\x15"), 0, id="IPv4 Prefix of 21"),
    ],
)
@pytest.mark.parametrize("step", [0, 1])
def test_a_fault_is_reported_and_ends_the_connection(octets, code, step):
    script = synced(ONE)
    script.wait()
    script.hear(*octets, step=step)
    assert script.report().code == code
    assert script.payload == {ONE}
    assert script.session.trouble == script.closed
    assert "broke the protocol" in script.closed
    assert script.session.connect_at == script.now + Timing().retry
    script.wait()
    assert script.open() == reset_query(2)
    script.hear(response(announce(TWO), serial=5))
    assert script.payload == {TWO}


@pytest.mark.parametrize(("version", "kind"), [(0, 9), (0, 11), (1, 11)])
def test_a_type_of_a_later_version_is_unknown(version, kind):
    script = Script(router_session(highest=version))
    script.open()
    script.hear(encode(Version(version), CacheResponse(1)), bytes((version, kind, 0, 0, 0, 0, 0, 12)), bytes(4))
    assert script.report().code == 5


def test_version_0_has_no_word_for_another_version():
    script = Script(router_session(highest=0))
    script.open()
    script.hear(encode(V0, CacheResponse(1)), encode(V1, CacheResponse(1)))
    assert script.closed
    assert script.sent == [reset_query(0)]


def test_a_reset_answer_withdraws_nothing():
    """§5.5: every payload PDU of it announces."""
    script = Script()
    script.open()
    script.hear(response(announce(ONE), Prefix(ONE, announce=False)))
    assert script.report().code == 6
    assert script.session.held is None


def test_cache_reset_is_no_answer_to_a_reset_query():
    script = Script()
    script.open()
    script.hear(encode(V2, CacheReset()))
    assert script.report().code == 0


def test_an_endless_response_is_not_kept(monkeypatch):
    monkeypatch.setattr("pyrtr.wire.response.MAX_RESPONSE_BYTES", 400)
    script = Script()
    script.open()
    script.hear(BEGIN, encode(V2, announce(ONE)) * 21)
    assert script.report().code == 1
    assert script.report().copy == b""


def test_an_endless_list_of_aspas_is_not_made(monkeypatch):
    monkeypatch.setattr("pyrtr.wire.response.MAX_OBJECTS", 3)
    script = Script()
    script.open()
    script.hear(response(*(announce(aspa(customer, 1)) for customer in range(2, 6))))
    assert script.report().code == 1


# What is only noted


@pytest.mark.parametrize(
    "pdus",
    [
        (announce(ONE), announce(TWO)),
        (Prefix(ONE, announce=False), announce(TWO)),
        (announce(vrp("2001:db8::/32")), announce(TWO)),
        (announce(aspa(3, 1)), announce(aspa(2, 1))),
    ],
)
def test_a_broken_order_is_noted(pdus):
    """§11.2 is there for the router's sake: the set is the same in any order."""
    script = synced(ONE) if pdus[0] != announce(ONE) else synced()
    script.wait()
    script.hear(response(*pdus, serial=2))
    assert "payload out of order" in script.notes
    assert len(script.confirmed) == 2


def test_a_record_may_come_and_go_by_turns():
    script = synced(ONE)
    script.wait()
    turns = [Prefix(ONE, announce=False), announce(ONE), announce(TWO), Prefix(TWO, announce=False)]
    script.hear(response(*turns, serial=2))
    assert script.payload == {ONE}
    assert not script.confirmed[-1].is_changed


def test_an_aspa_that_is_announced_again_is_replaced():
    """§5.12."""
    script = synced(aspa(64496, 64497))
    script.wait()
    script.hear(response(announce(aspa(64496, 64498)), serial=2))
    assert script.payload == {aspa(64496, 64498)}
    script.wait()
    script.hear(response(announce(aspa(64496, 64498)), serial=3))
    assert not script.confirmed[-1].is_changed


def test_reserved_fields_are_ignored():
    """§5: "reserved fields … MUST be ignored on receipt"."""
    script = Script()
    script.open()
    odd = bytearray(encode(V2, announce(ONE)))
    odd[2:4], odd[8], odd[11] = b"\xff\xff", 0xFF, 0xFF
    script.hear(BEGIN, bytes(odd), END)
    assert script.payload == {ONE}


def test_a_new_session_by_a_reset_query_is_taken():
    """§5.1, B33."""
    script = synced(ONE)
    script.wait()
    script.hear(encode(V2, CacheReset()))
    script.hear(encode(V2, CacheResponse(5)), encode(V2, announce(TWO)), encode(V2, EndOfData(5, 9, Timing())))
    assert script.held.state.session_id == 5
    script.wait(1)
    assert script.hear(notify(10, 5)) == [serial_query(2, 5, 9)]
