"""How long the images of whole tables are kept."""

from __future__ import annotations

import weakref

from tests.examples import NASTY
from tests.unit.web.world import published

from pyrtr.payload.table import PayloadTable
from pyrtr.server.publisher import MAX_RESTING_SNAPSHOTS
from pyrtr.wire.enums import Version

TABLE = PayloadTable.of(NASTY)


def test_the_images_that_were_asked_for_last_rest():
    current = published(TABLE)
    images = [weakref.ref(current.snapshot(version)) for version in Version]
    is_kept = [image() is not None for image in images]
    assert is_kept == [False] * (len(Version) - MAX_RESTING_SNAPSHOTS) + [True] * MAX_RESTING_SNAPSHOTS
    current.snapshot(Version.V1)  # asked for again
    current.snapshot(Version.V0)
    assert [image() is not None for image in images] == [False, True, False]


def test_an_image_that_is_being_sent_is_shared():
    current = published(TABLE)
    sending = current.snapshot(Version.V0)
    sending.get()
    for version in (Version.V1, Version.V2):
        current.snapshot(version)
    assert current.snapshot(Version.V0) is sending
