"""By which transports routers come in: what the settings ask for, on the sockets that are bound for each."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyrtr.errors import PyrtrError
from pyrtr.server.peers import written
from pyrtr.server.tcp import Door, TcpDoor

if TYPE_CHECKING:
    from pyrtr.server.md5 import Md5
    from pyrtr.server.registry import Registry
    from pyrtr.server.ssh import SshDoor
    from pyrtr.server.tls import TlsDoor
    from pyrtr.settings import Settings


class DoorError(PyrtrError):
    """A socket was handed over by which routers can't come in as the settings are. With ports of ours they can."""


class Doors:
    """Every way in.

    Args:
        settings: what is asked for.
        registry: of the routers that come in.
        md5: the keys of peers that sign their segments.
        sockets: bound, by the transport's name as `activation.inherited` has it: "rtr", "tls", "ssh".

    Attributes:
        by_socket: what takes in those that knock on a socket.
        addresses: "ADDR:PORT" of what is bound, by the same names.

    Raises:
        PyrtrError: TLS or SSH can't be served as it is asked for.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        sockets: Mapping[str, list[socket.socket]],
        md5: Md5 | None = None,
    ) -> None:
        self.addresses = {name: tuple(written(sock.getsockname()) for sock in found) for name, found in sockets.items()}
        self._md5 = md5
        self._tls = _tls_door(settings, registry) if sockets["tls"] else None
        self._ssh = _ssh_door(settings, registry) if sockets["ssh"] else None
        doors: dict[str, Door | None] = {"rtr": TcpDoor(registry), "tls": self._tls, "ssh": self._ssh}
        self.by_socket = {sock: door for name, door in doors.items() if door is not None for sock in sockets[name]}

    @property
    def expiries(self) -> Mapping[str, float]:
        """When what TLS is served with ends, Unix time (see `TlsDoor.expiries`); empty without TLS."""
        return {} if self._tls is None else self._tls.expiries

    def reload(self) -> None:
        """Read certificates and keys again, for routers that connect from now on."""
        if self._tls is not None:
            self._tls.reload()
        if self._ssh is not None:
            self._ssh.reload()
        if self._md5 is not None:
            self._md5.reload()


def _tls_door(settings: Settings, registry: Registry) -> TlsDoor:
    from pyrtr.server.tls import TlsDoor, TlsFiles  # 9 MiB, and 45 ms of the start, for who serves TLS

    if settings.tls_cert is None or settings.tls_key is None:
        raise DoorError("a socket for TLS was handed over: TLS_CERT and TLS_KEY are needed")
    files = TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    return TlsDoor(files, registry, check_address=settings.tls_check_address)


def _ssh_door(settings: Settings, registry: Registry) -> SshDoor:
    from pyrtr.server.ssh import SshDoor, SshFiles  # takes a while to load, and some memory

    host_key = settings.ssh_host_key or (settings.state and settings.state / "ssh_host_key")
    if host_key is None:
        raise DoorError("a socket for SSH was handed over: SSH_HOST_KEY is needed where STATE is False")
    if settings.ssh_authorized_keys is None and settings.ssh_passwords is None:
        raise DoorError("a socket for SSH was handed over: SSH_AUTHORIZED_KEYS or SSH_PASSWORDS is needed")
    files = SshFiles(host_key, settings.ssh_authorized_keys, settings.ssh_passwords)
    return SshDoor(files, registry, with_old_algorithms=settings.ssh_old_algorithms)
