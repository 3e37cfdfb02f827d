"""What the serving process and a follower tell each other: a line of JSON each, over the follower's standard streams.

The follower reads an `Order`, and then `AGAIN` whenever the table is wanted once more; it writes `Message`s.
"""

from __future__ import annotations

import msgspec

from pyrtr.sources.fetch.request import SourceTls

AGAIN = b"again\n"


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A cache, and how it is reached.

    Attributes:
        scheme: `rtr`, `rtr+tls` or `rtr+ssh`.
        host, port: of the cache.
        user, password: for SSH; it goes over standard input, since arguments and environment can be seen by others.
        tls: for TLS: see there.
        ssh_key, known_hosts: for SSH: files of a private key, and of the host keys that are trusted.
    """

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: SourceTls = SourceTls()
    ssh_key: str | None = None
    known_hosts: str | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to follow.

    Attributes:
        peer: the cache.
        folder, prefix: where table files are written, and what their names begin with. No name is used twice.
        floor_s, ceiling_s: bounds for the pause between queries, whatever the cache wishes.
    """

    peer: Peer
    folder: str
    prefix: str
    floor_s: float
    ceiling_s: float


class Confirmation(msgspec.Struct, frozen=True, tag="confirmation"):
    """The cache has said what it has.

    Attributes:
        path: the table file that was written, None where the set is the same as before.
        digest: of the table file, as hexadecimal digits: the same for the same set.
        version, session_id, serial: of the cache.
        confirmed_at: when it said so (Unix seconds).
        expire: seconds for which the set may be used without another word of it.
    """

    path: str | None
    digest: str
    version: int
    session_id: int
    serial: int
    confirmed_at: float
    expire: int


class Written(msgspec.Struct, frozen=True, tag="written"):
    """The answer to `AGAIN`: `path` is another file of the set that was confirmed last, None if it is not held."""

    path: str | None


class Loss(msgspec.Struct, frozen=True, tag="loss"):
    """The cache does not answer.

    Attributes:
        reason: in words.
        next_attempt_at: when it is asked again (Unix seconds).
        is_final: whether what it said before must not be used any more, by its own word.
    """

    reason: str
    next_attempt_at: float
    is_final: bool = False


class Remark(msgspec.Struct, frozen=True, tag="remark"):
    """Something for the log."""

    event: str
    fields: dict[str, int | str]
    is_warning: bool


Message = Confirmation | Written | Loss | Remark
