"""Who waits is served in turn, and only behind others of the same address, as long as there is room for all."""

from __future__ import annotations

import asyncio

import pytest

from pyrtr.server.peers import Address, address_of
from pyrtr.server.turns import Turns

ONE, TWO = address_of("192.0.2.1"), address_of("::ffff:192.0.2.2")


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("addresses", [[ONE] * 5, [address_of(f"2001:db8::{host}") for host in range(5)]])
async def test_one_owner_leaves_room_for_others(addresses: list[Address]) -> None:
    """One address of IPv4, one /64 of IPv6: who has that has 2^64 addresses."""
    turns, end = Turns(3, 2), asyncio.Event()
    running: list[str] = []

    async def work(name: str, address: Address) -> None:
        async with turns.turn(address):
            running.append(name)
            await end.wait()

    tasks = [asyncio.ensure_future(work(f"one {number}", one)) for number, one in enumerate(addresses)]
    await settle()
    assert running == ["one 0", "one 1"]
    tasks.append(asyncio.ensure_future(work("two", TWO)))
    await settle()
    assert running[2:] == ["two"]
    end.set()
    await asyncio.gather(*tasks)
    assert running[3:] == ["one 2", "one 3", "one 4"]
    assert not turns._lanes


async def test_who_gives_up_waiting_leaves_no_trace() -> None:
    turns, end = Turns(1, 1), asyncio.Event()

    async def work() -> None:
        async with turns.turn(ONE):
            await end.wait()

    first, second, third = (asyncio.ensure_future(work()) for _ in range(3))
    await settle()
    second.cancel()
    end.set()
    await asyncio.gather(first, third)
    assert not turns._lanes
