"""HTTP over TLS: who we are, from files that may be replaced while the program runs."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography import x509

from pyrtr.errors import PyrtrError
from pyrtr.logs import get_logger
from pyrtr.tls import server_context


class HttpTlsError(PyrtrError):
    """HTTP_TLS_CERT or HTTP_TLS_KEY can't be used."""


class HttpTls:
    """The certificate in force.

    Args:
        certificate: in PEM, and what leads to its CA.
        key: its key, in PEM without a password.

    Attributes:
        context: for connections that come from now on.
        expires_at: when the certificate expires, Unix time.

    Raises:
        HttpTlsError: the files can't be used.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = certificate, key
        self.context, self.expires_at = _read(certificate, key)

    def reload(self) -> None:
        """Read the files again; files that can't be used change nothing."""
        try:
            self.context, self.expires_at = _read(*self._files)
        except HttpTlsError as error:
            get_logger().error("HTTP certificate not reloaded: the former one stays in use", reason=str(error))
        else:
            get_logger().info("HTTP certificate reloaded")


def _read(certificate: Path, key: Path) -> tuple[ssl.SSLContext, float]:
    try:
        context = server_context(certificate, key)
        expires_at = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise HttpTlsError(f"HTTP_TLS_CERT={certificate} with HTTP_TLS_KEY={key} can't be used: {reason}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context, expires_at
