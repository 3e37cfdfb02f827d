"""RTR over TLS (8210bis §9.2): who we are, whom we let in, and why not.

There are no session tickets, so that a certificate is checked whenever a router connects.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cryptography import x509

from pyrtr.errors import PyrtrError
from pyrtr.logs import get_logger
from pyrtr.server.connection import LINGER_S, Transport
from pyrtr.server.peers import Address, Peer, address_of
from pyrtr.server.refusals import Reason
from pyrtr.server.registry import Registry
from pyrtr.server.turns import Turns
from pyrtr.tls import server_context

HANDSHAKE_TIMEOUT_S = 10.0
# A handshake costs some 70 KiB. Those that are silent have their place for HANDSHAKE_TIMEOUT_S.
MAX_HANDSHAKES = 1024
MAX_HANDSHAKES_PER_ADDRESS = 256

# What OpenSSL finds wrong with a certificate (X509_V_ERR_*).
_REASONS = {
    2: Reason.UNKNOWN_CA,  # unable to get issuer certificate
    7: Reason.UNKNOWN_CA,  # signature failure: a CA of the same name has another key
    9: Reason.NOT_YET_VALID,
    10: Reason.EXPIRED,
    18: Reason.UNKNOWN_CA,  # self-signed
    19: Reason.UNKNOWN_CA,  # self-signed in the chain
    20: Reason.UNKNOWN_CA,  # unable to get local issuer certificate
    21: Reason.UNKNOWN_CA,  # unable to verify the first certificate
    23: Reason.REVOKED,
}


_REVOCATION_LIST = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


class TlsError(PyrtrError):
    """A certificate, key or list of CAs can't be used."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What TLS is served with, all in PEM.

    Attributes:
        certificate: ours, and what leads to its CA.
        key: its key, without a password.
        client_ca: CAs of routers, and their revocation lists; None lets in routers without a certificate.
    """

    certificate: Path
    key: Path
    client_ca: Path | None


@dataclass(frozen=True, slots=True)
class _Identity:
    """What the files held when they were read: used whole, or not at all."""

    context: ssl.SSLContext
    expiries: Mapping[str, float]  # Unix time; see `TlsDoor.expiries`


class TlsDoor:
    """Takes in routers over TLS.

    Args:
        files: read now, and by `reload`.
        registry: of the routers that come in.
        check_address: whether an iPAddress name in a router's certificate has to be the address it comes from.

    Raises:
        TlsError: the files can't be used.
    """

    transport = Transport.TLS

    def __init__(self, files: TlsFiles, registry: Registry, *, check_address: bool) -> None:
        self._files = files
        self._registry = registry
        self._check_address = check_address and files.client_ca is not None
        self._identity = _read(files)
        self._turns = Turns(MAX_HANDSHAKES, MAX_HANDSHAKES_PER_ADDRESS)

    @property
    def expiries(self) -> Mapping[str, float]:
        """When what TLS is served with ends, Unix time.

        That is "tls", our certificate, and of what TLS_CLIENT_CA holds the first to end: "tls_client_ca" of its
        certificates, "tls_client_crl" of its revocation lists.
        """
        return self._identity.expiries

    def reload(self) -> None:
        """Read the files again, for routers that connect from now on; files that can't be used change nothing."""
        try:
            self._identity = _read(self._files)
        except TlsError as error:
            get_logger().error("certificates not reloaded: the former ones stay in use", reason=str(error))
        else:
            get_logger().info("certificates reloaded", expires_in_s=round(self.expiries["tls"] - time.time()))

    async def enter(self, router: socket.socket, peer: Peer) -> None:
        """Shake hands, and begin the conversation with a router that may come in."""
        async with self._turns.turn(peer.address):
            try:
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: _Vestibule(self._registry, peer, check_address=self._check_address),
                    router,
                    ssl=self._identity.context,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                    ssl_shutdown_timeout=LINGER_S,
                )
            except OSError as error:
                peer.left()
                self._registry.refusals.refuse(self.transport, _reason(error), peer.name, str(error))


class _Vestibule(asyncio.Protocol):
    """Looks at a router's certificate once the handshake is done, before anything is read from it."""

    def __init__(self, registry: Registry, peer: Peer, *, check_address: bool) -> None:
        self._registry = registry
        self._peer = peer
        self._check_address = check_address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._check_address:
            names = _addresses(transport.get_extra_info("peercert"))
            if self._peer.address not in names:
                detail = f"it is for {' '.join(map(str, names)) or 'no address'}"
                self._registry.refusals.refuse(Transport.TLS, Reason.WRONG_ADDRESS, self._peer.name, detail)
                cast("asyncio.Transport", transport).abort()
                return
        connection = self._registry.connect(Transport.TLS, self._peer, self._peer.left)
        cast("asyncio.Transport", transport).set_protocol(connection)
        connection.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._peer.left()


def _addresses(certificate: dict[str, Any]) -> list[Address]:
    """The iPAddress names of a certificate: dNSNames and the subject never count (8210bis §9.2)."""
    names = []
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "IP Address":
            with contextlib.suppress(ValueError):  # of 5 octets, say
                names.append(address_of(name))
    return names


def _reason(error: OSError) -> Reason:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _REASONS.get(error.verify_code, Reason.BAD_CERTIFICATE)
    if isinstance(error, ssl.SSLError) and error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return Reason.NO_CERTIFICATE
    if isinstance(error, ConnectionAbortedError):  # what the event loop raises when the time is over
        return Reason.HANDSHAKE_TIMEOUT
    return Reason.HANDSHAKE_FAILED


def _read(files: TlsFiles) -> _Identity:
    """Read all files.

    Raises:
        TlsError: one can't be read, is of another kind, or the key is not that of the certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificate(_content(files.certificate, "TLS_CERT"))
        has_dns_name = _has_dns_name(certificate)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise TlsError(f"TLS_CERT={files.certificate}: no certificate in PEM that can be read") from error
    if not has_dns_name:
        # 8210bis §9.2: routers look for one, and never at the subject.
        get_logger().warning("our certificate has no dNSName: routers may refuse it", certificate=files.certificate)
    _content(files.key, "TLS_KEY")
    try:
        context = server_context(files.certificate, files.key)
    except OSError as error:
        raise TlsError(f"TLS_KEY={files.key}: not the key of TLS_CERT, in PEM without a password ({error})") from error
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    expiries = {"tls": certificate.not_valid_after_utc.timestamp()}
    if files.client_ca is not None:
        expiries |= _require_certificates(context, files.client_ca)
    return _Identity(context, expiries)


def _require_certificates(context: ssl.SSLContext, file: Path) -> dict[str, float]:
    """Let in only routers with a certificate of these CAs; when those, and their revocation lists, end."""
    content = _content(file, "TLS_CLIENT_CA")
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(file)
    except OSError as error:
        raise TlsError(f"TLS_CLIENT_CA={file}: no certificates in PEM ({error})") from error
    if b"-----BEGIN X509 CRL-----" in content:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    with contextlib.suppress(ValueError):  # OpenSSL, which checks routers by them, is less strict
        return _ends(content)
    return {}


def _ends(content: bytes) -> dict[str, float]:
    lists = [x509.load_pem_x509_crl(block) for block in _REVOCATION_LIST.findall(content)]
    ends = {
        "tls_client_ca": [authority.not_valid_after_utc for authority in x509.load_pem_x509_certificates(content)],
        "tls_client_crl": [each.next_update_utc for each in lists if each.next_update_utc is not None],
    }
    return {name: min(moments).timestamp() for name, moments in ends.items() if moments}


def _content(file: Path, variable: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TlsError(f"{variable}={file}: {error.strerror}") from error


def _has_dns_name(certificate: x509.Certificate) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return bool(names.get_values_for_type(x509.DNSName))
