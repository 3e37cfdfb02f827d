"""Three replicas on a cluster of three NATS servers, with one source for all."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.fleet.servers import Nats
from tests.inputs import SMALL, Payload, many, vrp
from tests.program import Program

WAIT_S = 60.0
RETRY_S = 2  # which routers are told, and wait before they connect again


class Cluster:
    """All of it; what it starts ends with the stack."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.source = folder / "rpki.json"
        self.payload: list[Payload] = [*many(50), *SMALL]
        self.nats = stack.enter_context(Nats(folder))
        self.programs = []
        for number in range(3):
            (folder / str(number)).mkdir()
            program = Program(
                folder / str(number),
                None,
                FLEET=",".join(self.nats.urls),
                FLEET_NAME="test",
                LOCATION=self.source,
                RELOAD=1, RETRY=RETRY_S,
            )  # fmt: skip
            stack.callback(program.kill)
            self.programs.append(program)
        self._marks = itertools.count(1)

    def start(self) -> None:
        self.churn()
        for program in self.programs:
            program.start()
        for program in self.programs:
            program.wait_for(partial(program.has_logged, "ready"), WAIT_S, "it is ready")

    def churn(self) -> None:
        """Another set, by a few entries."""
        mark = next(self._marks)
        self.payload = [*many(50)[mark % 7 :], *SMALL, vrp(f"10.{mark // 256}.{mark % 256}.0/24")]
        self.programs[0].file = self.source
        writer = self.programs[0]
        process, writer._process = writer._process, None  # each looks by itself
        writer.load(self.payload)
        writer._process = process

    def on_duty(self) -> int | None:
        """The replica that looks at the sources."""
        for number, program in enumerate(self.programs):
            if program.is_running:
                with contextlib.suppress(OSError):
                    fleet = program.healthz()["fleet"]
                    if fleet["on_duty"] == fleet["member"]:
                        return number
        return None


def until(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
