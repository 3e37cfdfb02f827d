"""Addresses of routers, as sockets tell them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

Address = IPv4Address | IPv6Address
Owner = tuple[int, int]

# An owner's addresses: one of IPv4, a /64 of IPv6.
_OWNER_BITS = {4: 0, 6: 64}


def address_of(host: str) -> Address:
    """The address in a socket's address: without a zone, and as IPv4 where an IPv6 socket maps it (::ffff:0:0/96)."""
    address = ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def owner_of(address: Address) -> Owner:
    """What is the same for all addresses that one may take at will."""
    return address.version, int(address) >> _OWNER_BITS[address.version]


def written(peer: tuple[Any, ...]) -> str:
    """A socket's address as "ADDR:PORT"; an IPv6 address stands in brackets."""
    host, port, *_ = peer
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who has connected.

    Attributes:
        address: without a port.
        name: "ADDR:PORT".
        left: to be called, once or more, when its connection is over.
    """

    address: Address
    name: str
    left: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, peer: tuple[Any, ...]) -> Peer:
        """From a socket's address."""
        return cls(address_of(peer[0]), written(peer))
