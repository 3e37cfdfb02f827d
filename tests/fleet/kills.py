"""FRR and BIRD behind HAProxy, while the replicas that serve them are killed: `python -m tests.fleet.kills [KILLS]`.

The source changes all the time. Beside the two stand model routers of versions 0, 1 and 2, which hold what they are
told to the stream's own record of it. Needs Debian's frr-rpki-rtrlib, bird2, nats-server and haproxy, and root.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.fleet.cluster import WAIT_S, Cluster
from tests.fleet.servers import haproxy
from tests.fleet.watched import WatchedRouter, accepted, disagreements
from tests.inputs import Payload
from tests.interop.client import Client
from tests.interop.clients import Bird, Frr
from tests.interop.payload import vrp_line
from tests.interop.tap import Tap

SEED = 20261125


class CountingTap(Tap):
    """Notes, too, how long each time without a connection was, until the router was answered again."""

    def __init__(self, cache_port: int, log: Path) -> None:
        super().__init__(cache_port, log)
        self.gaps_s: list[float] = []
        self._lost_at: float | None = None

    def note(self, side: str, what: str) -> None:
        super().note(side, what)
        if (side, what) == ("connection", "closed"):
            self._lost_at = self._lost_at or time.monotonic()
        elif side == "cache" and "End of Data" in what and self._lost_at is not None:
            self.gaps_s.append(time.monotonic() - self._lost_at)
            self._lost_at = None


@dataclass
class Line:
    """A real router with its tap."""

    client: Client
    tap: CountingTap
    waits_s: list[float] = field(default_factory=list)

    async def holds(self, payload: list[Payload]) -> bool:
        wanted = {
            vrp_line(str(value[1]), int(str(value[2])), int(str(value[3]))) for value in payload if value[0] == "vrp"
        }
        with contextlib.suppress(OSError, ValueError, LookupError):
            return {line for line in await self.client.held() if line.startswith("vrp ")} == wanted
        return False


def wanted_lines(payload: list[Payload]) -> set[str]:
    """VRPs as real routers show them."""
    vrps = [map(str, value[1:]) for value in payload if value[0] == "vrp"]
    return {vrp_line(prefix, int(max_length), int(asn)) for prefix, max_length, asn in vrps}


async def until_all_hold(lines: list[Line], routers: list[WatchedRouter], payload: list[Payload]) -> None:
    deadline = time.monotonic() + WAIT_S
    vrps = {value for value in payload if value[0] == "vrp"}
    while not all([await line.holds(payload) for line in lines]) or any(
        {value for value in router.payload if value[0] == "vrp"} != vrps for router in routers
    ):
        if time.monotonic() > deadline:
            for line in lines:
                print(line.client.name, await line.client.held() ^ wanted_lines(payload))
            raise AssertionError(f"not all hold {len(vrps)} VRPs: {[len(each.payload) for each in routers]}")
        await asyncio.sleep(0.1)


async def main(kills: int, folder: Path) -> None:
    chance = random.Random(SEED)
    with contextlib.ExitStack() as stack:
        cluster = Cluster(folder, stack)
        await asyncio.to_thread(cluster.start)
        address = stack.enter_context(haproxy(folder, cluster.programs, "first"))
        routers = [stack.enter_context(WatchedRouter(address, version)) for version in (0, 1, 2)]
        lines = []
        for client in (Frr(1), Bird(1)):
            tap = CountingTap(address[1], folder / f"{client.name}.rtr")
            await tap.open()
            (folder / client.name).mkdir()
            await client.start(tap.port, str(folder / client.name), folder / f"{client.name}.log")
            lines.append(Line(client, tap))
        try:
            await until_all_hold(lines, routers, cluster.payload)
            for line in lines:
                line.tap.begin()
            for number in range(kills):
                victim = await asyncio.to_thread(crowded, cluster)
                cluster.churn()
                await asyncio.sleep(chance.uniform(0, 1.5))
                cluster.programs[victim].kill()
                cluster.churn()
                began = time.monotonic()
                await until_all_hold(lines, routers, cluster.payload)
                print(f"kill {number + 1} of replica {victim}: all hold the set {time.monotonic() - began:.1f} s later")
                await asyncio.to_thread(cluster.programs[victim].start)
        finally:
            for line in lines:
                await line.client.stop()
        records = await asyncio.to_thread(accepted, cluster.nats.urls, "test")
    problems = disagreements(routers, records)
    print(f"{kills} kills, {len(records)} serials of {len({record.sessions for record in records})} session(s)")
    for line in lines:
        seen, gaps = line.tap.seen, line.tap.gaps_s
        print(
            f"{line.client.name}: {seen['Reset Query']} Reset Queries, {seen['Cache Reset']} Cache Resets, "
            f"{seen['Serial Query']} Serial Queries; {len(gaps)} times without a session, {told(gaps)}"
        )
    for router in routers:
        print(f"model V{router.router.version}: {router.resets} full resyncs; {told(router.gaps_s)}")
    print(f"divergences: {len(problems)}", *problems[:10], sep="\n  ")


def crowded(cluster: Cluster) -> int:
    """The replica that the routers are on."""
    return max(range(len(cluster.programs)), key=lambda number: len(cluster.programs[number].clients()))


def told(gaps_s: list[float]) -> str:
    if not gaps_s:
        return "none"
    return f"median {statistics.median(gaps_s):.2f} s, worst {max(gaps_s):.2f} s"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="pyrtr-kills-", dir="/tmp") as name:
        Path(name).chmod(0o755)  # routers change their user
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 30, Path(name)))
