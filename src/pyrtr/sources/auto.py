"""Whichever document it is: tells formats apart by their shape, and hands over to the reader.

    begins with                                                  read as
    0x30, a DER SEQUENCE                                         CCR
    [                                                            ROUTINATOR
    { and, within the first 64 KiB, has the member slurmVersion  refused: it belongs into SLURM
    { and, within the first 64 KiB, has the member buildtime     RPKICLIENT
    {                                                            ROUTINATOR

White space may come first. The last two readers use records by the same rules, so that a wrong guess changes no
payload.
"""

from __future__ import annotations

import re

from pyrtr.errors import SourceError
from pyrtr.sources import ccr, routinator, rpki_client
from pyrtr.sources.base import Loaded, Reader

_HEAD_BYTES = 2**16
_SLURM = re.compile(rb'\s*\{.*"slurmVersion"', re.DOTALL)
_READERS: tuple[tuple[re.Pattern[bytes], Reader], ...] = (
    (re.compile(rb"\x30"), ccr.read),
    (re.compile(rb"\s*\["), routinator.read),
    (re.compile(rb'\s*\{.*"buildtime"', re.DOTALL), rpki_client.read),
    (re.compile(rb"\s*\{"), routinator.read),
)


def read(body: bytes, *, now: float) -> Loaded:
    """Read a document. `now` is Unix time: records that have expired by then are dropped.

    Raises:
        SourceError: the document is refused whole, or is of no known shape.
    """
    reader = _reader(body[:_HEAD_BYTES])
    bodies = [body]
    del body  # so that the reader holds the only reference, and can let go of 100 MB as soon as it is decoded
    return reader(bodies.pop(), now=now)


def _reader(head: bytes) -> Reader:
    if _SLURM.match(head):
        raise SourceError("a SLURM file: name it in SLURM, not in LOCATION")
    for shape, reader in _READERS:
        if shape.match(head):
            return reader
    raise SourceError(
        f"begins with {head[:16]!r}: neither JSON, with {{ or [, nor DER, with 0x30; LOCATION must name a document of "
        "rpki-client, Routinator or their relatives"
    )
