"""Several caches that are followed at once: what each has, and which of them differ from most. Times are arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from pyrtr.cli.caches import Cache, said
from pyrtr.cli.sets import Comparison, Side
from pyrtr.logs import printable
from pyrtr.payload.delta import difference
from pyrtr.payload.table import PayloadTable
from pyrtr.session.actions import Note
from pyrtr.session.router import Confirmed, Held, RouterAction, RouterSession


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is worth a line.

    Attributes:
        name: answers, changed, lost, differs, agrees or warning.
        cache: which one, as it may be shown.
        fields: what belongs to it.
    """

    name: str
    cache: str
    fields: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Followed:
    """One cache.

    Attributes:
        cache, session: who it is, and the conversation.
        side: what it said last; None before that, and when that must not be used any more.
        trouble: why it does not answer; None while it does, or before the first attempt.
        answered_at: Unix time of its last answer.
        changed_at: and of the last one that brought another set.
        losses: how often it stopped to answer.
        difference: what takes the set that most have to its own; None while that is the same, or is not known.
        differs_since: Unix time since when there is one.
    """

    cache: Cache
    session: RouterSession
    side: Side | None = None
    trouble: str | None = None
    answered_at: float | None = None
    changed_at: float | None = None
    losses: int = 0
    difference: Comparison | None = None
    differs_since: float | None = None
    digests: dict[str, bytes] = field(default_factory=dict)

    @property
    def held(self) -> Held | None:
        """The set with its state."""
        return None if self.side is None else self.side.held

    @property
    def difference_counts(self) -> dict[str, int]:
        """How many differences there are, by what happens."""
        counts = {} if self.difference is None else self.difference.counts
        return {action: sum(counts.get(action, {}).values()) for action in ("withdrawn", "announced", "replaced")}

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        return self.side is not None and self.trouble is None

    def describe(self, now: float, limit: int) -> dict[str, object]:
        """How it does at Unix time `now`, for JSON, with the first `limit` differences."""
        told: dict[str, object] = {"location": self.cache.name, "up": self.is_up, "trouble": self.trouble}
        if self.side is not None:
            told |= self.side.describe()
        if self.changed_at is not None:
            told["changed_s"] = round(now - self.changed_at, 3)
        if self.differs_since is not None and self.difference is not None:
            told |= {"differs_s": round(now - self.differs_since, 3), **differing(self.difference, limit)}
        return told


class Fleet:
    """All of them.

    Args:
        caches: who is followed.
        longest_s: the longest pause between queries.
        shortest_s: the shortest that a cache may wish for.
        limit: how many differences are named.

    Attributes:
        members: the caches.
    """

    def __init__(self, caches: Iterable[Cache], *, longest_s: float, shortest_s: float, limit: int) -> None:
        self.members = [
            Followed(cache, cache.session(shortest_s=min(shortest_s, longest_s), longest_s=longest_s))
            for cache in caches
        ]
        self.limit = limit

    @property
    def are_same(self) -> bool:
        """Whether all answer, and none differs."""
        return all(member.is_up and member.difference is None for member in self.members)

    def heard(self, member: Followed, actions: Iterable[RouterAction], now: float) -> list[Event]:
        """Take what a session says at Unix time `now`; what there is to tell of it."""
        events: list[Event] = []
        for action in actions:
            match action:
                case Confirmed(held, is_changed):
                    events += self._confirmed(member, held, is_changed, now)
                case Note(is_warning=True):
                    events.append(Event("warning", member.cache.name, {"text": said(action)}))
                case _:
                    pass
        return events + self.looked(member, now)

    def looked(self, member: Followed, now: float) -> list[Event]:
        """Take it into account if a session has lost its cache."""
        trouble = member.session.trouble
        return [] if trouble in (None, member.trouble) else self.lost(member, str(trouble), now)

    def lost(self, member: Followed, reason: str, now: float) -> list[Event]:
        """A cache does not answer."""
        member.losses += member.trouble is None
        member.trouble = reason
        if member.session.held is None:
            member.side = None
        events = [Event("lost", member.cache.name, {"reason": printable(reason)})]
        return events + self._compare(now)

    def _confirmed(self, member: Followed, held: Held, is_changed: bool, now: float) -> list[Event]:
        former, was_up = member.side, member.is_up
        member.side, member.trouble, member.answered_at = Side(member.cache.name, held.table, held=held), None, now
        state = held.state
        fields = {
            "version": held.version.name, "session": state.session_id, "serial": state.serial, **held.table.counts,
        }  # fmt: skip
        events = [] if was_up else [Event("answers", member.cache.name, fields)]
        is_other = former is None or is_changed
        if is_other:
            member.changed_at = now
            member.digests = _digests(held.table)
            if former is not None:
                changes = _counted(former.table, held.table)
                events.append(Event("changed", member.cache.name, fields | changes))
        return events + (self._compare(now) if is_other or not was_up else [])

    def _compare(self, now: float) -> list[Event]:
        """Find the set that most have, and who differs from it."""
        up = [member for member in self.members if member.is_up]
        reference = _most_common(up)
        events = []
        for member in self.members:
            former = member.differs_since
            member.difference = None
            if member.is_up and reference is not None:
                member.difference = _difference(reference, member)
            if member.difference is None:
                member.differs_since = None
                if former is not None and member.is_up:
                    events.append(Event("agrees", member.cache.name, {"after_s": round(now - former, 3)}))
            else:
                member.differs_since = now if former is None else former
                events.append(Event("differs", member.cache.name, differing(member.difference, self.limit)))
        return events


def differing(comparison: Comparison, limit: int) -> dict[str, object]:
    """How a set differs from another, with the first `limit` differences."""
    first = [*islice(comparison.changes(), limit)]
    return {"from": comparison.old.name, "not_compared": comparison.left_out, **comparison.counts, "first": first}


def _most_common(members: Sequence[Followed]) -> Followed | None:
    """Of those with the set that most have, the one that got it last; of sets that are as common, the newest."""
    lacking = frozenset[str]().union(*(member.side.lacks for member in members if member.side is not None))
    groups: dict[tuple[bytes, ...], list[Followed]] = {}
    for member in members:
        key = tuple(digest for kind, digest in member.digests.items() if kind not in lacking)
        groups.setdefault(key, []).append(member)

    def changed_at(member: Followed) -> float:
        return member.changed_at or 0.0

    best = max(groups.values(), key=lambda group: (len(group), max(map(changed_at, group))), default=None)
    return None if best is None else max(best, key=changed_at)


def _difference(reference: Followed, member: Followed) -> Comparison | None:
    assert reference.side is not None
    assert member.side is not None
    lacking = reference.side.lacks | member.side.lacks
    if all(reference.digests[kind] == digest for kind, digest in member.digests.items() if kind not in lacking):
        return None
    return Comparison(reference.side, member.side)


def _digests(table: PayloadTable) -> dict[str, bytes]:
    """A digest for each kind of payload, by the names that `Side.lacks` has for it."""
    parts = {
        "vrps": [len(table.ipv4).to_bytes(8), table.ipv4.tobytes(), table.ipv6.tobytes()],
        "router_keys": [repr(table.router_keys).encode()],
        "aspas": [repr(table.aspas).encode()],
    }
    return {kind: hashlib.blake2b(b"".join(part), digest_size=16).digest() for kind, part in parts.items()}


def _counted(old: PayloadTable, new: PayloadTable) -> dict[str, object]:
    delta = difference(old, new)
    return {
        "announced": len(delta.ipv4.announce) + len(delta.ipv6.announce) + len(delta.router_keys.announce),
        "withdrawn": len(delta.ipv4.withdraw) + len(delta.ipv6.withdraw) + len(delta.router_keys.withdraw),
        "aspas_changed": len(delta.aspas),
    }
