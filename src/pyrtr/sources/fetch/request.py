"""What the serving process asks of a fetch process, and what that reports."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pyrtr.sources.fetch.file import MAX_SOURCE_BYTES


class SourceTls(msgspec.Struct, frozen=True):
    """How TLS is spoken with sources; files are read anew for every request, so that they may be renewed.

    Attributes:
        ca: file of the certificates that a server's has to lead to, in the place of the system's.
        certificate, key: files of our own certificate and its key; without the latter it is in the former.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def of(cls, *files: Path | None) -> SourceTls:
        """With these files, in the order of the attributes."""
        return cls(*(None if file is None else str(file) for file in files))


class Limits(msgspec.Struct, frozen=True):
    """What a request may take.

    Attributes:
        connect_s: seconds for each address, and for the TLS handshake. Who is there answers in one or two.
        silence_s: seconds without an octet. A validator may write its million records only when it is asked.
        whole_s: seconds for all of it, and the start of the process: 105 MB at 1.4 Mbit/s. It is less than the default
            of RELOAD.
        octets: of the body, as it comes and as it becomes when it is decompressed.
    """

    connect_s: float = 15.0
    silence_s: float = 60.0
    whole_s: float = 600.0
    octets: int = MAX_SOURCE_BYTES


class Request(msgspec.Struct, frozen=True):
    """One conditional GET.

    Attributes:
        url: what is asked for; it may hold a password.
        known: the validators of what is known already, by the names of their header fields.
        path: where the body is written; no file is there yet.
        tls, limits: see there.
    """

    url: str
    known: dict[str, str]
    path: str
    tls: SourceTls
    limits: Limits


class Reply(msgspec.Struct, frozen=True):
    """What was answered.

    Attributes:
        status: the HTTP status. Only with 200 there is a body at the request's path, whole and decompressed.
        body_bytes: how many octets of it came, before they were decompressed.
        modified: when it was last written (Unix seconds): Last-Modified, or else the time of the answer.
        validators: its ETag and Last-Modified.
    """

    status: int
    body_bytes: int
    modified: float
    validators: dict[str, str]
