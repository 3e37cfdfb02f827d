"""TLS where we are the server, to routers and over HTTP."""

from __future__ import annotations

import ssl
from pathlib import Path


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.3, or 1.2 with forward secrecy and authenticated encryption (BCP 195, RFC 9325).

    Args:
        certificate: in PEM, and what leads to its CA.
        key: its key, in PEM without a password.

    Raises:
        OSError: the files can't be read, or hold no such pair (`ssl.SSLError` is one).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Without the callback a key with a password would make the program ask for it on its terminal.
    context.load_cert_chain(certificate, key, password=lambda: b"")
    return context
