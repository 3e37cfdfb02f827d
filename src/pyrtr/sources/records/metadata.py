"""The metadata of a JSON document: kept as it is, and what dates the document."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

import msgspec

MAX_METADATA_BYTES = 2**16
_MAX_SECONDS = 253_402_300_799  # the end of the year 9999, the last that can be written


class _Dates(msgspec.Struct, omit_defaults=True):
    """What `build_time` and the readers look for."""

    buildtime: Any = None
    generatedTime: Any = None  # noqa: N815 - the member's own spelling
    generated: Any = None
    valid: Any = None


def read(raw: msgspec.Raw) -> dict[str, Any]:
    """The metadata, or of a monstrous one only the dates: it is passed around, shown and stored.

    Raises:
        msgspec.DecodeError: it is no JSON.
    """
    if len(raw) > MAX_METADATA_BYTES:
        with contextlib.suppress(msgspec.ValidationError):
            dates: dict[str, Any] = msgspec.to_builtins(msgspec.json.decode(raw, type=_Dates))
            return dates
        return {}
    metadata = msgspec.json.decode(raw)
    return metadata if isinstance(metadata, dict) else {}


def build_time(metadata: dict[str, Any]) -> float | None:
    """When the validator wrote the document (Unix seconds), None where it does not say.

    rpki-client writes `buildtime`, Routinator `generatedTime` and `generated`, GoRTR and Cloudflare `generated`.
    """
    moments = (moment(metadata.get("buildtime")), moment(metadata.get("generatedTime")), number(metadata, "generated"))
    return next((time for time in moments if time is not None), None)


def moment(value: object) -> float | None:
    """Unix seconds of a text such as "2026-11-23T03:22:35Z", None if it is none or has no time zone."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time.timestamp() if time.tzinfo else None


def number(metadata: dict[str, Any], name: str) -> float | None:
    """A member that is a number of Unix seconds, None if it is none that could be one."""
    value = metadata.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _MAX_SECONDS else None
