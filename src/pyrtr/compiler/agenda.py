"""When what is to be done next: looks at the source, expiry, staleness. Pure: times are passed in (Unix seconds)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from pyrtr.compiler.job import Task
from pyrtr.payload.table import NEVER
from pyrtr.settings import OnStale

# After a failure the source is looked at again soon, and then less and less often, at the latest after RELOAD.
FIRST_RETRY_S = 5.0
# Up to this share of each pause is left out at random: when a server comes back, not all caches ask it at once.
RETRY_JITTER = 0.5
# Expiries follow one another at least this far apart, so that those of one second, or of a few, make one generation.
EXPIRY_GAP_S = 1.0
# The clock is looked at anew at least so often, since it may be set.
MAX_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that decide what is done when.

    Attributes:
        reload_s: seconds between looks at the source.
        max_age_s: seconds after which data is stale.
        on_stale: what becomes of it then.
        max_shrink: percent of the VRPs that one load may take away.
        hold_s: seconds after which a load that was held back is accepted.
    """

    reload_s: float
    max_age_s: float
    on_stale: OnStale
    max_shrink: float
    hold_s: float

    def limit_s(self, max_age_s: float | None) -> float:
        """Seconds after which data is stale whose source has a limit of its own, or none."""
        return self.max_age_s if max_age_s is None else min(self.max_age_s, max_age_s)

    def is_to_be_withdrawn(self, built_at: float, max_age_s: float | None, now: float) -> bool:
        """Whether such data may not be served any more."""
        return self.on_stale is OnStale.WITHDRAW and now - built_at >= self.limit_s(max_age_s)


@dataclass(slots=True)
class Agenda:
    """What is due when.

    Attributes:
        policy: the settings.
        load_at: when the source is looked at next; infinity while it is looked at.
        next_expiry: when the first entry of the current table ends.
        built_at: from when on the age of the current data counts; None while there is none.
        max_age_s: seconds after which it is stale: MAX_AGE, or less where the source says so.
        is_withdrawn: whether it was withdrawn because it is stale.
        awaits_first_look: whether stale data of the last run is left alone until the source was looked at.
        held_since: when a load was first held back; None while none is.
        failure_count: looks in a row that came to nothing.
        is_off_duty: whether all of this is another replica's to do.
        random: a number from 0 to below 1, any of them as likely as another.
    """

    policy: Policy
    load_at: float
    next_expiry: float = NEVER
    built_at: float | None = None
    max_age_s: float = field(init=False)
    is_withdrawn: bool = False
    awaits_first_look: bool = False
    held_since: float | None = None
    failure_count: int = 0
    is_off_duty: bool = False
    random: Callable[[], float] = random.random
    _expired_at: float = field(default=-math.inf)

    def __post_init__(self) -> None:
        self.max_age_s = self.policy.max_age_s

    def age_s(self, now: float) -> float | None:
        """How old the current data is."""
        return None if self.built_at is None else now - self.built_at

    def is_stale(self, now: float) -> bool:
        """Whether the current data is as old as it may be, or older."""
        age = self.age_s(now)
        return age is not None and age >= self.max_age_s

    def due(self, now: float) -> Task | None:
        """What is to be done now, the most urgent first."""
        return next((task for at, task in self._entries() if at <= now), None)

    def pause_s(self, now: float) -> float:
        """Seconds until something is due, or the data becomes stale."""
        moments = [at for at, _ in self._entries()]
        if self.built_at is not None and not self.is_stale(now):
            moments.append(self.built_at + self.max_age_s)
        return min(max(0.0, min(moments, default=math.inf) - now), MAX_PAUSE_S)

    def clock_read(self, now: float) -> None:
        """The clock may have been set back: nothing waits longer than it was meant to."""
        if self.load_at < math.inf:  # while a look is under way none is due
            self.load_at = min(self.load_at, now + self.policy.reload_s)
        if self.held_since is not None:
            self.held_since = min(self.held_since, now)
        self._expired_at = min(self._expired_at, now + FIRST_RETRY_S)

    def on_duty(self, now: float) -> None:
        """All of this is ours to do. What was looked at not long ago is not looked at again for that."""
        self.is_off_duty = False
        if self.held_since is not None and self.load_at < math.inf:
            self.load_at = min(self.load_at, self.held_since + self.policy.hold_s)
        self.awaits_first_look |= self.load_at <= now

    def loaded(self, now: float) -> None:
        """A look came to something, even if that is held back."""
        self.failure_count = 0
        self.load_at = now + self.policy.reload_s
        if self.held_since is not None:
            self.load_at = min(self.load_at, self.held_since + self.policy.hold_s)

    def failed(self, now: float) -> None:
        """A look came to nothing."""
        retry_s = FIRST_RETRY_S * 2.0 ** min(self.failure_count, 30)
        self.failure_count += 1
        self.load_at = now + min(self.policy.reload_s, retry_s) * (1 - RETRY_JITTER * self.random())

    def expired(self, now: float, *, has_failed: bool) -> None:
        """What had expired, or was stale, was taken away; or that came to nothing, and is tried again."""
        self._expired_at = now + FIRST_RETRY_S if has_failed else now

    def _entries(self) -> list[tuple[float, Task]]:
        if self.is_off_duty:
            return []
        entries = [
            (max(self.next_expiry, self._expired_at + EXPIRY_GAP_S), Task.EXPIRE),
            (self.load_at, Task.LOAD),
        ]
        if (
            self.policy.on_stale is OnStale.WITHDRAW
            and self.built_at is not None
            and not self.is_withdrawn
            and not self.awaits_first_look  # after a restart the source may well be fresh
        ):
            entries.append((max(self.built_at + self.max_age_s, self._expired_at), Task.WITHDRAW))
        return entries
