"""What brought or took each change of a delta, and why a generation came to be: for people, worked out once.

A SLURM file has brought what it asserts and what is not validated as well, and taken what is validated and it filters;
the same the other way round where a file is no longer in force. Of the rest, what has ended is gone by itself, and
what locations gave is theirs: of the first of them that has what comes, or had what goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyrtr.compiler.job import Task
from pyrtr.payload.delta import Delta, contains
from pyrtr.payload.order import Rows, asn_column, rows_of
from pyrtr.payload.provenance import EXPIRED, STALE, UNKNOWN, Codes, Origin, OriginKind, Provenance, parts
from pyrtr.payload.slurm import SlurmFile, matches
from pyrtr.payload.table import NEVER, Anchors, Facts, PayloadTable, Times
from pyrtr.payload.values import RouterKey
from pyrtr.times import iso_time

Mask = NDArray[np.bool_]
Number = TypeVar("Number", np.int64, np.uint16)


class Share:
    """What one location gave.

    Args:
        location: its name.
        read: gives its payload, which is often not needed.
    """

    def __init__(self, location: str, read: Callable[[], PayloadTable]) -> None:
        self.origin = Origin(OriginKind.SOURCE, location)
        self._read = read

    @cached_property
    def table(self) -> PayloadTable:
        """Its payload."""
        return self._read()


@dataclass(frozen=True, slots=True, eq=False)
class Ingredients:
    """What a table was made of: what locations gave, in their order, and the SLURM files that were applied."""

    shares: Sequence[Share] = ()
    files: Sequence[SlurmFile] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """A table, what is known of its entries, and what it was made of."""

    table: PayloadTable
    facts: Facts
    made_of: Ingredients


def provenance(delta: Delta, before: Version, after: Version, task: Task, now: float) -> Provenance:
    """What brought or took each change of a delta that leads from one table to the other.

    Args:
        delta: is proved: it changes only what the tables hold.
        before: what it leads from.
        after: what it leads to.
        task: what the second one was made for.
        now: Unix time that expiry was judged by.
    """
    anchors = _anchors(delta, before, after)
    if task is Task.WITHDRAW:
        by = {name: np.zeros(count, np.uint16) for name, count in parts(delta).items()}
        return Provenance(by, (STALE,), *anchors)
    finder = _Finder(before.made_of, after.made_of, now)
    old, facts = before.table, before.facts
    return Provenance(
        by={
            "ipv4_announce": finder.brought(_Vrps(delta.ipv4.announce, "ipv4")),
            "ipv4_withdraw": finder.took(
                _Vrps(delta.ipv4.withdraw, "ipv4"), _at(old.ipv4, delta.ipv4.withdraw, facts.ipv4_expires)
            ),
            "ipv6_announce": finder.brought(_Vrps(delta.ipv6.announce, "ipv6")),
            "ipv6_withdraw": finder.took(
                _Vrps(delta.ipv6.withdraw, "ipv6"), _at(old.ipv6, delta.ipv6.withdraw, facts.ipv6_expires)
            ),
            "router_keys_announce": finder.brought(_Keys(delta.router_keys.announce)),
            "router_keys_withdraw": _keys_taken(finder, delta, before),
            "aspas": _aspas(finder, delta, before),
        },
        origins=tuple(finder.origins),
        anchors=anchors[0],
        anchor_names=anchors[1],
    )


def expired_count(found: Provenance) -> int:
    """How many of the changes are there because payload has ended."""
    if EXPIRED not in found.origins:
        return 0
    code = found.origins.index(EXPIRED)
    return sum(int(np.count_nonzero(codes == code)) for codes in found.by.values())


def why(task: Task, news: Sequence[tuple[str, float]], *, is_slurm_new: bool, expired: int, is_proved: bool) -> str:
    """Why a generation came to be, in words.

    Args:
        task: what it was made for.
        news: the locations that had something new, and when that was built (Unix seconds).
        is_slurm_new: whether other SLURM files are in force.
        expired: how many of its changes are there because payload has ended.
        is_proved: whether its delta held.
    """
    reasons = [f"new data at {location}, built {iso_time(built_at) or 'at no date'}" for location, built_at in news]
    if is_slurm_new:
        reasons.append("SLURM files changed")
    if expired:
        reasons.append(f"{expired} record{'s' * (expired != 1)} expired")
    if task is Task.WITHDRAW:
        reasons.append("data is stale")
    if not is_proved:
        reasons.append("its delta failed the proof")
    return "; ".join(reasons or ["other locations are in use"])


class _Entries(Protocol):
    """Changes of one kind, about which can be told …, one answer for each of them."""

    def __len__(self) -> int: ...

    def held_by(self, table: PayloadTable) -> Mask:
        """… which of them a table holds."""

    def filtered_by(self, file: SlurmFile) -> Mask:
        """… which of them a filter of a SLURM file matches."""

    def asserted_by(self, file: SlurmFile) -> Mask:
        """… which of them a SLURM file asserts."""


class _Vrps:
    def __init__(self, rows: Rows, family: str) -> None:
        self._rows = rows
        self._family = family

    def __len__(self) -> int:
        return len(self._rows)

    def held_by(self, table: PayloadTable) -> Mask:
        return contains(getattr(table, self._family), self._rows)

    def filtered_by(self, file: SlurmFile) -> Mask:
        return matches(self._rows, asn_column(self._rows), file.prefix_filters)

    def asserted_by(self, file: SlurmFile) -> Mask:
        return contains(rows_of(file.vrps, self._rows.dtype), self._rows)


class _Keys:
    def __init__(self, keys: Sequence[RouterKey]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def held_by(self, table: PayloadTable) -> Mask:
        return self._mask(set(table.router_keys).__contains__)

    def filtered_by(self, file: SlurmFile) -> Mask:
        return self._mask(lambda key: any(entry.matches(key) for entry in file.key_filters))

    def asserted_by(self, file: SlurmFile) -> Mask:
        return self._mask(set(file.router_keys).__contains__)

    def _mask(self, is_it: Callable[[RouterKey], bool]) -> Mask:
        return np.array([is_it(key) for key in self._keys], np.bool_)


class _Customers:
    """Of ASPAs."""

    def __init__(self, customers: Sequence[int]) -> None:
        self._customers = customers

    def __len__(self) -> int:
        return len(self._customers)

    def held_by(self, table: PayloadTable) -> Mask:
        return self._mask({aspa.customer_asn for aspa in table.aspas})

    def filtered_by(self, file: SlurmFile) -> Mask:
        return self._mask({entry.customer_asn for entry in file.aspa_filters})

    def asserted_by(self, file: SlurmFile) -> Mask:
        return self._mask({aspa.customer_asn for aspa in file.aspas})

    def _mask(self, customers: set[int]) -> Mask:
        return np.array([customer in customers for customer in self._customers], np.bool_)


class _Marks:
    """What is found out of some entries, each by the first that claims it."""

    def __init__(self, count: int, origins: dict[Origin, int]) -> None:
        self.codes: Codes = np.full(count, UNKNOWN, np.uint16)
        self._origins = origins

    def claim(self, is_its: Mask, origin: Origin) -> None:
        """It is this that brought or took those."""
        is_new = is_its & (self.codes == UNKNOWN)
        if is_new.any():
            self.codes[is_new] = self._origins.setdefault(origin, len(self._origins))

    def claim_for(self, entries: _Entries, shares: Sequence[Share]) -> None:
        """It is the first of these that holds it; the last one where none before does, since one of them has to."""
        for share in shares:
            if (self.codes != UNKNOWN).all():
                return
            is_last = share is shares[-1]
            self.claim(np.ones(len(entries), np.bool_) if is_last else entries.held_by(share.table), share.origin)


class _Finder:
    def __init__(self, before: Ingredients, after: Ingredients, now: float) -> None:
        self.origins: dict[Origin, int] = {}
        self._before = before
        self._after = after
        self._now = now

    def brought(self, entries: _Entries) -> Codes:
        """What brought each of them."""
        marks = _Marks(len(entries), self.origins)
        if len(entries):
            self._claim_asserted(marks, entries, self._after)
            self._claim_filtered(marks, entries, self._before.files, self._before.shares)
            marks.claim_for(entries, self._after.shares)
        return marks.codes

    def took(self, entries: _Entries, expires: Times) -> Codes:
        """What took each of them, which would have ended at those times."""
        marks = _Marks(len(entries), self.origins)
        if len(entries):
            self._claim_filtered(marks, entries, self._after.files, self._after.shares)
            self._claim_asserted(marks, entries, self._before)
            marks.claim(expires <= self._now, EXPIRED)
            marks.claim_for(entries, self._before.shares)
        return marks.codes

    def replaced(self, customers: Sequence[int], expires: Times) -> Codes:
        """What gave each of these customers other providers."""
        entries = _Customers(customers)
        marks = _Marks(len(entries), self.origins)
        before = {file.name: file for file in self._before.files}
        after = {file.name: file for file in self._after.files}
        for name in {**after, **before}:
            old, new = (files.get(name, SlurmFile(name)) for files in (before, after))
            asserted_before, asserted_after = set(old.aspas), set(new.aspas)
            others = {aspa.customer_asn for aspa in asserted_before ^ asserted_after}
            marks.claim(np.array([each in others for each in customers], np.bool_), _assertion(name))
            marks.claim(entries.filtered_by(old) ^ entries.filtered_by(new), _filter(name))
        marks.claim(expires <= self._now, EXPIRED)
        marks.claim_for(entries, self._after.shares)
        return marks.codes

    def _claim_asserted(self, marks: _Marks, entries: _Entries, made_of: Ingredients) -> None:
        """For the files that assert what no location gives, or what is filtered."""
        asserted = [(file, is_its) for file in made_of.files if (is_its := entries.asserted_by(file)).any()]
        if not asserted:
            return
        is_validated = _held_by_any(entries, made_of.shares)
        for file in made_of.files:
            is_validated &= ~entries.filtered_by(file)
        for file, is_its in asserted:
            marks.claim(is_its & ~is_validated, _assertion(file.name))

    def _claim_filtered(
        self, marks: _Marks, entries: _Entries, files: Sequence[SlurmFile], shares: Sequence[Share]
    ) -> None:
        """For the files that filter what the locations give."""
        filtered = [(file, is_its) for file in files if (is_its := entries.filtered_by(file)).any()]
        if not filtered:
            return
        is_held = _held_by_any(entries, shares)
        for file, is_its in filtered:
            marks.claim(is_its & is_held, _filter(file.name))


def _assertion(name: str) -> Origin:
    return Origin(OriginKind.ASSERTION, name)


def _filter(name: str) -> Origin:
    return Origin(OriginKind.FILTER, name)


def _held_by_any(entries: _Entries, shares: Sequence[Share]) -> Mask:
    is_held = np.zeros(len(entries), np.bool_)
    for share in shares:
        is_held |= entries.held_by(share.table)
    return is_held


def _keys_taken(finder: _Finder, delta: Delta, before: Version) -> Codes:
    expires = dict(zip(before.table.router_keys, before.facts.router_keys_expires.tolist(), strict=True))
    keys = delta.router_keys.withdraw
    return finder.took(_Keys(keys), np.array([expires[key] for key in keys], np.int64))


def _aspas(finder: _Finder, delta: Delta, before: Version) -> Codes:
    expires = dict(
        zip((aspa.customer_asn for aspa in before.table.aspas), before.facts.aspas_expires.tolist(), strict=True)
    )
    customers = [change.customer_asn for change in delta.aspas]
    ends = np.array([expires.get(customer, NEVER) for customer in customers], np.int64)
    was_there = np.array([bool(change.old_provider_asns) for change in delta.aspas], np.bool_)
    is_there = np.array([bool(change.new_provider_asns) for change in delta.aspas], np.bool_)
    codes: Codes = np.full(len(customers), UNKNOWN, np.uint16)

    def some(which: Mask) -> list[int]:
        return [customers[place] for place in np.flatnonzero(which)]

    codes[~was_there] = finder.brought(_Customers(some(~was_there)))
    codes[~is_there] = finder.took(_Customers(some(~is_there)), ends[~is_there])
    is_replaced = was_there & is_there
    codes[is_replaced] = finder.replaced(some(is_replaced), ends[is_replaced])
    return codes


def _at(rows: Rows, wanted: Rows, values: NDArray[Number]) -> NDArray[Number]:
    """What a column says of some of the rows beside it."""
    return values[np.searchsorted(rows, wanted)]


def _anchors(delta: Delta, before: Version, after: Version) -> tuple[dict[str, Anchors], tuple[str, ...]]:
    """The trust anchor of each change of a VRP: what goes has the one it had."""
    names = tuple(dict.fromkeys((*after.facts.anchors, *before.facts.anchors)))

    def named(version: Version, codes: Anchors) -> Anchors:
        return np.array([names.index(name) for name in version.facts.anchors], np.uint16)[codes]

    old, new = before.table, after.table
    return {
        "ipv4_announce": named(after, _at(new.ipv4, delta.ipv4.announce, after.facts.ipv4_anchors)),
        "ipv4_withdraw": named(before, _at(old.ipv4, delta.ipv4.withdraw, before.facts.ipv4_anchors)),
        "ipv6_announce": named(after, _at(new.ipv6, delta.ipv6.announce, after.facts.ipv6_anchors)),
        "ipv6_withdraw": named(before, _at(old.ipv6, delta.ipv6.withdraw, before.facts.ipv6_anchors)),
    }, names
