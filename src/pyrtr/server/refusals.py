"""Who is turned away: counted by transport and reason, and logged at a bounded rate."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from pyrtr.logs import get_logger, printable
from pyrtr.server.lines import Lines

if TYPE_CHECKING:
    from pyrtr.server.connection import Transport

# For each transport and reason.
LINES_PER_WINDOW = 10


class Reason(StrEnum):
    """Why a router is turned away."""

    NOT_ALLOWED = "not allowed"
    TOO_MANY = "too many routers"
    TOO_MANY_OF_ONE = "too many routers from one address"
    HANDSHAKE_FAILED = "handshake failed"
    HANDSHAKE_TIMEOUT = "handshake took too long"
    LOGIN_FAILED = "login failed"
    NO_CERTIFICATE = "no certificate"
    UNKNOWN_CA = "certificate of another CA"
    EXPIRED = "certificate has expired"
    NOT_YET_VALID = "certificate is not yet valid"
    REVOKED = "certificate is revoked"
    BAD_CERTIFICATE = "certificate is not valid"
    WRONG_ADDRESS = "certificate is for another address"


class Refusals:
    """Counts and logs.

    Args:
        clock: seconds.

    Attributes:
        counts: refusals since the start, by transport and reason.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[tuple[Transport, Reason]] = Counter()
        self._lines: Lines[tuple[Transport, Reason]] = Lines(LINES_PER_WINDOW, clock)
        self._log = get_logger()

    def refuse(self, transport: Transport, reason: Reason, router: str, detail: str = "") -> None:
        """Count one, and log it if there is room in this minute.

        Args:
            transport: by which it came.
            reason: why it is turned away.
            router: its "ADDR:PORT".
            detail: what of it, in words; it may hold what the router sent.
        """
        key = (transport, reason)
        self.counts[key] += 1
        if (unlogged := self._lines.unlogged_before(key)) is not None:
            self._log.warning(
                "router refused",
                router=router,
                transport=str(transport),
                reason=str(reason),
                detail=printable(detail),
                unlogged=unlogged,
            )
