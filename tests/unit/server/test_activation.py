"""What may be handed over, and what the settings have to say then: a port of ours would have asked for it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tests.unit.web.world import published

from pyrtr.server import activation
from pyrtr.server.activation import ActivationError, inherited
from pyrtr.server.doors import DoorError, Doors
from pyrtr.server.publisher import Publisher
from pyrtr.server.registry import Registry
from pyrtr.settings import Settings
from pyrtr.wire.enums import Version


@pytest.mark.parametrize(
    ("family", "kind"), [(socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)]
)
def test_what_is_no_tcp_socket_is_refused(monkeypatch: pytest.MonkeyPatch, family: int, kind: int) -> None:
    monkeypatch.setattr(activation, "FIRST_DESCRIPTOR", socket.socket(family, kind).detach())
    with pytest.raises(ActivationError, match="is no TCP socket"):
        inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "rtr"})


@pytest.mark.parametrize("is_connected", [True, False])
def test_what_can_not_be_listened_on_is_refused(monkeypatch: pytest.MonkeyPatch, is_connected: bool) -> None:
    """Such as each connection of a ListenStream with Accept=yes."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as connected:
        sock = connected.dup() if is_connected else socket.socket()
        monkeypatch.setattr(activation, "FIRST_DESCRIPTOR", sock.detach())
        with pytest.raises(ActivationError, match="can't be listened on: expected ListenStream=PORT with Accept=no"):
            inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "rtr"})


@pytest.mark.parametrize(
    ("name", "settings", "needed"),
    [
        ("tls", Settings(), "TLS_CERT and TLS_KEY"),
        ("ssh", Settings(state=None), "SSH_HOST_KEY"),
        ("ssh", Settings(ssh_host_key=Path("key")), "SSH_AUTHORIZED_KEYS or SSH_PASSWORDS"),
    ],
)
async def test_what_a_socket_needs(name: str, settings: Settings, needed: str) -> None:
    registry = Registry(Publisher(published()), Version.V0, Version.V2)
    with socket.create_server(("127.0.0.1", 0)) as sock, pytest.raises(DoorError, match=f"{needed} is|{needed} are"):
        Doors(settings, registry, {"rtr": [], "tls": [], "ssh": [], "http": []} | {name: [sock]})
