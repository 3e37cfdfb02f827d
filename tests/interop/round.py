"""Full set, update, restart: every router against the one cache, each step by all of them at once."""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from tests.interop.cache import Cache
from tests.interop.client import Client
from tests.interop.credentials import Credentials, key_of
from tests.interop.payload import Payload
from tests.interop.tap import Tap

DATA = Path(__file__).parent / "data"
STEPS = {"full": DATA / "a.json", "update": DATA / "b.json", "restart": DATA / "c.json"}
PAYLOADS = {step: Payload.load(file) for step, file in STEPS.items()}
WAIT = float(os.environ.get("WAIT", "90"))  # seconds for a router to take a step
LOOK_S = 0.25  # between two looks at one router
DIFF_LINES, LINE_CHARACTERS = 20, 120


@dataclass
class Result:
    """What came of one step of one router."""

    passed: bool = False
    seconds: float = 0.0
    note: str = ""
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (f"passed {self.seconds:5.1f} s" if self.passed else "FAILED").ljust(14) + self.note


class Lane:
    """One router with its tap."""

    def __init__(self, client: Client, title: str, cache: Cache, folder: Path, chroot_folder: Path):
        slug = title.lower().replace(" ", "-")
        self.client, self.title = client, title
        self.log = folder / f"{slug}.log"
        self.folder = (folder if client.root == Path("/") else chroot_folder) / slug
        self.cache = cache
        self.tap = Tap(cache.ports[client.transport], folder / f"{slug}.rtr", is_plain=client.transport == "tcp")
        self.payload = PAYLOADS["full"]  # what the router held last
        self.results = {step: Result() for step in STEPS}

    async def start(self) -> None:
        self.folder.mkdir()
        port = self.tap.port if self.client.source is None else self.tap.cache_port
        await self.client.start(port, f"/{self.folder.relative_to(self.client.root)}", self.log)

    async def take(self, step: str, payload: Payload, began: float) -> None:
        """Wait until the router holds that set, and judge how it got there."""
        result = self.results[step] = Result()
        wanted = self.client.wanted(payload)
        try:
            async with asyncio.timeout(WAIT):
                if step == "full":
                    await self.start()
                if self.client.stays and self.is_tapped:
                    await self.tap.synced.wait()
                while True:
                    if await self.look() == wanted:
                        break
                    if self.client.stays and not self.client.process.is_running:
                        raise OSError("the router ended by itself")
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            result.faults.append(f"not the set wanted after {WAIT:.0f} s (- wanted, + held)")
            result.faults += await self.difference(wanted)
        except OSError as fault:
            result.faults.append(str(fault))
        result.seconds = monotonic() - began
        if self.is_tapped:
            self.judge(step, payload, result)
        elif self.client.stays:
            await self.judge_by_cache(step, result)
        result.passed = not result.faults

    @property
    def is_tapped(self) -> bool:
        """Whether each PDU is seen on its way."""
        return self.tap.is_plain and self.client.source is None

    async def judge_by_cache(self, step: str, result: Result) -> None:
        """Add the faults that the cache knows of: what is encrypted, or signed, no tap can look at."""
        found = [one for one in await asyncio.to_thread(self.cache.connected) if self.is_ours(one["client"])]
        for one in found:
            self.tap.version = int(one["version"].removeprefix("V"))
            if (one["transport"], self.tap.version) != (self.client.transport, self.client.rtr_version):
                result.faults.append(f"speaks {one['version']} over {one['transport']}")
            if one["last_error"] is not None:
                result.faults.append(f"the router sent an Error Report: {one['last_error']}")
            if step == "update" and (one["responses"]["full"] != 1 or not one["responses"]["delta"]):
                result.faults.append(f"not incremental: {one['responses']}")
        if len(found) != 1:
            result.faults.append(f"{len(found)} connections over {self.client.transport}")

    def is_ours(self, name: str) -> bool:
        return name in self.tap.names if self.client.source is None else name.startswith(f"{self.client.source}:")

    async def difference(self, wanted: set[str]) -> list[str]:
        """Wanted lines that are not held, and held lines that are not wanted."""
        held = await self.look()
        lines = [f"- {line}" for line in sorted(wanted - held)] + [f"+ {line}" for line in sorted(held - wanted)]
        more = [f"and {len(lines) - DIFF_LINES} lines more"] if len(lines) > DIFF_LINES else []
        return [line[:LINE_CHARACTERS] for line in lines[:DIFF_LINES]] + more

    async def look(self) -> set[str]:
        """What the router holds; nothing while it does not say."""
        try:
            return await self.client.held()
        except (OSError, ValueError, LookupError) as fault:
            with self.log.open("a") as log:
                print(f"interop: {fault}", file=log)
            return set()

    def judge(self, step: str, payload: Payload, result: Result) -> None:
        """Add the faults that the tap knows of."""
        tap, client = self.tap, self.client
        version = client.rtr_version
        before, full = self.payload.pdu_count(version), payload.pdu_count(version)
        update = payload.update_count(self.payload, version)
        self.payload = payload
        if tap.version != version:
            result.faults.append(f"speaks version {tap.version}, not {version}")
        if tap.router_errors:
            result.faults.append(f"the router sent Error Reports with code {tap.router_errors}")
        if not client.stays:
            sizes = {before, full}
        else:  # after a restart the cache may serve what it kept, until it has read the new file
            sizes = {"full": {full}, "update": {update}, "restart": {full, update, before}}[step]
        if not set(tap.responses) <= {0, *sizes}:
            result.faults.append(f"responses of {tap.responses} payload PDUs; {full} make the set, {update} lead to it")
        if client.stays and step != "full":
            result.note = f"{sum(tap.responses):4} of {full} PDUs"
        if client.stays and step == "update" and (tap.seen["Reset Query"] or tap.seen["Cache Reset"]):
            result.faults.append(f"not incremental: {dict(tap.seen)}")


class Round:
    """All routers against one cache, and those without a certificate against another."""

    def __init__(
        self, program: str, routers: dict[str, Client], credentials: Credentials, folder: Path, chroot_folder: Path
    ):
        certificate = {"TLS_CERT": credentials.cache, "TLS_KEY": key_of(credentials.cache)}
        strict = Cache(
            program, folder, ("tcp", "tls", "ssh"), **certificate, TLS_CLIENT_CA=credentials.ca,
            SSH_HOST_KEY=credentials.host_key, SSH_AUTHORIZED_KEYS=credentials.authorized_keys,
            SSH_PASSWORDS=credentials.passwords, TCP_MD5=credentials.md5,
        )  # fmt: skip
        (folder / "open").mkdir()
        lenient = Cache(program, folder / "open", ("tls",), **certificate)  # for who has no certificate
        self.caches = [strict, lenient]
        self.lanes = []
        for title, client in routers.items():
            client.credentials = credentials
            cache = strict if client.needs_certificates else lenient
            self.lanes.append(Lane(client, title, cache, folder, chroot_folder))

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            for cache in self.caches:
                stack.push_async_callback(cache.process.stop)
                cache.put(STEPS["full"])
                await cache.start()
                await cache.ready()
            for lane in self.lanes:
                await lane.tap.open()
                stack.push_async_callback(lane.tap.abandon)
                stack.push_async_callback(lane.client.stop)
            await self.step("full", monotonic())

            began = monotonic()
            for lane in self.lanes:
                lane.tap.begin()
            for cache in self.caches:
                cache.put(STEPS["update"])
                cache.load()
            await self.step("update", began)

            began = monotonic()
            for lane in self.lanes:
                await lane.tap.close()
            for cache in self.caches:
                await cache.stop()
                cache.put(STEPS["restart"])
                await cache.start()
            for lane in self.lanes:
                lane.tap.begin()
                await lane.tap.open()
            for cache in self.caches:
                await cache.ready()
            await self.step("restart", began)

    async def step(self, step: str, began: float) -> None:
        """Every router at once."""
        await asyncio.gather(*(lane.take(step, PAYLOADS[step], began) for lane in self.lanes))
        passed = sum(lane.results[step].passed for lane in self.lanes)
        print(f"{step}: {passed} of {len(self.lanes)} after {monotonic() - began:.1f} s", flush=True)
