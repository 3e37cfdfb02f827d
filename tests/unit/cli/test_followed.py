"""Several caches that are followed: who answers, and who differs from most."""

from __future__ import annotations

from tests.examples import aspa, vrp

from pyrtr.cli.caches import Cache
from pyrtr.cli.followed import Event, Fleet
from pyrtr.cli.watch_table import table as drawn
from pyrtr.payload.serial import State
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import VRP, Aspa
from pyrtr.session.actions import Note
from pyrtr.session.router import Confirmed, Held
from pyrtr.sources.upstream.messages import Peer
from pyrtr.wire.enums import Version
from pyrtr.wire.pdu import Timing

A, B = vrp("192.0.2.0/24", 24, 64496), vrp("198.51.100.0/24", 24, 64496)
PROVIDERS = aspa(64496, 64497)


def fleet(*names: str) -> Fleet:
    caches = [Cache(name, Peer(scheme="rtr", host=name, port=323), Version.V2) for name in names]
    return Fleet(caches, longest_s=60, shortest_s=10, limit=1)


def hears(
    fleet: Fleet, index: int, now: float, *values: VRP | Aspa, version: Version = Version.V2, is_changed: bool = True
) -> list[Event]:
    held = Held(version, State(1, int(now)), PayloadTable.of(values), Timing(), now)
    return fleet.heard(fleet.members[index], [Confirmed(held, is_changed)], now)


def names(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.name, event.cache) for event in events]


def test_the_one_that_lags_is_named_and_for_how_long():
    caches = fleet("a", "b", "c")
    assert names(hears(caches, 0, 10, A)) == [("answers", "a")]
    hears(caches, 1, 10, A)
    hears(caches, 2, 10, A)
    was_same = caches.are_same
    assert names(hears(caches, 0, 20, A, B)) == [("changed", "a"), ("differs", "a")]
    assert names(hears(caches, 1, 30, A, B)) == [("changed", "b"), ("agrees", "a"), ("differs", "c")]
    late = caches.members[2]
    assert late.describe(45, 5)["differs_s"] == 15
    assert late.difference_counts == {"withdrawn": 1, "announced": 0, "replaced": 0}
    assert (was_same, caches.are_same) == (True, False)
    (changed, agrees) = hears(caches, 2, 50, A, B)
    assert (changed.fields["announced"], changed.fields["withdrawn"]) == (1, 0)
    assert (agrees.name, agrees.cache, agrees.fields) == ("agrees", "c", {"after_s": 20})
    assert [member.difference for member in caches.members] == [None] * 3


def test_of_two_that_differ_the_newer_set_counts():
    caches = fleet("a", "b")
    hears(caches, 0, 10, A)
    hears(caches, 1, 11, A)
    hears(caches, 1, 20, A, B)
    assert [member.difference is None for member in caches.members] == [False, True]


def test_an_answer_without_news_tells_nothing():
    caches = fleet("a", "b")
    hears(caches, 0, 10, A)
    hears(caches, 1, 10, B)
    assert hears(caches, 0, 70, A, is_changed=False) == []
    assert caches.members[0].answered_at == 70
    assert caches.members[0].changed_at == 10


def test_what_a_version_does_not_carry_is_no_difference():
    caches = fleet("a", "b", "c")
    hears(caches, 0, 10, A, PROVIDERS)
    assert names(hears(caches, 1, 11, A, version=Version.V1)) == [("answers", "b")]
    assert caches.members[1].difference is None
    assert [name for name, _ in names(hears(caches, 2, 12, A, aspa(64496, 64498)))] == ["answers", "differs"]


def test_one_that_is_lost_takes_no_part_until_it_is_back():
    caches = fleet("a", "b", "c")
    for index, values in enumerate(((A,), (B,), (B,))):
        hears(caches, index, 10, *values)
    assert caches.members[0].difference is not None
    member = caches.members[0]
    (lost,) = caches.lost(member, "refused\n", 20)
    assert (lost.name, lost.fields) == ("lost", {"reason": r"refused\n"})
    assert (member.is_up, member.losses, member.difference, caches.are_same) == (False, 1, None, False)
    caches.lost(member, "timed out", 30)
    assert member.losses == 1
    assert names(hears(caches, 0, 40, B)) == [("answers", "a")]
    assert caches.are_same


def test_warnings_of_a_session_are_told_on_one_line():
    caches = fleet("a")
    (event,) = caches.heard(caches.members[0], [Note("x", {"text": "a\nb"}, is_warning=True), Note("y", {})], 10)
    assert (event.name, event.fields) == ("warning", {"text": r"x text=a\nb"})


def test_the_table_shows_each_cache_and_what_differs_first():
    from rich.console import Console

    caches = fleet("one", "two", "three\x1b[2J", "four")
    hears(caches, 0, 10, A)
    hears(caches, 1, 10, A)
    hears(caches, 2, 10, B)
    caches.lost(caches.members[3], "connection refused", 20)
    console = Console(width=200, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(drawn(caches, 140))
    text = capture.get()
    assert r"three\x1b[2J" in text
    assert "2 for 2 m" in text
    assert "- VRP 192.0.2.0/24 up to /24 of AS64496" in text
    assert "+ VRP" not in text  # the limit is one
    assert "connection refused" in text


def test_nothing_is_cut_off_in_a_narrow_terminal():
    """Which of the caches is which stands at the end of their names."""
    from rich.console import Console

    caches = fleet("rtr+tls://192.0.2.101:324", "rtr+tls://192.0.2.102:324")
    hears(caches, 0, 10, A)
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(drawn(caches, 140))
    assert "…" not in capture.get()
