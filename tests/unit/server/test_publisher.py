"""How long images are kept."""

from __future__ import annotations

import weakref
from ipaddress import ip_network

import pytest
from tests.examples import NASTY
from tests.unit.web.world import large_table, published

from pyrtr.payload.delta import Delta
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import VRP, Aspa
from pyrtr.server import publisher
from pyrtr.server.publisher import MAX_DELTA_BYTES, MAX_DELTA_IMAGES, Published, Publisher
from pyrtr.wire.enums import Version
from pyrtr.wire.image import is_visible

TABLE = PayloadTable.of(NASTY)


def test_the_image_that_was_asked_for_last_rests():
    current = published(TABLE)
    images = [weakref.ref(current.snapshot(version)) for version in Version]
    assert [image() is not None for image in images] == [False, False, True]
    assert current.snapshot(Version.V2) is images[-1]()
    current.snapshot(Version.V1)
    assert images[-1]() is None


def test_an_image_that_is_being_sent_is_shared():
    current = published(TABLE)
    sending = current.snapshot(Version.V0)
    sending.get()
    for version in (Version.V1, Version.V2):
        current.snapshot(version)
    assert current.snapshot(Version.V0) is sending


def a_large_step_after(count: int) -> Published:
    """From each of `count` older serials 300,000 VRPs come: 6 MB."""
    return published(*(PayloadTable.of([VRP(ip_network("::/0"), 0, asn)]) for asn in range(count)), large_table())


def test_deltas_that_rest_are_bounded_before_they_are_encoded():
    current = a_large_step_after(MAX_DELTA_IMAGES)
    images = [weakref.ref(delta) for serial in current.history.serials if (delta := current.delta(Version.V2, serial))]
    alive = [image for reference in images if (image := reference()) is not None]
    assert 0 < len(alive) < len(images)
    assert sum(len(image.get().body) for image in alive) <= MAX_DELTA_BYTES


def test_a_delta_that_is_being_sent_is_shared():
    current = a_large_step_after(MAX_DELTA_IMAGES)
    first, *others = current.history.serials
    sending = current.delta(Version.V2, first)
    for serial in others:
        current.delta(Version.V2, serial)
    assert current.delta(Version.V2, first) is sending


def test_deltas_that_are_being_sent_are_bounded(monkeypatch: pytest.MonkeyPatch):
    """Else a few hundred routers that read slowly, each from another serial, take any amount of memory."""
    monkeypatch.setattr(publisher, "MAX_LIVE_DELTA_BYTES", 2**25)
    current = a_large_step_after(8)
    sending = [current.delta(Version.V2, serial) for serial in current.history.serials]
    assert [image is not None for image in sending] == [True, True, True, False, False, False, False, False]
    sending.clear()
    assert current.delta(Version.V2, current.history.serials[0]) is not None


def test_so_are_those_of_former_publications_with_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(publisher, "MAX_LIVE_DELTA_BYTES", 2**25)
    former, current = a_large_step_after(8), a_large_step_after(8)
    publishing = Publisher(former)
    sending = [former.delta(Version.V2, serial) for serial in former.history.serials[:3]]
    publishing.publish(current)
    del former
    assert current.delta(Version.V2, current.history.serials[0]) is None
    sending.clear()
    assert current.delta(Version.V2, current.history.serials[0]) is not None


def test_what_is_news_is_found_out_once(monkeypatch: pytest.MonkeyPatch):
    """Ten thousand routers are told of a publication, and most of them hold one of a few serials."""
    current = published(*(PayloadTable.of([Aspa(64496, (asn,))]) for asn in range(1, 101)))
    looked_at: list[Delta] = []

    def look(version: Version, delta: Delta) -> bool:
        looked_at.append(delta)
        return is_visible(version, delta)

    monkeypatch.setattr(publisher, "is_visible", look)
    for _ in range(1000):
        assert not current.is_news(Version.V1, current.history.serials[0])
        assert current.is_news(Version.V2, current.history.serials[0])
    assert len(looked_at) == 99 + 1
