"""What the serving process asks of a follow process, and what that answers."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pyrtr.sources.fetch.request import Limits, SourceTls

_SessionId = Annotated[int, Meta(ge=0, le=2**16 - 1)]
_Sessions = Annotated[tuple[_SessionId, ...], Meta(min_length=1, max_length=1024)]


class Sessions(msgspec.Struct, frozen=True):
    """Session ids of each version, the newest first."""

    V0: _Sessions
    V1: _Sessions
    V2: _Sessions

    def continues(self, former: Sessions) -> bool:
        """Whether the newest sessions of before still hold."""
        pairs = ((self.V0, former.V0), (self.V1, former.V1), (self.V2, former.V2))
        return all(before[0] in now for now, before in pairs)


class Standing(msgspec.Struct, frozen=True):
    """Where the other pyRTR stands (see `web.generation`).

    Attributes:
        tag: names this standing.
        sessions, serial: of what it publishes.
        content: digest of the payload, 64 hexadecimal digits.
        published_at: Unix time at which the serial came to be.
        built_at: Unix time from which the age of its data counts; None where it has none that counts.
        metadata: its source's own.
        healthy: whether it says that what it serves may be trusted.
    """

    tag: Annotated[str, Meta(max_length=64)]
    sessions: Sessions
    serial: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    content: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    published_at: float
    built_at: float | None
    metadata: dict[str, Any]
    healthy: bool


class Position(msgspec.Struct, frozen=True):
    """Where we stand.

    Attributes:
        tag: of the other's standing when it was last heard; empty before that.
        sessions, serial, content: what we serve.
        table: path of its table file.
    """

    tag: str
    sessions: Sessions
    serial: int
    content: bytes
    table: str


class Order(msgspec.Struct, frozen=True):
    """Find out what there is beyond what we have, and make a copy of it.

    Attributes:
        url: of the other pyRTR; it may hold a password.
        tls, limits: see there.
        known: where we stand; None to begin.
        wait_s: seconds to wait for something new.
        table, steps: paths to write the table and the steps to it to, if there is something new.
    """

    url: str
    tls: SourceTls
    limits: Limits
    known: Position | None
    wait_s: float
    table: str
    steps: str


class Followed(msgspec.Struct, frozen=True):
    """What there is.

    Attributes:
        standing: of the other; None if it contradicts itself.
        divergence: how it does that; nothing of it may be served then.
        mismatch: why steps from what was known were not used, though there were some.
        is_whole: whether all was copied anew, or else the steps lead from what was known to this.
        digest: BLAKE2b-256 of the table file; None if the payload is what was known.
        change_count: entries in all steps together.
        received_bytes: octets of all bodies.
        seconds: how long it took, without waiting for something new.
    """

    standing: Standing | None
    divergence: str | None = None
    mismatch: str | None = None
    is_whole: bool = False
    digest: bytes | None = None
    change_count: int = 0
    received_bytes: int = 0
    seconds: float = 0.0
