"""The history over HTTP."""

from __future__ import annotations

from tests.generations import SERIES
from tests.unit.store.test_archive import archive_of, commit
from tests.unit.web.world import published, world

from pyrtr.payload.table import PayloadTable
from pyrtr.store.state import Store


async def test_what_is_made_up_for_later_is_not_hidden_by_the_tag_from_before(tmp_path):
    """The last run committed a second generation and did not live to archive it."""
    store = Store(tmp_path, 30)
    first = commit(store, None, SERIES[0])
    archive, store.archive = archive_of(store), None
    archive.close()
    commit(store, first, SERIES[1])
    store.close()

    store = Store(tmp_path, 30)
    async with world(published(PayloadTable.of()), archive=store.archive) as running:
        before = await running.client.get("/api/v1/generations")
        known = {"if-none-match": before.headers["etag"]}
        assert (await running.client.get("/api/v1/generations", headers=known)).status_code == 304
        store.catch_up()
        after = await running.client.get("/api/v1/generations", headers=known)
        assert (len(before.json()["items"]), len(after.json()["items"])) == (1, 2)
    store.close()
