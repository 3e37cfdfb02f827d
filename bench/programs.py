"""The programs that are measured, each in processes of its own: pyRTR, other caches, and a bare sender."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.report import PYRTR

HOST = "127.0.0.1"
START_S = 60.0
STOP_S = 10.0
POLL_S = 0.01
# A program that takes more is ended: what it is measured with needs room too.
MEMORY_LIMIT_KIB = 8 * 2**20

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


def cpu_seconds(pid: int) -> float:
    """What a process and all that it started has used of the processors, in steps of 10 ms."""
    return _cpu(pid, 4) + sum(_cpu_of_running(child) for child in children(pid))


def own_cpu_seconds(pid: int) -> float:
    """The same without what it started."""
    return _cpu(pid, 2)


def _cpu(pid: int, field_count: int) -> float:
    """Of utime, stime, cutime and cstime the first so many, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 11 + field_count])) / os.sysconf("SC_CLK_TCK")


def _cpu_of_running(pid: int) -> float:
    try:
        return cpu_seconds(pid)
    except OSError:  # it has ended; now its time counts as its parent's
        return 0.0


@dataclass(slots=True)
class Peaks:
    """The most memory that was seen, in KiB.

    Attributes:
        child_kib: of a process that the program started.
        sum_kib: of the program and what it started, at the same moment.
    """

    child_kib: int = 0
    sum_kib: int = 0


@dataclass(slots=True)
class Program:
    """A cache, which may run several times on the same files.

    Attributes:
        name: what it is called in the tables.
        command, settings: how it is started, and its environment.
        source: the file that it serves.
        address: where it listens.
        reload_signal: what makes it look at its source; None if it looks every second.
        form: which file holds what it can read of a source.
        process: while it runs.
        started: when that was started (monotonic).
        peaks: the most memory of all runs.
    """

    name: str
    command: Sequence[str]
    settings: Mapping[str, str]
    source: Path
    address: Address
    reload_signal: signal.Signals | None = signal.SIGHUP
    form: Callable[[Path], Path] = lambda source: source
    process: subprocess.Popen[bytes] = field(init=False)
    started: float = field(init=False)
    peaks: Peaks = field(default_factory=Peaks)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Start it, and do not wait for anything."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command, env=_environment(self.settings), stdout=subprocess.DEVNULL, stderr=self._errors()
        )
        self._threads = [threading.Thread(target=work, daemon=True) for work in self._watchers()]
        for thread in self._threads:
            thread.start()

    def _errors(self) -> int:
        return subprocess.DEVNULL

    def _watchers(self) -> Sequence[Callable[[], None]]:
        return (self._watch_memory,)

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

    @property
    def cpu_s(self) -> float:
        """Processor time of this run, with all processes that it started."""
        return cpu_seconds(self.pid)

    def put(self, source: Path) -> None:
        """Let another file stand in the source's place, without making the program look at it."""
        new = self.source.with_suffix(".new")
        new.unlink(missing_ok=True)
        os.link(self.form(source), new)
        os.utime(new)  # some look at that alone
        new.replace(self.source)

    def look(self) -> None:
        """Make it look at its source."""
        if self.reload_signal is not None:
            self.process.send_signal(self.reload_signal)

    def _watch_memory(self) -> None:
        """Look at the memory of the program and of what it starts, until it ends."""
        while self.process.poll() is None:
            started = children(self.pid)
            for child in started:
                self.peaks.child_kib = max(self.peaks.child_kib, memory_kib(child, "VmHWM"))
            total = sum(memory_kib(pid, "VmRSS") for pid in (self.pid, *started))
            self.peaks.sum_kib = max(self.peaks.sum_kib, total)
            if total > MEMORY_LIMIT_KIB:
                self.process.kill()
            time.sleep(POLL_S)


@dataclass(slots=True)
class Pyrtr(Program):
    """A pyRTR, which says in its log what it does.

    Attributes:
        events: the log lines of this run, with the time (monotonic) at which they came.
    """

    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    _has_news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def http_port(self) -> int:
        """Where it speaks HTTP."""
        return int(self.settings["HTTP_PORT"])

    def start(self) -> None:
        """Start it, and do not wait for anything."""
        self.events = []
        Program.start(self)

    def _errors(self) -> int:
        return subprocess.PIPE

    def _watchers(self) -> Sequence[Callable[[], None]]:
        return self._follow_log, self._watch_memory

    def reload(self, source: Path) -> float:
        """Replace the source, make the program look, and wait until it is published; returns how long that took."""
        return self.published(source)[1]

    def published(self, source: Path) -> tuple[float, float]:
        """The same; returns when it was published (monotonic), and how long that took."""
        self.put(source)
        start = len(self.events)
        began = time.monotonic()
        self.look()
        moment = self.wait_for("published", start)[0]
        return moment, moment - began

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

    def _follow_log(self) -> None:
        """Read log lines until there are no more."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            moment = time.monotonic()
            with contextlib.suppress(ValueError), self._has_news:
                self.events.append((moment, json.loads(line)))
                self._has_news.notify_all()


@contextlib.contextmanager
def pyrtr(
    folder: Path, source: Path, settings: Mapping[str, str] | None = None, module: str = "pyrtr"
) -> Iterator[Pyrtr]:
    """Start pyRTR with a copy of `source`, and hand it out when that is published; stop it in the end."""
    with starting(folder, source, settings, module) as program:
        program.wait_for("published")  # what is waited for next must not be this one
        yield program


@contextlib.contextmanager
def starting(
    folder: Path, source: Path, settings: Mapping[str, str] | None = None, module: str = "pyrtr"
) -> Iterator[Pyrtr]:
    """The same, but hand it out at once."""
    place = folder / f"pyrtr-{time.monotonic_ns()}"
    place.mkdir()
    os.link(source, place / "json")
    port = free_port()
    environment = {
        "LOCATION": str(place / "json"),
        "STATE": str(place / "state"),
        "HOST": HOST,
        "RTR_PORT": str(port),
        "HTTP_PORT": str(free_port()),
        "WATCH": "False",
        "LOG_FORMAT": "json",
        "MAX_SHRINK": "100",  # a third of the table goes at once
        **(settings or {}),
    }
    # The interpreter that runs this, so that PYTHONPATH counts.
    command = (sys.executable, "-m", module)
    program = Pyrtr(PYRTR, command, environment, place / "json", (HOST, port))
    try:
        program.start()
        yield program
    finally:
        program.stop()
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def raw_sender(body: Path, certificate: Path | None = None) -> Iterator[Address]:
    """A process that answers whatever it is sent with the octets of `body`: a bare loop of `sendall`."""
    port = free_port()
    files = map(str, filter(None, (body, certificate)))
    process = subprocess.Popen((sys.executable, "-m", "bench.raw", str(port), *files))
    try:
        wait_until_listening((HOST, port), process)
        yield HOST, port
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
