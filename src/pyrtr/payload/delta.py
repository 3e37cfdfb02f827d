"""Deltas: the difference of two tables, several of them as one, their application, and their inverse.

8210bis §5.3: a router gets "the minimum set of changes": nothing twice, nothing that cancels out. VRPs and router keys
come and go whole. An ASPA is named by its customer, and an announcement replaces the one before it (§5.12), so its
change carries both lists: without the old one, two changes that cancel could not be told from two that don't.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pyrtr.errors import DeltaError
from pyrtr.payload.order import IPV4_ROW, IPV6_ROW, Rows
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import Aspa, RouterKey


@dataclass(frozen=True, slots=True, eq=False)
class RowChanges:
    """VRPs of one address family that come and go: two columns, ascending, unique, without a row in common."""

    announce: Rows
    withdraw: Rows

    def __len__(self) -> int:
        return len(self.announce) + len(self.withdraw)


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """Router keys that come and go, each ascending by `RouterKey.sort_key`."""

    announce: tuple[RouterKey, ...] = ()
    withdraw: tuple[RouterKey, ...] = ()

    def __len__(self) -> int:
        return len(self.announce) + len(self.withdraw)


@dataclass(frozen=True, slots=True)
class AspaChange:
    """What one customer's provider ASNs were and are; an empty list means no ASPA."""

    customer_asn: int
    old_provider_asns: tuple[int, ...]
    new_provider_asns: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """What takes one table to another. `aspas` is ascending by customer."""

    ipv4: RowChanges
    ipv6: RowChanges
    router_keys: KeyChanges = KeyChanges()
    aspas: tuple[AspaChange, ...] = ()

    def __len__(self) -> int:
        return len(self.ipv4) + len(self.ipv6) + len(self.router_keys) + len(self.aspas)


NO_CHANGE = Delta(
    ipv4=RowChanges(np.empty(0, IPV4_ROW), np.empty(0, IPV4_ROW)),
    ipv6=RowChanges(np.empty(0, IPV6_ROW), np.empty(0, IPV6_ROW)),
)


def difference(old: PayloadTable, new: PayloadTable) -> Delta:
    """The minimal delta from `old` to `new`."""
    old_keys, new_keys = set(old.router_keys), set(new.router_keys)
    return Delta(
        ipv4=_row_difference(old.ipv4, new.ipv4),
        ipv6=_row_difference(old.ipv6, new.ipv6),
        router_keys=_key_changes(new_keys - old_keys, old_keys - new_keys),
        aspas=_aspa_difference(_providers(old.aspas), _providers(new.aspas)),
    )


def compose(deltas: Sequence[Delta]) -> Delta:
    """Successive deltas as one, from before the first to after the last, with what cancels out left out.

    Raises:
        DeltaError: if a delta does not follow the one before it.
    """
    if not deltas:
        return NO_CHANGE
    if len(deltas) == 1:
        return deltas[0]
    held_before: dict[RouterKey, bool] = {}
    held_after: dict[RouterKey, bool] = {}
    before: dict[int, tuple[int, ...]] = {}
    after: dict[int, tuple[int, ...]] = {}
    for delta in deltas:
        for keys, comes in ((delta.router_keys.announce, True), (delta.router_keys.withdraw, False)):
            for key in keys:
                if held_after.get(key) is comes:
                    raise DeltaError("a router key comes or goes twice")
                held_before.setdefault(key, not comes)
                held_after[key] = comes
        for change in delta.aspas:
            known = after.get(change.customer_asn, change.old_provider_asns)
            if known != change.old_provider_asns:
                raise DeltaError(f"ASPA of AS{change.customer_asn} does not follow from the delta before")
            before.setdefault(change.customer_asn, change.old_provider_asns)
            after[change.customer_asn] = change.new_provider_asns
    return Delta(
        ipv4=_compose_rows([delta.ipv4 for delta in deltas]),
        ipv6=_compose_rows([delta.ipv6 for delta in deltas]),
        router_keys=_key_changes(
            (key for key, held in held_after.items() if held and not held_before[key]),
            (key for key, held in held_after.items() if not held and held_before[key]),
        ),
        aspas=_aspa_difference(before, after),
    )


def apply(table: PayloadTable, delta: Delta) -> PayloadTable:
    """The table that `delta` makes of `table`.

    Raises:
        DeltaError: if the delta announces what the table holds, withdraws what it does not, or changes an ASPA from
            something else than what the table says.
    """
    keys = set(table.router_keys)
    if not keys.issuperset(delta.router_keys.withdraw) or not keys.isdisjoint(delta.router_keys.announce):
        raise DeltaError("router keys announced twice or withdrawn unknown")
    keys = (keys - set(delta.router_keys.withdraw)) | set(delta.router_keys.announce)
    aspas = {aspa.customer_asn: aspa for aspa in table.aspas}
    for change in delta.aspas:
        old = aspas.pop(change.customer_asn, None)
        if (() if old is None else old.provider_asns) != change.old_provider_asns:
            raise DeltaError(f"ASPA of AS{change.customer_asn} is not what the delta changes")
        if change.new_provider_asns:
            aspas[change.customer_asn] = Aspa(change.customer_asn, change.new_provider_asns)
    return PayloadTable(
        ipv4=_apply_rows(table.ipv4, delta.ipv4),
        ipv6=_apply_rows(table.ipv6, delta.ipv6),
        router_keys=tuple(sorted(keys, key=lambda key: key.sort_key)),
        aspas=tuple(aspas[customer] for customer in sorted(aspas)),
    )


def inverse(delta: Delta) -> Delta:
    """What takes back a delta."""
    return Delta(
        RowChanges(announce=delta.ipv4.withdraw, withdraw=delta.ipv4.announce),
        RowChanges(announce=delta.ipv6.withdraw, withdraw=delta.ipv6.announce),
        KeyChanges(announce=delta.router_keys.withdraw, withdraw=delta.router_keys.announce),
        tuple(AspaChange(each.customer_asn, each.new_provider_asns, each.old_provider_asns) for each in delta.aspas),
    )


def _row_difference(old: Rows, new: Rows) -> RowChanges:
    merged = np.concatenate((old, new))
    if len(merged) == 0:
        return RowChanges(announce=merged, withdraw=merged)
    merged.sort(kind="stable")  # two sorted runs: one merge
    is_repeated = np.concatenate(([False], merged[1:] == merged[:-1], [False]))
    changed = merged[~(is_repeated[1:] | is_repeated[:-1])]
    is_new = contains(new, changed)
    return RowChanges(announce=changed[is_new], withdraw=changed[~is_new])


def _compose_rows(changes: Sequence[RowChanges]) -> RowChanges:
    rows = np.concatenate([column for change in changes for column in (change.announce, change.withdraw)])
    signs = np.concatenate(
        [
            np.full(len(column), sign, np.int64)
            for change in changes
            for column, sign in ((change.announce, 1), (change.withdraw, -1))
        ]
    )
    if len(rows) == 0:
        return changes[0]
    order = np.argsort(rows, kind="stable")
    rows, signs = rows[order], signs[order]
    is_same = rows[1:] == rows[:-1]
    if (is_same & (signs[1:] == signs[:-1])).any():
        raise DeltaError("a VRP comes or goes twice")
    # A row comes and goes by turns, so what is left of its turns is one announcement, one withdrawal or nothing.
    starts = np.flatnonzero(np.concatenate(([True], ~is_same)))
    rows, balance = rows[starts], np.add.reduceat(signs, starts)
    return RowChanges(announce=rows[balance > 0], withdraw=rows[balance < 0])


def _apply_rows(rows: Rows, changes: RowChanges) -> Rows:
    if not contains(rows, changes.withdraw).all():
        raise DeltaError("a VRP is withdrawn that the table does not hold")
    if contains(rows, changes.announce).any():
        raise DeltaError("a VRP is announced that the table holds")
    rows = np.delete(rows, np.searchsorted(rows, changes.withdraw))
    return np.insert(rows, np.searchsorted(rows, changes.announce), changes.announce)


def contains(rows: Rows, wanted: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each of `wanted`, whether it is among `rows`, which are ascending."""
    if len(rows) == 0:
        return np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
    return np.asarray(rows[places] == wanted)


def _key_changes(announce: Iterable[RouterKey], withdraw: Iterable[RouterKey]) -> KeyChanges:
    def ordered(keys: Iterable[RouterKey]) -> tuple[RouterKey, ...]:
        return tuple(sorted(keys, key=lambda key: key.sort_key))

    return KeyChanges(ordered(announce), ordered(withdraw))


def _providers(aspas: Iterable[Aspa]) -> dict[int, tuple[int, ...]]:
    return {aspa.customer_asn: aspa.provider_asns for aspa in aspas}


def _aspa_difference(old: dict[int, tuple[int, ...]], new: dict[int, tuple[int, ...]]) -> tuple[AspaChange, ...]:
    return tuple(
        AspaChange(customer, before, after)
        for customer in sorted(old.keys() | new.keys())
        if (before := old.get(customer, ())) != (after := new.get(customer, ()))
    )
