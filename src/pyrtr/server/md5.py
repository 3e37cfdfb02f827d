"""TCP-MD5 (RFC 2385): peers that have to sign their segments, by keys that the kernel is given for prefixes.

The kernel drops unsigned and wrongly signed segments of these peers before anybody sees them.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import struct
from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network
from pathlib import Path

from pyrtr.errors import PyrtrError
from pyrtr.logs import get_logger
from pyrtr.server.limits import Network, PrefixMap
from pyrtr.server.peers import Peer

MAX_KEY_BYTES = 80  # TCP_MD5SIG_MAXKEYLEN, and what 8210bis §9.3 asks for
_TCP_MD5SIG_EXT = 32
_FLAG_PREFIX = 1
# struct tcp_md5sig of linux/tcp.h: address, flags, prefix length, key length, interface, key.
_OPTION = struct.Struct("=128sBBHi80s")
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96
_HEX = re.compile(r"0[xX]((?:[0-9a-fA-F]{2})+)")


class Md5Error(PyrtrError):
    """Keys can't be used, or the kernel does not take them."""


def read_keys(file: Path) -> dict[Network, bytes]:
    """Read a file of `PREFIX KEY` lines; empty lines, and those that begin with `#`, mean nothing.

    A key is text of up to 80 printable ASCII characters, or as many octets in hexadecimal after `0x`.

    Raises:
        Md5Error: it can't be read, or a line is of another form. A key is never repeated.
    """
    try:
        lines = file.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not ASCII"
        raise Md5Error(f"TCP_MD5={file}: {reason}") from error
    keys: dict[Network, bytes] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        prefix_text, key_text = (*line.split(maxsplit=1), "")[:2]
        prefix = _prefix(prefix_text)
        if prefix is None:
            problem = "no prefix in front: expected one without host bits, or an address; of IPv4 in its own form"
            raise Md5Error(f"TCP_MD5={file}, line {number}: {problem}")
        key_text = key_text.rstrip()
        match = _HEX.fullmatch(key_text)
        key = bytes.fromhex(match[1]) if match else key_text.encode()
        if not 1 <= len(key) <= MAX_KEY_BYTES or not key_text.isprintable():
            problem = f"a key of {len(key)} octets: expected 1 to {MAX_KEY_BYTES}, printable or in hexadecimal after 0x"
            raise Md5Error(f"TCP_MD5={file}, line {number}: {problem}")
        if prefix in keys:
            raise Md5Error(f"TCP_MD5={file}, line {number}: {prefix} has a line above")
        keys[prefix] = key
    return keys


def _prefix(text: str) -> Network | None:
    try:
        prefix = ip_network(text)
    except ValueError:
        return None
    # No segment bears an IPv4-mapped address: the key would protect nothing.
    return None if prefix.version == 6 and prefix.network_address.ipv4_mapped else prefix


class Md5:
    """The keys in force, and the sockets that they are in force on.

    Args:
        file: read now, and by `reload`.

    Raises:
        Md5Error: it can't be used.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._keys = read_keys(file)
        self._lookup = PrefixMap(self._keys.items())
        self._sockets: list[socket.socket] = []

    def protect(self, sock: socket.socket) -> None:
        """Give the kernel the keys for a socket, before it listens.

        Raises:
            Md5Error: the kernel does not take one: the socket must not listen.
        """
        try:
            _change(sock, {}, self._keys)
        except OSError as error:
            raise Md5Error(
                f"TCP_MD5={self._file}: the kernel does not take the keys ({error.strerror}), so nothing is listened "
                "on: it needs CONFIG_TCP_MD5SIG, and room for them in net.core.optmem_max"
            ) from error
        self._sockets.append(sock)

    def protect_peer(self, router: socket.socket, peer: Peer) -> None:
        """Insist for one that has come in: a socket that was handed over may have let it in before it had keys.

        Raises:
            OSError: the kernel does not take the key.
        """
        key = self._lookup.longest(peer.address)
        if key is not None:
            _change(router, {}, {ip_network(peer.address): key})

    def reload(self) -> None:
        """Read the file again, for routers that connect from now on; one that can't be used changes nothing."""
        keys = self._keys
        try:
            keys = read_keys(self._file)
            for sock in self._sockets:
                _change(sock, self._keys, keys)
        except (Md5Error, OSError) as error:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    _change(sock, keys, self._keys)
            get_logger().error("md5 keys not reloaded: the former ones stay in use", reason=str(error))
        else:
            self._keys, self._lookup = keys, PrefixMap(keys.items())
            get_logger().info("md5 keys reloaded", keys=len(keys))


def _change(sock: socket.socket, old: Mapping[Network, bytes], new: Mapping[Network, bytes]) -> None:
    """Bring a socket's keys from the old to the new; new ones come first, so that nobody is without meanwhile.

    Raises:
        OSError: the kernel does not take one.
    """
    is_ipv6 = sock.family == socket.AF_INET6
    takes_ipv4 = not is_ipv6 or not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    changes = {prefix: key for prefix, key in new.items() if old.get(prefix) != key}
    changes |= dict.fromkeys(old.keys() - new.keys(), b"")
    for prefix, key in changes.items():
        if is_ipv6 if prefix.version == 6 else takes_ipv4:
            try:
                sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG_EXT, _option(sock.family, prefix, key))
            except OSError as error:
                if key or error.errno != errno.ENOENT:
                    raise


def _option(family: int, prefix: Network, key: bytes) -> bytes:
    """The kernel's structure for one key on a socket of a family; with an empty key it takes one back."""
    address = prefix.network_address.packed
    if family == socket.AF_INET:
        name = struct.pack("=H2x4s", family, address)
    else:
        name = struct.pack("=H6x16s", family, _MAPPED + address if isinstance(prefix, IPv4Network) else address)
    return _OPTION.pack(name, _FLAG_PREFIX, prefix.prefixlen, len(key), 0, key)
