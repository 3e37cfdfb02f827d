"""What the serving process asks of a compile process, and what that answers."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pyrtr.compiler.guard import Losses
from pyrtr.sources.base import SourceReport


class Task(StrEnum):
    """What the new table is made of."""

    LOAD = "load"  # what was found at the locations, or what they gave before
    EXPIRE = "expire"  # what they gave before, without what has expired
    WITHDRAW = "withdraw"  # nothing: the current data may not be served any more


class Input(msgspec.Struct, frozen=True):
    """One location's part in a compilation.

    Attributes:
        location: its name, for messages.
        kind: how a document of it is read (a name of DATASOURCE).
        body: path of what was found there; None if nothing new was.
        is_table: whether that is a table file, or else a document.
        modified: when that was last written (Unix seconds).
        share, share_digest: path and digest of what was accepted from it before; None if nothing was. It stands in
            where there is nothing new, or that is refused.
        built_at: Unix time from which the age of the share counts.
        max_age_s: seconds after which the source itself holds its data to be stale, if it says so.
        new_share: path to write what was found to.
    """

    location: str
    kind: str
    body: str | None
    is_table: bool
    modified: float
    share: str | None
    share_digest: bytes | None
    built_at: float
    max_age_s: float | None
    new_share: str


class Held(msgspec.Struct, frozen=True):
    """A part of what the current table was made of.

    Attributes:
        location: what it comes from, for messages.
        share, digest: path and digest of what was accepted from it.
    """

    location: str
    share: str
    digest: bytes


class Before(msgspec.Struct, frozen=True):
    """What the current table was made of, by which it can be told where what goes came from.

    Attributes:
        shares: what the locations gave, in their order.
        slurm, slurm_digest: path and digest of the SLURM files that were applied; None if there were none.
    """

    shares: tuple[Held, ...] = ()
    slurm: str | None = None
    slurm_digest: bytes | None = None


class Job(msgspec.Struct, frozen=True):
    """One compilation.

    Attributes:
        task: what the new table is made of.
        now: Unix time that expiry is judged by.
        inputs: the locations whose payload is merged. One that is stale is left out while another is not.
        max_age_s: seconds after which data is stale.
        slurm: name and path of each SLURM file that was found; None if there is nothing new.
        slurm_kept, slurm_kept_digest: path and digest of the SLURM files that were accepted before; None if there are
            none.
        current: path of the table that is served now, None where there is none.
        table, delta, new_slurm: paths to write the new table, the delta and the SLURM files to. The table is written in
            any case, since expiry times may have moved; the delta only if there is one (see `Report`).
        before: what the current table was made of.
    """

    task: Task
    now: float
    inputs: tuple[Input, ...]
    max_age_s: float
    slurm: tuple[tuple[str, str], ...] | None
    slurm_kept: str | None
    slurm_kept_digest: bytes | None
    current: str | None
    table: str
    delta: str
    new_slurm: str
    before: Before = Before()


class InputReport(msgspec.Struct, frozen=True):
    """What became of one location.

    Attributes:
        refusal: why what was found there, or what it gave before, could not be used; None if it could.
        source: what was found; None if nothing new was, or it was refused.
        digest: BLAKE2b-256 of its new share; None likewise.
        is_used: whether its payload, new or from before, is in the table.
    """

    refusal: str | None
    source: SourceReport | None
    digest: bytes | None
    is_used: bool


class SlurmReport(msgspec.Struct, frozen=True):
    """What became of the SLURM files.

    Attributes:
        refusal: why those that were found are not used, and those from before are; None if they are.
        digest: BLAKE2b-256 of the file they were written to; None if those from before are used.
        identity: of those that were found, as they were read (see `store.slurm_file`); None if they were not.
        filtered, added: payload that each file removed and added, by its name and by kind.
    """

    refusal: str | None
    digest: bytes | None
    identity: bytes | None
    filtered: dict[str, dict[str, int]]
    added: dict[str, dict[str, int]]


class Report(msgspec.Struct, frozen=True):
    """What a compilation made.

    Attributes:
        change_count: entries that differ from the current table, or all of them where there was none.
        has_delta: whether there is a delta: there was a table, it changed, and the delta was proved against both.
        is_proved: False if the delta failed its proof. The table is right all the same.
        digest: BLAKE2b-256 of the table file.
        content: BLAKE2b-256 of the payload alone.
        next_expiry: Unix seconds at which the table has to be made anew: its first entry ends, or a location of
            several turns stale.
        built_at: Unix time from which the age of the data counts: that of the newest share in it.
        max_age_s: seconds after which the source itself holds that to be stale, if it says so.
        counts: unique payload by kind: ipv4, ipv6, router_keys, aspas.
        vrps_by_anchor: VRPs by trust anchor.
        oversized_aspas: ASPAs left out, since what locations and SLURM say of one customer is too much for a PDU.
        losses: what the new table takes away from the current one; None where there was none.
        inputs: what became of each location, in the order of the job's.
        slurm: what became of the SLURM files; None without any.
        seconds: how long each part took.
        expired_count: entries that the delta withdraws because they have ended.
    """

    change_count: int
    has_delta: bool
    is_proved: bool
    digest: bytes
    content: bytes
    next_expiry: int
    built_at: float
    max_age_s: float | None
    counts: dict[str, int]
    vrps_by_anchor: dict[str, int]
    oversized_aspas: int
    losses: Losses | None
    inputs: tuple[InputReport, ...]
    slurm: SlurmReport | None
    seconds: dict[str, float]
    expired_count: int = 0
