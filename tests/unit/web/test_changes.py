"""What changes something: for those who know the token, and nobody else."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from tests.unit.web.world import World, published, world

from pyrtr.compiler.guard import Loss, Losses
from pyrtr.compiler.loader import Loader
from pyrtr.compiler.status import Held
from pyrtr.settings import Settings

PATH = "/api/v1/accept"
TOKEN = "correct-horse-battery-staple"
LOSSES = Losses(Loss(1000, 400), {}, Loss(0, 0))


def hold(running: World) -> None:
    """Let a load be held back."""
    running.context.loader.status.held = Held(0.0, ("takes away 400 of 1000 VRPs",), LOSSES)


def accepted(running: World) -> Losses | None:
    loader = running.context.loader
    assert isinstance(loader, Loader)
    return loader._accepted


async def test_the_token_lets_a_held_load_be_accepted():
    async with world(published(), Settings(http_token=TOKEN)) as running:
        hold(running)
        reply = await running.client.post(PATH, headers={"authorization": f"Bearer {TOKEN}"})
        assert reply.status_code == 200
        assert reply.json() == {"accepted": True, "result": "accepted: the load that takes away 400 of 1000 VRPs"}
        assert accepted(running) == LOSSES


async def test_nothing_is_held_back():
    async with world(published(), Settings(http_token=TOKEN)) as running:
        reply = await running.client.post(PATH, headers={"authorization": f"bearer {TOKEN}"})
        assert reply.json() == {"accepted": False, "result": "nothing is held back"}


@pytest.mark.parametrize(
    ("header", "challenge", "text"),
    [
        (None, "Bearer", "no token"),
        (f"Basic {TOKEN}", "Bearer", "no token"),
        (TOKEN, "Bearer", "no token"),
        ("Bearer", 'Bearer error="invalid_token"', "this is not HTTP_TOKEN"),
        (f"Bearer {TOKEN}x", 'Bearer error="invalid_token"', "this is not HTTP_TOKEN"),
        (f"Bearer {TOKEN[:-1]}", 'Bearer error="invalid_token"', "this is not HTTP_TOKEN"),
        (f"Bearer {TOKEN.upper()}", 'Bearer error="invalid_token"', "this is not HTTP_TOKEN"),
        ("Bearer \u00e4\u00f6", 'Bearer error="invalid_token"', "this is not HTTP_TOKEN"),
    ],
)
async def test_nobody_else_changes_anything(header, challenge, text):
    async with world(published(), Settings(http_token=TOKEN)) as running:
        hold(running)
        headers = {} if header is None else {"authorization": header.encode("latin-1")}
        reply = await running.client.post(PATH, headers=headers)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == challenge
        assert reply.json()["error"].startswith(text)
        assert TOKEN not in reply.text
        assert accepted(running) is None


async def test_without_a_token_nobody_changes_anything():
    async with world(published()) as running:
        hold(running)
        reply = await running.client.post(PATH, headers={"authorization": "Bearer "})
        assert reply.status_code == 403
        assert "HTTP_TOKEN is not set" in reply.json()["error"]
        assert accepted(running) is None


async def test_refusals_are_logged_once_a_minute_without_what_was_tried():
    async with world(published(), Settings(http_token=TOKEN)) as running:
        with capture_logs() as lines:
            for _ in range(100):
                await running.client.post(PATH, headers={"authorization": "Bearer a-guess-of-a-token"})
        assert [line["event"] for line in lines] == ["change refused"]
        assert "a-guess" not in str(lines)


async def test_the_token_is_never_shown():
    async with world(published(), Settings(http_token=TOKEN)) as running:
        for path in ("/healthz", "/metrics", "/clients"):
            assert TOKEN not in (await running.client.get(path)).text
        assert TOKEN not in repr(running.context.settings)
