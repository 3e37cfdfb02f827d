"""Times as people and programs read them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso_time(seconds: float | None) -> str | None:
    """Unix seconds as UTC in ISO 8601, such as 2026-09-01T12:00:00.000Z; None for None and for what is no date."""
    if seconds is None:
        return None
    try:
        time = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
