"""pyRTR as its users run it: a process, told by its environment, watched over HTTP."""

import asyncio
import http.client
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.interop.process import STOP_S, Process, free_port

START_S = 30
RETRY = 2  # seconds: routers come back soon after a restart; the other intervals are longer than the round


class CacheError(Exception):
    """The cache did not do what it must before a router can be looked at."""


class Cache:
    """One pyRTR, its data file and its STATE in `folder`.

    Attributes:
        ports: by transport.
    """

    def __init__(self, program: str, folder: Path, transports: Iterable[str], **settings: object):
        self.program, self.folder = program, folder
        self.file = folder / "rpki.json"
        self.ports = {transport: free_port() for transport in transports}
        self.http_port = free_port()
        self.log = folder / "pyrtr.log"
        self.settings = {name: str(value) for name, value in settings.items()}
        self.process = Process()

    def put(self, data: Path) -> None:
        """Replace the file that is served, at once and whole."""
        new = self.file.with_suffix(".new")
        shutil.copy(data, new)
        new.replace(self.file)

    async def start(self) -> None:
        """Run the program until it listens."""
        settings = {
            "LOCATION": str(self.file),
            "STATE": str(self.folder / "state"),
            "HOST": "127.0.0.1",
            "RTR_PORT": str(self.ports.get("tcp", False)),
            "TLS_PORT": str(self.ports.get("tls", False)),
            "SSH_PORT": str(self.ports.get("ssh", False)),
            "HTTP_PORT": str(self.http_port),
            "RELOAD": "3600",
            "REFRESH": "3600",
            "RETRY": str(RETRY),
            "EXPIRE": "7200",
            "LOGLEVEL": "DEBUG",
        }
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        await self.process.start(self.log, self.program, env=environment | settings | self.settings)
        await self.until(self.listens, "listen")

    async def ready(self) -> None:
        """Return once there is data to serve."""
        await self.until(self.is_ready, "get ready")

    def load(self) -> None:
        """Make it look at the file."""
        self.process.hang_up()

    async def stop(self) -> None:
        if not await self.process.stop():
            raise CacheError(f"pyrtr did not end within {STOP_S} s of SIGTERM")

    async def until(self, claim: Callable[[], bool], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + START_S
        while not await asyncio.to_thread(claim):
            if not self.process.is_running:
                raise CacheError("pyrtr ended by itself")
            if asyncio.get_running_loop().time() > deadline:
                raise CacheError(f"pyrtr did not {what} within {START_S} s")
            await asyncio.sleep(0.05)

    def listens(self) -> bool:
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex(("127.0.0.1", next(iter(self.ports.values())))) == 0

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def connected(self) -> list[dict[str, Any]]:
        """The routers, as `/clients` shows them."""
        clients: list[dict[str, Any]] = json.loads(self.get("/clients")[1])
        return clients

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=1)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
