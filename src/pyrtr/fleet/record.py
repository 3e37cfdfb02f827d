"""What stands on the fleet's stream: each generation, with the step that leads to it (MessagePack)."""

from __future__ import annotations

from typing import Annotated

import msgspec
import zstandard
from msgspec import Meta

from pyrtr.compiler.status import Held
from pyrtr.errors import FleetError, SourceError
from pyrtr.payload.history import Step
from pyrtr.sources.follow.exchange import RawStep, raw_step, steps_of
from pyrtr.sources.follow.messages import Sessions

FORMAT = 1

_Serial = Annotated[int, Meta(ge=0, le=2**32 - 1)]
_Content = Annotated[bytes, Meta(min_length=32, max_length=32)]
# What a step may have after decompression: as many changes as a table of three million VRPs has entries.
_MAX_STEP_BYTES = 2**27


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One generation, as the fleet accepted it.

    Attributes:
        format: version of all of this.
        member: who made it.
        sessions: session ids of each version. Others than those of the record before it begin anew.
        serial: its serial.
        content: digest of its payload (see `store.table_file.content_digest`).
        before: serial and digest of the generation that it follows; None where it begins anew.
        step: what leads here from there, as `pack` makes it; None if there is none, or it is too large.
        cause: why it came to be.
        published_at: Unix time at which it came to be.
        built_at, max_age_s, is_withdrawn: as `store.state.Generation` has them.
        metadata: likewise, in JSON.
        is_filtered: whether SLURM files were wanted, and have been applied.
    """

    format: int = FORMAT
    member: Annotated[str, Meta(max_length=256)]
    sessions: Sessions
    serial: _Serial
    content: _Content
    before: tuple[_Serial, _Content] | None
    step: bytes | None
    cause: Annotated[str, Meta(max_length=64)]
    published_at: float
    built_at: float
    max_age_s: float | None
    is_withdrawn: bool
    metadata: bytes
    is_filtered: bool


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """Who looks at the sources for all, and how that stands.

    Attributes:
        member: its name.
        content: digest of the payload that it has.
        table: name of the object that holds its table; empty before it is there.
        built_at, max_age_s: from when, and for how long, its data counts as fresh; it moves without a generation, too.
        held: the load that waits for an operator's word there.
    """

    member: str
    content: bytes
    table: str
    built_at: float
    max_age_s: float | None
    held: Held | None


def encode(record: Record) -> bytes:
    """The octets of a record."""
    return msgspec.msgpack.encode(record)


def decode(data: bytes) -> Record:
    """A record of its octets.

    Raises:
        FleetError: they are none, or of a later release.
    """
    try:
        record = msgspec.msgpack.decode(data, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FleetError(f"a record of the stream can't be read: {error}") from error
    if record.format != FORMAT:
        raise FleetError(f"a record of the stream has format {record.format}: this release reads {FORMAT}")
    return record


def pack(step: Step) -> bytes:
    """A step as it stands in a record."""
    return zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(raw_step(step)))


def unpack(packed: bytes) -> RawStep:
    """The step of a record.

    Raises:
        FleetError: it is none.
    """
    try:
        raw = zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_STEP_BYTES)
        step: RawStep = msgspec.msgpack.decode(raw, type=RawStep)
        steps_of([step])
    except (zstandard.ZstdError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, SourceError) as error:
        raise FleetError(f"a step of the stream can't be read: {error}") from error
    return step
