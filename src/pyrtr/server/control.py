"""The operator's word to the running program: a socket in the state folder, for its owner alone.

One line is one request: `accept`. The answer is a line of text.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

NAME = "control"
MAX_REQUEST_BYTES = 256
TIMEOUT_S = 10.0


@contextlib.contextmanager
def _reachable(folder: Path) -> Iterator[str]:
    """A name of the socket that is short enough for the kernel (108 octets), wherever the folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def listening(folder: Path, commands: dict[str, Callable[[], str]]) -> AsyncIterator[None]:
    """Answer requests while the context lasts.

    Args:
        folder: the state folder, locked by us: a socket that is there is a left-over.
        commands: what each request does.

    Raises:
        OSError: the socket can't be made.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            request = (await asyncio.wait_for(reader.readline(), TIMEOUT_S)).decode("utf-8", "replace").strip()
            command = commands.get(request)
            writer.write(f"{command() if command else f'unknown request {request!r}'}\n".encode())
            await asyncio.wait_for(writer.drain(), TIMEOUT_S)
        writer.close()

    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _reachable(folder) as name:
        (folder / NAME).unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            sock.bind(name)
        finally:
            os.umask(mask)
    server = await asyncio.start_unix_server(answer, sock=sock, limit=MAX_REQUEST_BYTES)
    try:
        yield
    finally:
        server.close()
        with contextlib.suppress(OSError):
            (folder / NAME).unlink(missing_ok=True)


def ask(folder: Path, request: str) -> str:
    """Put one request to the program that runs on `folder`; returns its answer.

    Raises:
        OSError: nobody answers there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, _reachable(folder) as name:
        sock.settimeout(TIMEOUT_S)
        sock.connect(name)
        sock.sendall(f"{request}\n".encode())
        with sock.makefile("r", encoding="utf-8") as answer:
            return answer.readline().strip()
