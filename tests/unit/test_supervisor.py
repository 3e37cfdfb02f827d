"""What keeps the program going."""

from __future__ import annotations

from structlog.testing import capture_logs

from pyrtr import supervisor


async def test_whoever_watches_for_news_begins_again_after_a_failure(monkeypatch):
    monkeypatch.setattr(supervisor, "WATCH_AGAIN_S", 0.0)
    begun = 0

    async def watch() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise RuntimeError("can't start new thread")

    with capture_logs() as logs:
        await supervisor._lasting(watch)
    assert begun == 3
    assert [(line["event"], line["task"]) for line in logs] == [("task failed", "watch")] * 2
