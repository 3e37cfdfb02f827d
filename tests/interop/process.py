"""Child processes, each bounded in time, none of which outlives this program."""

import asyncio
import contextlib
import os
import random
import signal
import socket
from pathlib import Path

COMMAND_S = 10  # for any one command
STOP_S = 5  # from SIGTERM to the end of a process


# below the ports that the system hands out to outgoing connections, which could take one between two uses
ports = iter(random.sample(range(20000, 32768), 1000))


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing uses; each only once."""
    for port in ports:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port
    raise OSError("no TCP port is free")


async def output(*command: str) -> str:
    """What a command prints; raises OSError with what it complains of."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True
    )
    try:
        async with asyncio.timeout(COMMAND_S):
            out, err = await child.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    if child.returncode:
        raise OSError(f"{' '.join(command)}: status {child.returncode}: {err.decode(errors='replace').strip()}")
    return out.decode()


class Process:
    """A daemon in a session of its own."""

    child: asyncio.subprocess.Process | None = None

    @property
    def is_running(self) -> bool:
        return self.child is not None and self.child.returncode is None

    async def start(
        self, log: Path, *command: str, errors: Path | None = None, env: dict[str, str] | None = None
    ) -> None:
        """Run the command with its output in `log`; it is killed should this program die without stopping it."""
        with log.open("ab") as out, (errors or log).open("ab") as err:
            self.child = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", *command,
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=err, env=env, start_new_session=True,
            )  # fmt: skip

    async def stop(self) -> bool:
        """End it and what it started; False where SIGTERM alone did not do so in time."""
        if self.child is None:
            return True
        if self.is_running:
            self.child.terminate()
        try:
            await asyncio.wait_for(self.child.wait(), STOP_S)
            return True
        except TimeoutError:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)
            await self.child.wait()

    def hang_up(self) -> None:
        """Send SIGHUP."""
        if self.child is not None and self.is_running:
            self.child.send_signal(signal.SIGHUP)
