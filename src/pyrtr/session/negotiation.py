"""Which version the querying side asks for (8210bis §7): the highest first, and lower ones as the cache has it.

A cache says what it speaks by Error Report 4, or by answering in it; then that is asked for, on the same connection or
on another. Caches of old close without a word on a version that they do not know. So does one that crashes, which is
why a version that was only guessed from that is not kept for ever.
"""

from __future__ import annotations

from pyrtr.wire.enums import Version

# How long a guessed version is kept; it doubles up to the second as long as it is all that can be had.
CLIMB_S = 3600.0
MAX_CLIMB_S = 86400.0


class Negotiation:
    """The versions of one connection after the other.

    Attributes:
        lowest, highest: what may be spoken.
        version: what is asked for, and spoken once it `is_agreed`.
        is_agreed: whether the cache has answered in it, on this connection.
        climb_at: when to try a higher version on another connection; None where there is no reason to.
    """

    def __init__(self, lowest: Version, highest: Version) -> None:
        self.lowest, self.highest = lowest, highest
        self.version = highest
        self.is_agreed = False
        self.climb_at: float | None = None
        self._is_under_way = False  # the next connection goes on where this one came to
        self._has_stepped = False
        self._is_guessed = False
        self._climb_pause_s = CLIMB_S

    @property
    def is_refused(self) -> bool:
        """Whether this connection began with a higher version, and none is agreed yet."""
        return self._is_under_way and self._has_stepped

    def opened(self) -> None:
        """A connection is open."""
        self.is_agreed = self._has_stepped = False
        self.climb_at = None
        if not self._is_under_way:
            self.version, self._is_guessed = self.highest, False

    def step_down(self, version: Version, *, is_guessed: bool) -> None:
        """Ask for a lower version from now on, that the cache has named, or that is only a guess."""
        self.version = version
        self._is_under_way = self._has_stepped = True
        self._is_guessed = is_guessed

    def agree(self, now: float) -> None:
        """The cache answers in the version that was asked for."""
        if self.is_agreed:
            return
        self.is_agreed = True
        self._is_under_way = False
        if self._is_guessed:
            self.climb_at = now + self._climb_pause_s
            self._climb_pause_s = min(2 * self._climb_pause_s, MAX_CLIMB_S)
        else:
            self._climb_pause_s = CLIMB_S

    def give_up(self) -> None:
        """The connection has failed in another way: the next one begins anew."""
        self._is_under_way = False
