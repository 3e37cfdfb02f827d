"""The programs that are measured, each a process of its own: pyRTR, StayRTR, and a bare sender of the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
START_S = 60.0
STOP_S = 10.0
POLL_S = 0.01

Address = tuple[str, int]


class BenchError(Exception):
    """A program did not do what it must before it can be measured."""


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


def memory_kib(pid: int, field_name: str) -> int:
    """One field of /proc/PID/status, such as VmRSS or VmHWM; 0 where the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field_name}:")), 0)


def forget_peak(pid: int) -> None:
    """Let VmHWM start again from what the process has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def children(pid: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    with contextlib.suppress(OSError):
        return [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    return []


@dataclass(slots=True)
class Peaks:
    """The most memory that was seen, in KiB.

    Attributes:
        compile_kib: of a process that the program started.
        sum_kib: of the program and what it started, at the same moment.
    """

    compile_kib: int = 0
    sum_kib: int = 0


@dataclass(slots=True)
class Pyrtr:
    """A pyRTR, which may run several times on the same files.

    Attributes:
        settings: its environment.
        source: the file that it serves.
        address, http_port: where it listens.
        process: while it runs.
        started: when that was started (monotonic).
        peaks: the most memory of all runs.
        events: the log lines of this run, with the time (monotonic) at which they came.
    """

    settings: Mapping[str, str]
    source: Path
    address: Address
    http_port: int
    process: subprocess.Popen[bytes] = field(init=False)
    started: float = field(init=False)
    peaks: Peaks = field(default_factory=Peaks)
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    _has_news: threading.Condition = field(default_factory=threading.Condition)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Start it, and do not wait for anything."""
        self.events = []
        self.started = time.monotonic()
        self.process = subprocess.Popen(  # the interpreter that runs this, so that PYTHONPATH counts
            (sys.executable, "-m", "pyrtr"),
            env=_environment(self.settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self.follow_log, self.watch_memory)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End it in order."""
        _stop(self.process)
        self._join()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()
        self._join()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(STOP_S)

    @property
    def pid(self) -> int:
        """Of the serving process."""
        return self.process.pid

    def put(self, source: Path) -> None:
        """Let another file stand in the source's place, without making the program look at it."""
        new = self.source.with_suffix(".new")
        new.unlink(missing_ok=True)
        os.link(source, new)
        new.replace(self.source)

    def reload(self, source: Path) -> float:
        """Replace the source, make the program look, and wait until it is published; returns how long that took."""
        self.put(source)
        start = len(self.events)
        began = time.monotonic()
        self.process.send_signal(1)
        return self.wait_for("published", start)[0] - began

    def wait_for(self, event: str, start: int = 0) -> tuple[float, dict[str, Any]]:
        """The first log line of this event from `start` on, and when it came."""
        deadline = time.monotonic() + START_S
        with self._has_news:
            while True:
                for moment, line in self.events[start:]:
                    if line["event"] == event:
                        return moment, line
                    if line["level"] in ("error", "critical"):
                        raise BenchError(f"pyrtr: {line}")
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise BenchError(f"pyrtr did not log {event!r} within {START_S:.0f} s")
                self._has_news.wait(0.2)

    def follow_log(self) -> None:
        """Read log lines until there are no more."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            moment = time.monotonic()
            with contextlib.suppress(ValueError), self._has_news:
                self.events.append((moment, json.loads(line)))
                self._has_news.notify_all()

    def watch_memory(self) -> None:
        """Look at the memory of the program and of what it starts, until it ends."""
        while self.process.poll() is None:
            compiling = children(self.pid)
            for child in compiling:
                self.peaks.compile_kib = max(self.peaks.compile_kib, memory_kib(child, "VmHWM"))
            total = sum(memory_kib(pid, "VmRSS") for pid in (self.pid, *compiling))
            self.peaks.sum_kib = max(self.peaks.sum_kib, total)
            time.sleep(POLL_S)


@contextlib.contextmanager
def pyrtr(folder: Path, source: Path) -> Iterator[Pyrtr]:
    """Start pyRTR with a copy of `source`, and hand it out when it is ready; stop it in the end."""
    place = folder / f"pyrtr-{time.monotonic_ns()}"
    place.mkdir()
    os.link(source, place / "json")
    settings = {
        "LOCATION": str(place / "json"),
        "STATE": str(place / "state"),
        "HOST": HOST,
        "RTR_PORT": str(free_port()),
        "HTTP_PORT": str(free_port()),
        "WATCH": "False",
        "LOG_FORMAT": "json",
    }
    address, http_port = (HOST, int(settings["RTR_PORT"])), int(settings["HTTP_PORT"])
    program = Pyrtr(settings, place / "json", address, http_port)
    try:
        program.start()
        program.wait_for("ready")
        yield program
    finally:
        program.stop()
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def raw_sender(body: Path) -> Iterator[Address]:
    """A process that answers whatever it is sent with the octets of `body`: a bare loop of `sendall`."""
    port = free_port()
    process = subprocess.Popen((sys.executable, "-m", "bench.raw", str(port), str(body)))
    try:
        wait_until_listening((HOST, port), process)
        yield HOST, port
    finally:
        _stop(process)


@contextlib.contextmanager
def stayrtr(program: str, source: Path) -> Iterator[tuple[int, Address, float]]:
    """Start StayRTR; hands out its pid, its address, and when it was started (monotonic)."""
    port = free_port()
    command = (
        *(program, "-cache", str(source), "-bind", f"{HOST}:{port}", "-metrics.addr", f"{HOST}:{free_port()}"),
        *("-checktime=false", "-loglevel", "error", "-log.verbose=false", "-protocol", "1"),
    )
    started = time.monotonic()
    process = subprocess.Popen(command, env=_environment({}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_listening((HOST, port), process)
        yield process.pid, (HOST, port), started
    finally:
        _stop(process)


def wait_until_listening(address: Address, process: subprocess.Popen[bytes]) -> None:
    """Return as soon as somebody listens there."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(address) == 0:
                return
        time.sleep(POLL_S)
    raise BenchError(f"{process.args!r} did not listen on {address} within {START_S:.0f} s")


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """A small one, so that what is set where this runs changes nothing."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    return {**kept, **settings}


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
