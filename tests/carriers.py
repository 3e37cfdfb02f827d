"""What carries RTR between the real program and a router of the tests: plain TCP; TLS with certificates on both sides.

Each is used as a plain blocking socket is.
"""

from __future__ import annotations

import functools
import socket
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Authority

Carry = Callable[[socket.socket], socket.socket]


@dataclass(frozen=True)
class Carrier:
    """One of them.

    Attributes:
        name: as the program calls the addresses for it.
        transport: as `/clients` calls it.
        environment: settings that the program needs for it.
        carry: makes it of a connected socket.
        has_half_close: whether a router that has said all it wanted to say can still read.
        crowd: how many routers make a crowd, as handshakes cost time.
    """

    name: str
    transport: str
    environment: Mapping[str, object]
    carry: Carry | None = None
    has_half_close: bool = True
    crowd: int = 300


TCP = Carrier("rtr", "tcp", {})


@functools.cache
def tls() -> Carrier:
    """With a certificate of the router that names its address."""
    folder = Path(tempfile.mkdtemp(prefix="pyrtr-tls-"))
    authority = Authority(folder)
    server = authority.issue("cache", dns_names=["cache.example"])
    environment = {"TLS_PORT": 0, "TLS_CERT": server, "TLS_KEY": server, "TLS_CLIENT_CA": authority.file}
    carry = tls_client(authority.file, authority.issue("router", ["127.0.0.1"]))
    return Carrier("tls", "tls", environment, carry, has_half_close=False, crowd=100)


def tls_client(ca: Path, certificate: Path | None, version: ssl.TLSVersion | None = None) -> Carry:
    """A client that shows this certificate, if any, and speaks this version, if one is named."""
    context = ssl.create_default_context(cafile=ca)
    if certificate is not None:
        context.load_cert_chain(certificate)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    # A stream that ends without close_notify is an error.
    return lambda sock: context.wrap_socket(sock, server_hostname="cache.example", suppress_ragged_eofs=False)


CARRIERS: dict[str, Callable[[], Carrier]] = {"tcp": lambda: TCP, "tls": tls}
