"""Listening sockets that the service manager hands over (systemd's socket activation, sd_listen_fds(3)).

They stay open while the program restarts, so that no connection is refused meanwhile.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from pyrtr.errors import PyrtrError

FIRST_DESCRIPTOR = 3
NAMES = ("rtr", "tls", "ssh", "http")


class ActivationError(PyrtrError):
    """What was handed over can't be listened on."""


def inherited(environ: MutableMapping[str, str]) -> dict[str, list[socket.socket]]:
    """The handed-over TCP sockets, by LISTEN_FDNAMES (`NAMES`); what has another name counts as `rtr`.

    Takes the variables out of `environ`, so that no child believes that they are meant for it.

    Raises:
        ActivationError: a descriptor is no TCP socket that can be listened on.
    """
    process = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if process != str(os.getpid()) or not count.isascii() or not count.isdigit():
        return {}
    found: dict[str, list[socket.socket]] = {}
    for place in range(int(count)):
        descriptor = FIRST_DESCRIPTOR + place
        try:
            os.set_inheritable(descriptor, False)
            sock = socket.socket(fileno=descriptor)
            sock.setblocking(False)
        except OSError as error:
            raise ActivationError(f"descriptor {descriptor} of LISTEN_FDS is no socket: {error.strerror}") from error
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type is not socket.SOCK_STREAM:
            sock.close()
            raise ActivationError(f"descriptor {descriptor} of LISTEN_FDS is no TCP socket: expected ListenStream=PORT")
        if not sock.getsockname()[1] or _is_connected(sock):
            sock.close()
            text = "can't be listened on: expected ListenStream=PORT with Accept=no"
            raise ActivationError(f"descriptor {descriptor} of LISTEN_FDS {text}")
        name = names[place] if place < len(names) and names[place] in NAMES else "rtr"
        found.setdefault(name, []).append(sock)
    return found


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
