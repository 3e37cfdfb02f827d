"""The router's set is the cache's whatever happens; any octets end in the same actions however they are split."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.conformance.link import Link, Script, router_session
from tests.examples import Payload
from tests.property.oracle import FIRST_VERSION
from tests.property.strategies import histories, pdus, versions

from pyrtr.session.actions import Note
from pyrtr.session.router import Confirmed
from pyrtr.wire.codec import encode
from pyrtr.wire.enums import Version
from pyrtr.wire.pdu import CacheResponse, EndOfData, Timing


def seen(version: int, values: list[Payload]) -> set[Payload]:
    """What a router of this version holds: of two ASPAs of a customer the later one counts."""
    latest = {getattr(value, "customer_asn", value): value for value in values}
    return {value for value in latest.values() if version >= FIRST_VERSION[type(value)]}


@given(versions, histories, st.data(), st.sampled_from((0, 1, 7, 19)))
def test_the_set_is_the_caches_after_every_generation(version, history, data, step):
    link = Link(*history[0], cache_versions=(0, version), step=step)
    link.connect()
    assert link.payload == seen(version, history[0])
    for values in history[1:]:
        event = data.draw(st.sampled_from(("notify", "poll", "reconnect", "new session", "history lost")))
        if event == "new session":
            link.source = link.source.__class__(link.source.table, session_shift=link.source.session_shift + 7)
            link.cut()
        elif event == "reconnect":
            link.cut()
        link.publish(*values)
        if event == "history lost":
            link.source = link.source.__class__(link.source.table, serial=link.source.serial)
        link.let_pass(61 if event in ("notify", "history lost") else 3600)
        link.connect()
        link.let_pass(3600)
        assert link.payload == seen(version, values)
        assert link.session.version == version
    assert "protocol error" not in link.notes


@given(versions, st.binary(max_size=200), st.data())
def test_any_split_of_the_stream_gives_the_same_actions(version, noise, data):
    chosen = data.draw(st.lists(pdus(version), max_size=6))
    timing = None if version is Version.V0 else Timing()
    start = [encode(version, CacheResponse(7)), encode(version, EndOfData(7, 1, timing))]
    stream = b"".join([*start, *(encode(version, pdu) for pdu in chosen), noise])
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))

    def outcome(bounds: list[int]) -> list[object]:
        session = router_session(highest=version)
        actions = list(session.opened(0.0))
        for low, high in zip([0, *bounds], [*bounds, len(stream)], strict=True):
            actions += session.receive(stream[low:high], 0.0)
        return [plain(action) for action in actions] + [session.phase, session.deadline, session.connect_at]

    assert outcome([]) == outcome(sorted(cuts))


def plain(action: object) -> object:
    match action:
        case Confirmed(held, is_changed):
            return held.state, held.timing, held.table.ipv4.tobytes(), held.table.aspas, is_changed
        case Note(event, fields):
            return event, dict(fields)
        case _:
            return action


@given(st.integers(0, 255), st.binary(max_size=400))
def test_any_octets_end_in_a_set_or_an_error(version, noise):
    script = Script()
    script.open()
    script.hear(bytes((version,)) + noise)
