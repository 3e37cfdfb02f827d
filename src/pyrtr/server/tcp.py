"""RTR over TCP: listening, accepting, and surviving every error of the latter (8210bis §9)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from pyrtr.errors import PyrtrError
from pyrtr.logs import get_logger
from pyrtr.server.connection import Transport
from pyrtr.server.descriptors import FOR_HTTP, FOR_LOADING, require_spare
from pyrtr.server.md5 import Md5, Md5Error
from pyrtr.server.peers import Peer
from pyrtr.server.registry import Registry
from pyrtr.session.cache import STALL_RETRIES

BACKLOG = 4096
ACCEPTS_PER_TURN = 64
# Out of descriptors or memory: nothing gets better by trying at once, and the routers that are connected go on.
OVERLOAD_PAUSE_S = 0.5
# What the kernel holds of what somebody has sent, and so what is worked off in one turn: 256 KiB of key updates of TLS
# take a third of a second. A router sends queries of twelve octets.
RECEIVE_BYTES = 2**13
_OVERLOAD = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# 8210bis §9: keep-alives are on, and a router that takes nothing for three Retry Intervals is given up. What the kernel
# has taken off our hands, only the kernel can time: TCP_USER_TIMEOUT. It counts for keep-alives, too: a router that is
# gone without a word is noticed after three Retry Intervals.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15))


class BindError(PyrtrError):
    """An address or port can't be listened on."""


def bind(hosts: Iterable[str], port: int, md5: Md5 | None = None) -> list[socket.socket]:
    """Listen on `port` of all addresses of `hosts`; with port 0, on one free port of all of them.

    Raises:
        Md5Error: peers could not be made to sign.
        BindError: a name does not resolve, or an address can't be bound; nothing is listened on then.
    """
    sockets: list[socket.socket] = []
    try:
        for host in hosts:
            port = _bind_host(host, port, sockets, md5)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def listen_sparingly(sock: socket.socket, backlog: int) -> None:
    """Listen, or go on with it; each connection gets `RECEIVE_BYTES` from its first octet on."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    sock.listen(backlog)


def _bind_host(host: str, port: int, sockets: list[socket.socket], md5: Md5 | None) -> int:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:  # the latter for a label of more than 63 characters
        reason = getattr(error, "strerror", None) or "it is no name"
        raise BindError(f"HOST {host!r} does not resolve: {reason}") from error
    unavailable: OSError | None = None
    bound = 0
    for family, kind, protocol, _, address in dict.fromkeys(found):
        if any(sock.getsockname()[0] == address[0] for sock in sockets):  # two names of one address
            bound += 1
            continue
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # the kernel has no IPv6
            unavailable = error
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address[0], port or _free_port(family, address), *address[2:]))
            if md5 is not None:
                md5.protect(sock)
            listen_sparingly(sock, BACKLOG)
            sock.setblocking(False)
        except Md5Error:
            sock.close()
            raise
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRNOTAVAIL:  # such as ::1 of localhost where IPv6 is switched off
                unavailable = error
                continue
            raise BindError(f"port {port} of {address[0]} can't be listened on: {error.strerror}") from error
        port = sock.getsockname()[1]
        sockets.append(sock)
        bound += 1
    if not bound:
        reason = unavailable.strerror if unavailable else "no address"
        raise BindError(f"port {port} of {host} can't be listened on: {reason}")
    return port


def _free_port(family: int, address: tuple[Any, ...]) -> int:
    """A port that is free now. The kernel takes back one that it chose itself when listening ends, as in `control`."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((address[0], 0, *address[2:]))
        port: int = probe.getsockname()[1]
        return port


class Door(Protocol):
    """How routers come in by one transport."""

    @property
    def transport(self) -> Transport:
        """Which."""

    async def enter(self, router: socket.socket, peer: Peer) -> None:
        """Begin the conversation with a router that has been accepted, or turn it away.

        Args:
            router: its socket, which does not block.
            peer: who it is.

        Raises:
            OSError: it went away meanwhile.
        """


class TcpDoor:
    """Takes in routers over plain TCP."""

    transport = Transport.TCP

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def enter(self, router: socket.socket, peer: Peer) -> None:
        """Begin the conversation."""
        connect = partial(self._registry.connect, self.transport, peer, peer.left)
        await asyncio.get_running_loop().connect_accepted_socket(connect, router)


class Listener:
    """Accepts routers on bound sockets, each by its door.

    Out of descriptors, the event loop's own server takes the waiting connections and closes them without a word, which
    some routers read as a cache that is too old for their version. Here they wait.
    """

    def __init__(self, doors: Mapping[socket.socket, Door], registry: Registry, md5: Md5 | None = None) -> None:
        self._doors = doors
        self._registry = registry
        self._md5 = md5
        self._loop = asyncio.get_running_loop()
        self._log = get_logger()
        self._starting: set[asyncio.Task[None]] = set()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        self._is_open = True
        self._is_overloaded = False
        self.accept_errors = 0

    def start(self) -> None:
        """Begin to accept."""
        if self._is_open:
            for sock in self._doors:
                # A socket that was handed over may have been closed by the program before us.
                listen_sparingly(sock, BACKLOG)
                self._loop.add_reader(sock, self._accept, sock)

    def control(self, is_open: bool) -> None:
        """Refuse connections, or take them again. The ports stay ours."""
        if is_open == self._is_open:
            return
        self._is_open = is_open
        for sock in self._doors:
            if is_open:
                listen_sparingly(sock, BACKLOG)
                self._loop.add_reader(sock, self._accept, sock)
            else:
                self._ignore(sock)
                with contextlib.suppress(OSError):  # it may have been closed by the program before us
                    sock.shutdown(socket.SHUT_RD)  # on Linux this ends listening, and `listen` begins it again

    def close(self) -> None:
        """Stop listening."""
        for sock in self._doors:
            self._ignore(sock)
            sock.close()

    def _ignore(self, sock: socket.socket) -> None:
        if sock in self._pauses:
            self._pauses.pop(sock).cancel()
        self._loop.remove_reader(sock)

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                require_spare(sock, FOR_LOADING + FOR_HTTP)
                router, name = sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self.accept_errors += 1
                if error.errno in _OVERLOAD:
                    self._pause(sock, error)
                    return
                self._log.debug("accept failed", error=error.strerror)  # that router went away: on to the next
                continue
            if self._is_overloaded:
                self._is_overloaded = False
                self._log.info("routers are accepted again")
            peer, door = Peer.of(name), self._doors[sock]
            if reason := self._registry.limits.refusal(peer.address):
                self._registry.refusals.refuse(door.transport, reason, peer.name)
                router.close()
                continue
            peer = replace(peer, left=self._registry.limits.come_in(peer.address))
            task = self._loop.create_task(self._enter(door, router, peer))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    def _pause(self, sock: socket.socket, error: OSError) -> None:
        if not self._is_overloaded:  # it is tried twice a second
            self._is_overloaded = True
            self._log.error("no router can be accepted for now", error=error.strerror, retry_s=OVERLOAD_PAUSE_S)
        self._loop.remove_reader(sock)
        self._pauses[sock] = self._loop.call_later(OVERLOAD_PAUSE_S, self._resume, sock)

    def _resume(self, sock: socket.socket) -> None:
        del self._pauses[sock]
        self._loop.add_reader(sock, self._accept, sock)

    async def _enter(self, door: Door, router: socket.socket, peer: Peer) -> None:
        try:
            router.setblocking(False)
            router.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                router.setsockopt(socket.IPPROTO_TCP, option, value)
            stall_ms = STALL_RETRIES * self._registry.publisher.current.timing.retry * 1000
            router.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall_ms)
            if self._md5 is not None:
                self._md5.protect_peer(router, peer)
            await door.enter(router, peer)
        except OSError as error:  # it went away meanwhile
            self.accept_errors += 1
            peer.left()
            self._log.debug("router lost while it was accepted", error=error.strerror)
            with contextlib.suppress(OSError):
                router.close()
