"""The real program as its users run it: a process, told by its environment, fed by a file, watched over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.carriers import TCP, Carrier
from tests.inputs import SMALL, Payload, rpki_client_bytes
from tests.model_router import Address, Router

START_S = 60.0  # a cold start on a busy machine
WAIT_S = 30.0  # a load on a busy machine
STOP_S = 10.0
POLL_S = 0.02
INHERITED = ("PATH", "HOME", "LANG", "PYTHONPATH")


class Program:
    """One pyRTR on loopback, with its file, its state and its log in a folder.

    Ports are free ones that the program names in its log; a restart keeps them.

    Args:
        folder: of its own.
        payload: what the file holds at first; None for no file.
        carrier: by which its routers come.
        environment: further settings.
    """

    def __init__(
        self, folder: Path, payload: Iterable[Payload] | None = SMALL, carrier: Carrier = TCP, **environment: object
    ) -> None:
        self.file = folder / "rpki.json"
        self.log = folder / "pyrtr.log"
        self.rtr: Address = ("", 0)
        self.addresses: dict[str, Address] = {}  # for each transport
        self.web: Address = ("", 0)
        self.prefix: tuple[str, ...] = ()  # what stands before the command
        self.pass_fds: tuple[int, ...] = ()
        self.carrier = carrier
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            "LOCATION": self.file,
            "STATE": folder / "state",
            "HOST": "127.0.0.1",
            "RTR_PORT": 0,
            "HTTP_PORT": 0,
            "LOG_FORMAT": "json",
            "LOGLEVEL": "DEBUG",
            "MAX_SHRINK": 100,  # of tables as small as these, one entry is a large part
            **carrier.environment,
        } | environment
        if payload is not None:
            self.load(payload)

    @classmethod
    @contextlib.contextmanager
    def idle(
        cls, folder: Path, payload: Iterable[Payload] | None = SMALL, carrier: Carrier = TCP, **environment: object
    ) -> Iterator[Self]:
        """One that does not run yet; killed in the end."""
        program = cls(folder, payload, carrier, **environment)
        try:
            yield program
        finally:
            program.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    # Life

    def start(self) -> None:
        """Run it, and wait until it is ready if it has a file, else until it listens."""
        size = self.launch()
        try:
            started = self.wait_for(lambda: self._logged("started", size), START_S, "it says that it has started")
            self.rtr, self.web = _address(started["rtr"]), _address(started["http"])
            self.addresses = {name: _address(started[name]) for name in ("rtr", "tls", "ssh") if started.get(name)}
            self._environment |= {f"{name.upper()}_PORT": address[1] for name, address in self.addresses.items()}
            if self.web[1]:
                self._environment["HTTP_PORT"] = self.web[1]
            if self.file.exists():
                self.wait_for(lambda: self._is_ready(size), START_S, "it is ready")
        except BaseException:
            self.kill()
            raise

    def launch(self) -> int:
        """Run it, and wait for nothing; where in the log its lines begin."""
        assert self._process is None, "it runs"
        size = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "pyrtr"],
                cwd=self._folder, env=self._variables(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=self.pass_fds,
            )  # fmt: skip
        return size

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `pyrtr` with arguments in the same environment, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "pyrtr", *arguments],
            cwd=self._folder, env=self._variables(), capture_output=True, text=True, timeout=START_S, check=False,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait_for_end()

    def wait_for_end(self) -> int:
        """Wait until it has ended; its exit status."""
        assert self._process is not None
        try:
            return self._process.wait(STOP_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    # Input

    def load(self, payload: Iterable[Payload], **options: Any) -> None:
        """Replace the file by one that was built now, at once and whole, and have it looked at."""
        self.load_bytes(rpki_client_bytes(payload, **{"build_time": ago(0)} | options))

    def load_bytes(self, document: bytes) -> None:
        new = self.file.with_suffix(".new")
        new.write_bytes(document)
        new.replace(self.file)
        if self._process is not None:
            self.signal(signal.SIGHUP)

    # Routers

    def router(self, version: int = 2, **options: Any) -> Router:
        """A strict router with an open connection."""
        return Router.connect(self.addresses[self.carrier.name], version, carry=self.carrier.carry, **options)

    # What it says

    def get(self, path: str, timeout_s: float = WAIT_S) -> tuple[int, bytes]:
        connection = self._http(timeout_s)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _http(self, timeout_s: float) -> http.client.HTTPConnection:
        if "HTTP_TLS_CERT" not in self._environment:
            return http.client.HTTPConnection(*self.web, timeout=timeout_s)
        context = ssl._create_unverified_context()
        return http.client.HTTPSConnection(*self.web, timeout=timeout_s, context=context)

    def clients(self) -> list[dict[str, Any]]:
        clients: list[dict[str, Any]] = json.loads(self.get("/clients")[1])
        return clients

    def healthz(self) -> dict[str, Any]:
        health: dict[str, Any] = json.loads(self.get("/healthz")[1])
        return health

    def health(self) -> tuple[int, str]:
        """The status of `/healthz`, and what it says."""
        status, body = self.get("/healthz")
        return status, json.loads(body)["status"]

    def metrics(self) -> dict[str, float]:
        """Every sample by its name with labels."""
        lines = self.get("/metrics")[1].decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def events(self, start: int = 0) -> list[dict[str, Any]]:
        """The log lines from an offset on."""
        with self.log.open("rb") as log:
            log.seek(start)
            lines = log.read().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"\n")]

    def has_logged(self, event: str, count: int = 1) -> bool:
        """Whether the log says this so many times."""
        return [line.get("event") for line in self.events()].count(event) >= count

    def wait_for(self, condition: Callable[[], Any], timeout_s: float = WAIT_S, what: str = "it comes true") -> Any:
        """Look until the condition holds; what it then was."""
        deadline = time.monotonic() + timeout_s
        while not (result := condition()):
            is_running = self.is_running
            if not is_running or time.monotonic() > deadline:
                state = "still runs" if is_running else "has ended"
                log = self.log.read_text()[-4000:]
                raise AssertionError(f"{timeout_s} s until {what}; the program {state}:\n{log}")
            time.sleep(POLL_S)
        return result

    def _variables(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return inherited | {name: str(value) for name, value in self._environment.items()}

    def _is_ready(self, start: int) -> bool:
        if not self.web[1]:
            return self._logged("ready", start) is not None
        # HTTP is loaded last, and that takes most of a cold start: the first request waits for it.
        return self.get("/readyz", START_S)[0] == 200

    def _logged(self, event: str, start: int) -> dict[str, Any] | None:
        return next((line for line in self.events(start) if line.get("event") == event), None)


def ago(seconds: float) -> str:
    """The time so long ago as a validator writes it."""
    return datetime.fromtimestamp(time.time() - seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _address(named: str) -> Address:
    """The first of the addresses that were named; none if there is none."""
    host, _, port = (named.split() or [":0"])[0].rpartition(":")
    return host, int(port)
