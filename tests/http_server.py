"""An HTTP server on loopback that answers with whatever a test wants, octet for octet, however wrong."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import cast


@dataclass(slots=True)
class Asked:
    """A request: its target as it stands there, its header fields by their names in lower case, and where it came."""

    target: str
    headers: dict[str, str]
    peer: socket.socket

    def wait_until_gone(self) -> None:
        """Say nothing until the client gives up."""
        with contextlib.suppress(OSError):
            self.peer.recv(1)


Answer = bytes | Callable[[Asked], Iterable[bytes]]
"""The octets of an answer, or what makes them, in pieces that are sent as they come."""


def response(body: bytes = b"", /, status: int = 200, **fields: object) -> bytes:
    """An answer; names of fields are written with underscores. Content-Length is right unless it is given."""
    fields = {"Content_Length": len(body), "Date": formatdate(usegmt=True), **fields}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name.replace('_', '-')}: {text}" for name, text in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", **fields: object) -> bytes:
    """An answer in chunks, which lacks its end if that is empty."""
    head = response(b"", 200, Transfer_Encoding="chunked", **fields).replace(b"Content-Length: 0\r\n", b"")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def endless(head: bytes, piece: bytes, pause_s: float = 0) -> Answer:
    """`head`, and then `piece` until the client goes away."""

    def answer(_: Asked) -> Iterator[bytes]:
        yield head
        while True:
            yield piece
            time.sleep(pause_s)

    return answer


def silent(head: bytes = b"") -> Answer:
    """`head`, and then nothing until the client goes away."""

    def answer(asked: Asked) -> Iterator[bytes]:
        yield head
        asked.wait_until_gone()

    return answer


class Document:
    """A document with an ETag, which is answered with 304 to one who knows it.

    Attributes:
        body: what it is now.
        cut_at: after how many octets of the body the connection ends; None for never.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.cut_at: int | None = None

    def __call__(self, asked: Asked) -> Iterator[bytes]:
        etag = f'"{hash(self.body):x}"'
        if asked.headers.get("if-none-match") == etag:
            yield response(status=304, ETag=etag)
        else:
            yield response(self.body[: self.cut_at], Content_Length=len(self.body), ETag=etag)


class HttpServer:
    """Answers a request for each target as `answers` says, others with 404; one connection, one answer.

    Attributes:
        answers: by target.
        asked: every request, in the order they came.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[Asked] = []
        self._scheme = "http" if context is None else "https"
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.context = context
        self._server.owner = self

    def url(self, target: str, *, user: str = "", host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{user}{'@' * bool(user)}{host}:{self.port}{target}"

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def __enter__(self) -> HttpServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()  # waits for the answers that are under way


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 64
    context: ssl.SSLContext | None
    owner: HttpServer


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client has gone, or does not like our certificate
            self._answer(cast("_Server", self.server))

    def _answer(self, server: _Server) -> None:
        peer: socket.socket = self.request
        peer.settimeout(20)  # a test that hangs ends
        if server.context is not None:
            peer = server.context.wrap_socket(peer, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head:
            if not (octets := peer.recv(65536)):
                return
            head += octets
        first, *fields = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        headers = {name.lower(): text for name, text in (field.split(": ", 1) for field in fields)}
        asked = Asked(first.split(" ")[1], headers, peer)
        server.owner.asked.append(asked)
        answer = server.owner.answers.get(asked.target, response(status=404))
        for piece in [answer] if isinstance(answer, bytes) else answer(asked):
            peer.sendall(piece)
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_WR)
        if server.context is not None:
            peer.close()
