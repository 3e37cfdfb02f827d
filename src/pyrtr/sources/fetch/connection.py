"""Connections to the servers that sources ask: how TLS is spoken there, and in words why there is no connection."""

from __future__ import annotations

import os
import socket
import ssl

from pyrtr.errors import SourceError
from pyrtr.sources.fetch.request import SourceTls


def tls_context(tls: SourceTls) -> ssl.SSLContext:
    """Checks a server's certificate against the CAs, and its name against the host; TLS 1.2 at least (RFC 9325).

    Raises:
        SourceError: a file can't be used.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except OSError as error:
        raise SourceError(f"SOURCE_CA: {tls.ca} holds no certificates that can be read: {words(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None:
        try:
            # Nobody is there to be asked for a password.
            context.load_cert_chain(tls.certificate, tls.key, password="")
        except OSError as error:
            names = " and ".join(filter(None, (tls.certificate, tls.key)))
            reason = f"{names} hold no certificate with its key, unencrypted: {words(error)}"
            raise SourceError(f"SOURCE_CERT, SOURCE_KEY: {reason}") from None
    return context


def words(error: BaseException) -> str:
    """What went wrong, as short as it can be said."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
        case socket.gaierror():
            return f"its name is not known: {error.strerror}"
        case OSError() if error.errno:
            place = f"{error.filename}: " if error.filename else ""
            return place + os.strerror(error.errno).lower()
        case _:
            return str(error) or type(error).__name__
