"""What can't be used is set aside, for people to look at, and the last of it kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

MAX_SET_ASIDE = 3


def set_aside(folder: Path, patterns: Iterable[str]) -> None:
    """Move files with such names into a folder of their own.

    Raises:
        OSError: they can't be moved.
    """
    aside = folder / datetime.now(UTC).strftime("damaged-%Y%m%dT%H%M%S.%fZ")
    aside.mkdir()
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.rename(aside / path.name)
    for old in sorted(folder.glob("damaged-*"))[:-MAX_SET_ASIDE]:
        shutil.rmtree(old, ignore_errors=True)
