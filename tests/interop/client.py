"""What all routers have in common: found, started, asked and stopped alike, on the machine or in a chroot."""

import asyncio
import re
from pathlib import Path
from typing import ClassVar

from tests.interop.credentials import Credentials
from tests.interop.payload import Payload
from tests.interop.process import Process, output

START_S = 10


class Client:
    """A router's RTR client.

    Attributes:
        name: what it is called.
        package: the Debian package that holds it.
        rtr_version: the highest version that it speaks, and shall therefore speak.
        stays: whether it keeps its connection; otherwise each look is a connection of its own.
        transport: by which it comes, "tcp", "tls" or "ssh".
        source: its address, where it is to come without a tap between; else None.
        needs_certificates: whether its cache asks for one, if it comes over TLS.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    stays: ClassVar[bool] = True
    transport: ClassVar[str] = "tcp"
    source: ClassVar[str | None] = None
    needs_certificates: ClassVar[bool] = True
    credentials: Credentials

    def __init__(self, rtr_version: int, root: Path = Path("/"), package: str | None = None):
        self.rtr_version, self.root = rtr_version, root
        self.package_name = package or self.package
        self.process = Process()
        self.prefix: tuple[str, ...] = () if root == Path("/") else ("chroot", str(root))

    async def release(self) -> str | None:
        """The router's own version number; None where it is not installed."""
        try:
            found = await output(
                "dpkg-query", f"--admindir={self.root}/var/lib/dpkg", "-W", "-f", "${db:Status-Status} ${Version}",
                self.package_name,
            )  # fmt: skip
        except OSError:
            return None
        match = re.match(r"installed (?:\d+:)?([\d.]+)", found)
        return match[1] if match else None

    async def start(self, port: int, folder: str, log: Path) -> None:
        """Have it connect to the cache at `port`; `folder` is a path inside the root, `log` one outside."""
        self.port, self.folder, self.log = port, folder, log
        await self.run()
        for _ in range(START_S * 10):
            if await self.answers():
                return
            await asyncio.sleep(0.1)
        raise OSError(f"no answer within {START_S} s of its start")

    async def stop(self) -> None:
        await self.process.stop()

    def configure(self, text: str) -> str:
        """Write the configuration; returns its path inside the root."""
        path = f"{self.folder}/conf"
        self.outside(path).write_text(text)
        self.outside(path).chmod(0o600)  # OpenBGPD insists
        return path

    def outside(self, path: str) -> Path:
        """The file that the router knows by that path."""
        return Path(f"{self.root}/{path}")

    async def spawn(self, *command: str) -> None:
        await self.process.start(self.log, *self.prefix, *command)

    async def ask(self, *command: str) -> str:
        return await output(*self.prefix, *command)

    async def answers(self) -> bool:
        try:
            await self.held()
        except (OSError, ValueError, LookupError):
            return False
        return True

    async def run(self) -> None:
        """Start the daemon."""
        raise NotImplementedError

    async def held(self) -> set[str]:
        """What it holds now."""
        raise NotImplementedError

    def wanted(self, payload: Payload) -> set[str]:
        """What it must hold, as it shows it."""
        return payload.vrp_lines
