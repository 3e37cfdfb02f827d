"""Who is turned away: counted by transport and reason, and logged at a bounded rate."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from pyrtr.logs import get_logger, printable

if TYPE_CHECKING:
    from pyrtr.server.connection import Transport

# Whoever knocks a thousand times a second fills no disk: so many lines for each reason, and no more in that minute.
LINES_PER_WINDOW = 10
WINDOW_S = 60.0


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
        self._clock = clock
        self._windows: dict[tuple[Transport, Reason], tuple[float, int]] = {}  # when each began, and its refusals
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
        began, count = self._windows.get(key, (float("-inf"), 0))
        unlogged = 0
        if self._clock() - began >= WINDOW_S:
            began, count, unlogged = self._clock(), 0, max(0, count - LINES_PER_WINDOW)
        self._windows[key] = (began, count + 1)
        if count < LINES_PER_WINDOW:
            self._log.warning(
                "router refused",
                router=router,
                transport=str(transport),
                reason=str(reason),
                detail=printable(detail),
                unlogged=unlogged,
            )
