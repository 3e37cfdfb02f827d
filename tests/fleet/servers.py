"""Real servers beside the replicas: a cluster of NATS, and HAProxy before the routers' port."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.model_router import Address
from tests.program import Program

START_S = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Nats:
    """Servers of one cluster; a single one is none.

    Args:
        folder: of their own.
        count: how many.
        arguments: further ones of `nats-server`.
    """

    def __init__(self, folder: Path, count: int = 3, arguments: Sequence[str] = ()) -> None:
        self._arguments = arguments
        self._folder = folder
        self._ports = [(free_port(), free_port(), free_port()) for _ in range(count)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Nats:
        try:
            for number in range(len(self._ports)):
                self.start(number)
            for number in range(len(self._ports)):
                self.wait(number)
        except BaseException:
            self.kill_all()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()

    @property
    def urls(self) -> list[str]:
        return [f"nats://127.0.0.1:{port}" for port, _, _ in self._ports]

    def start(self, number: int) -> None:
        port, cluster_port, monitor_port = self._ports[number]
        arguments = [
            "nats-server", "-js", "-sd", str(self._folder / f"nats-{number}"), "-n", f"n{number}",
            "-a", "127.0.0.1", "-p", str(port), "-m", str(monitor_port), "-l", str(self._folder / f"nats-{number}.log"),
            *self._arguments,
        ]  # fmt: skip
        if len(self._ports) > 1:
            routes = ",".join(f"nats://127.0.0.1:{other}" for _, other, _ in self._ports)
            arguments += ["--cluster_name", "test", "--cluster", f"nats://127.0.0.1:{cluster_port}", "--routes", routes]
        self._processes[number] = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)

    def wait(self, number: int) -> None:
        """Until this one can store."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                info = self._get(number, "/healthz?js-enabled-only=false")
                if info.get("status") == "ok" and (len(self._ports) == 1 or self.leader(number)):
                    return
            time.sleep(0.1)
        raise AssertionError(f"NATS {number} does not come up: {self._get(number, '/jsz')}")

    def leader(self, asked: int) -> str | None:
        """Name of the server that leads the cluster's own group, as this one knows."""
        meta = self._get(asked, "/jsz").get("meta_cluster") or {}
        return meta.get("leader")

    def stream_leader(self, stream: str) -> int:
        """The server that leads a stream."""
        for number in self._processes:
            with contextlib.suppress(OSError):
                details = self._get(number, "/jsz?streams=true&accounts=true").get("account_details") or []
                for detail in (each for account in details for each in account.get("stream_detail") or ()):
                    if detail["name"] == stream and (leader := (detail.get("cluster") or {}).get("leader")):
                        return int(leader.removeprefix("n"))
        raise AssertionError(f"nobody leads {stream}")

    def kill(self, number: int) -> None:
        process = self._processes.pop(number)
        process.kill()
        process.wait()

    def stop(self, number: int) -> None:
        """Let it hang: it holds its connections and says nothing."""
        self._processes[number].send_signal(signal.SIGSTOP)

    def resume(self, number: int) -> None:
        self._processes[number].send_signal(signal.SIGCONT)

    def kill_all(self) -> None:
        for number in [*self._processes]:
            self.kill(number)

    def _get(self, number: int, path: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._ports[number][2]}{path}"
        with urllib.request.urlopen(url, timeout=5) as response:
            result: dict[str, Any] = json.load(response)
        return result


@contextlib.contextmanager
def haproxy(folder: Path, programs: Sequence[Program], balance: str = "leastconn") -> Iterator[Address]:
    """HAProxy before replicas, which it asks by HTTP whether they are ready; where routers connect."""
    port = free_port()
    servers = "\n".join(
        f"  server r{number} 127.0.0.1:{program.rtr[1]} check port {program.web[1]} inter 200ms fall 1 rise 1"
        " on-marked-down shutdown-sessions"
        for number, program in enumerate(programs)
    )
    (folder / "haproxy.cfg").write_text(f"""\
global
  maxconn 1000
defaults
  mode tcp
  timeout connect 1s
  timeout check 10s
  timeout client 1h
  timeout server 1h
  retries 3
  option redispatch
frontend rtr
  bind 127.0.0.1:{port}
  default_backend pyrtr
backend pyrtr
  balance {balance}
  option httpchk GET /readyz
{servers}
""")
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (folder / "haproxy.log").read_text()
                time.sleep(0.05)
        yield ("127.0.0.1", port)
    finally:
        process.kill()
        process.wait()
