"""A process that is dead before it is asked anything, which is known by then."""

from __future__ import annotations

import asyncio
from types import ModuleType

import pytest

from pyrtr import processes


def spawn_the_dead(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """Kill every process that a module spawns from now on."""
    spawn = processes.spawn

    async def spawn_and_kill(name: str) -> asyncio.subprocess.Process:
        process = await spawn(name)
        await kill(process)
        return process

    monkeypatch.setattr(module, "spawn", spawn_and_kill)


async def kill(process: asyncio.subprocess.Process) -> None:
    """Kill it, and wait until the event loop knows: to write to it is an error of another kind then with uvloop."""
    assert process.stdin is not None
    process.kill()
    await process.stdin.wait_closed()
