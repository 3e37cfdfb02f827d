"""SLURM: local exceptions to what validators say (RFC 8416; aspa-slurm-04 for ASPAs), applied to a table.

RFC 8416 §3.2, §4.2: the filters of all files take away from the validated payload first, then the assertions of all
files are added. So a filter never removes an assertion, and the order of the files means nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pyrtr.errors import PayloadError
from pyrtr.payload.delta import contains
from pyrtr.payload.order import Rows, address_bytes, asn_column, octets, rows_of
from pyrtr.payload.table import NEVER, Anchors, Facts, PayloadTable, Times
from pyrtr.payload.values import MAX_PROVIDERS, VRP, Aspa, RouterKey, provider_union

ANCHOR = "slurm"  # stands in the place of a trust anchor for VRPs that are there by an assertion only
KINDS = ("vrps", "router_keys", "aspas")

Network = IPv4Network | IPv6Network
Counts = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class PrefixFilter:
    """Removes the VRPs that match all that is given (§3.3.1).

    Attributes:
        prefix: matches VRPs whose prefix equals it or lies within it, whatever their max length.
        asn: matches VRPs of this ASN; 0 is an ASN like any other.

    Raises:
        PayloadError: neither is given, which would match every VRP.
    """

    prefix: Network | None = None
    asn: int | None = None

    def __post_init__(self) -> None:
        if self.prefix is None and self.asn is None:
            raise PayloadError("a filter without prefix and asn: expected one of them, or both")


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Removes the router keys that match all that is given (§3.3.2).

    Raises:
        PayloadError: neither is given, which would match every router key.
    """

    asn: int | None = None
    ski: bytes | None = None

    def __post_init__(self) -> None:
        if self.asn is None and self.ski is None:
            raise PayloadError("a filter without asn and SKI: expected one of them, or both")

    def matches(self, key: RouterKey) -> bool:
        """Whether it removes this router key."""
        return self.asn in (None, key.asn) and self.ski in (None, key.ski)


@dataclass(frozen=True, slots=True)
class AspaFilter:
    """Removes the ASPA of a customer."""

    customer_asn: int


@dataclass(frozen=True, slots=True)
class SlurmFile:
    """The filters, and the payload that is asserted, of one file. Files that are applied together have unlike names."""

    name: str
    prefix_filters: tuple[PrefixFilter, ...] = ()
    key_filters: tuple[KeyFilter, ...] = ()
    aspa_filters: tuple[AspaFilter, ...] = ()
    vrps: tuple[VRP, ...] = ()
    router_keys: tuple[RouterKey, ...] = ()
    aspas: tuple[Aspa, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Slurmed:
    """What SLURM files made of a table.

    Attributes:
        table, facts: after filters and assertions.
        filtered: by file and kind (`KINDS`), how many entries of the table before the file's own filters match. One
            that two files match counts for both; one that several filters of a file match counts once.
        added: by file and kind, how many different entries are as they are by the file's own assertions, compared
            with the table after the filters of all files: a VRP or router key that was not there, an ASPA that was not
            there or has other providers now. What was there already does not count; what two files assert counts for
            both.
        oversized: customers left out because their ASPA, united with what is asserted, has more than `MAX_PROVIDERS`.
    """

    table: PayloadTable
    facts: Facts
    filtered: Counts
    added: Counts
    oversized: int


def conflicts(files: Sequence[SlurmFile]) -> list[str]:
    """Why these files can't be used together (§4.2), a sentence for each reason; none if they can.

    Two files conflict where an address is covered by a prefix in filters or assertions of both, or an ASN is used in
    filters or assertions for router keys of both. aspa-slurm-04 has no rule for ASPAs; the same of a customer is ours.
    Within one file all of that is fine, and a filter or assertion without the member conflicts with nothing.
    """
    key_asns = [{*(key.asn for key in file.router_keys), *(entry.asn for entry in file.key_filters)} for file in files]
    customers = [
        {*(aspa.customer_asn for aspa in file.aspas), *(entry.customer_asn for entry in file.aspa_filters)}
        for file in files
    ]
    return [
        *_prefix_conflicts(files),
        *_asn_conflicts(files, key_asns, "filters or assertions for router keys"),
        *_asn_conflicts(files, customers, "filters or assertions for ASPAs"),
    ]


@dataclass(frozen=True, slots=True)
class _Use:
    """A prefix in a file, and the nearest one of another file that it lies within."""

    prefix: Network
    file: int
    other: _Use | None


def _prefix_conflicts(files: Sequence[SlurmFile]) -> Iterator[str]:
    """Each prefix that lies within one of another file, with the nearest such one."""
    uses: set[tuple[Network, int]] = set()
    for number, file in enumerate(files):
        uses.update((vrp.prefix, number) for vrp in file.vrps)
        uses.update((entry.prefix, number) for entry in file.prefix_filters if entry.prefix is not None)
    # Prefixes nest or are apart, so those around the next one in this order are on top of one another.
    around: list[_Use] = []
    for prefix, number in sorted(
        uses, key=lambda use: (use[0].version, int(use[0].network_address), use[0].prefixlen, use[1])
    ):
        while around and not _covers(around[-1].prefix, prefix):
            around.pop()
        nearest = around[-1] if around else None
        other = nearest.other if nearest and nearest.file == number else nearest
        if other:
            yield f"{prefix} in {files[number].name} lies within {other.prefix} in {files[other.file].name}"
        around.append(_Use(prefix, number, other))


def _covers(outer: Network, inner: Network) -> bool:
    """Whether `inner`, which begins no earlier, lies within `outer`."""
    return outer.version == inner.version and int(outer.broadcast_address) >= int(inner.network_address)


def _asn_conflicts(files: Sequence[SlurmFile], asns: Sequence[Collection[int | None]], members: str) -> Iterator[str]:
    uses = sorted((asn, number) for number, of_file in enumerate(asns) for asn in of_file if asn is not None)
    for (asn, first), (next_asn, second) in pairwise(uses):
        if asn == next_asn:
            yield f"AS{asn} is in {members} of {files[first].name} and of {files[second].name}"


def apply_slurm(table: PayloadTable, facts: Facts, files: Sequence[SlurmFile]) -> Slurmed:
    """Apply files that do not conflict: all filters first, then all assertions.

    What is asserted never expires, and there is one entry of it however often it is asserted or validated; a VRP that
    is validated too keeps its trust anchor. An ASPA that is validated and asserted for the same customer becomes the
    union of both (8210bis §5.12: one ASPA a customer, AS 0 never beside others), and expires when the validated one
    does: the table has to be made anew then, from what was validated.
    """
    anchors = facts.anchors
    if ANCHOR not in anchors and any(file.vrps for file in files):
        anchors = (*anchors, ANCHOR)
    code = anchors.index(ANCHOR) if ANCHOR in anchors else 0
    ipv4, ipv4_counts = _slurm_vrps(_Vrps(table.ipv4, facts.ipv4_expires, facts.ipv4_anchors), files, code)
    ipv6, ipv6_counts = _slurm_vrps(_Vrps(table.ipv6, facts.ipv6_expires, facts.ipv6_anchors), files, code)
    keys, key_counts = _slurm_keys(dict(zip(table.router_keys, facts.router_keys_expires.tolist(), strict=True)), files)
    aspas, aspa_counts, oversized = _slurm_aspas(
        dict(zip(table.aspas, facts.aspas_expires.tolist(), strict=True)), files
    )
    ordered_keys = sorted(keys, key=lambda key: key.sort_key)
    by_kind = dict(zip(KINDS, (ipv4_counts + ipv6_counts, key_counts, aspa_counts), strict=True))
    return Slurmed(
        table=PayloadTable(ipv4.rows, ipv6.rows, tuple(ordered_keys), tuple(aspas)),
        facts=Facts(
            ipv4.expires,
            ipv6.expires,
            np.array([keys[key] for key in ordered_keys], np.int64),
            np.array([*aspas.values()], np.int64),
            ipv4.anchors,
            ipv6.anchors,
            anchors,
        ),
        filtered=_by_file(files, by_kind, 0),
        added=_by_file(files, by_kind, 1),
        oversized=oversized,
    )


_FileCounts = NDArray[np.int64]
"""What the filters of each file match, in the first row, and what each file adds, in the second."""


def _by_file(files: Sequence[SlurmFile], by_kind: Mapping[str, _FileCounts], row: int) -> Counts:
    return {
        file.name: {kind: int(counts[row, number]) for kind, counts in by_kind.items()}
        for number, file in enumerate(files)
    }


@dataclass(frozen=True, slots=True)
class _Vrps:
    """The VRPs of one address family, with what is known of them."""

    rows: Rows
    expires: Times
    anchors: Anchors


def _slurm_vrps(vrps: _Vrps, files: Sequence[SlurmFile], anchor: int) -> tuple[_Vrps, _FileCounts]:
    counts = np.zeros((2, len(files)), np.int64)
    row_asns = asn_column(vrps.rows)
    is_left = np.ones(len(vrps.rows), np.bool_)
    for number, file in enumerate(files):
        is_match = matches(vrps.rows, row_asns, file.prefix_filters)
        counts[0, number] = np.count_nonzero(is_match)
        is_left &= ~is_match
    rows, expires, anchors = vrps.rows[is_left], vrps.expires[is_left], vrps.anchors[is_left]

    asserted = [rows_of(file.vrps, vrps.rows.dtype) for file in files]
    counts[1] = [np.count_nonzero(~contains(rows, column)) for column in asserted]
    wanted = rows_of((vrp for file in files for vrp in file.vrps), vrps.rows.dtype)
    is_known = contains(rows, wanted)
    expires[np.searchsorted(rows, wanted[is_known])] = NEVER
    new = wanted[~is_known]
    places = np.searchsorted(rows, new)
    return _Vrps(
        np.insert(rows, places, new), np.insert(expires, places, NEVER), np.insert(anchors, places, anchor)
    ), counts


def matches(rows: Rows, row_asns: NDArray[np.uint32], filters: Iterable[PrefixFilter]) -> NDArray[np.bool_]:
    """Which rows, with the ASNs that are in them, any of the filters matches.

    The VRPs within a prefix are neighbours, between the first and the last row that its addresses could have. The
    filters of one prefix are taken together, and those without a prefix are filters of the whole column.
    """
    asns_of: defaultdict[Network | None, set[int | None]] = defaultdict(set)
    for entry in filters:
        if entry.prefix is None or entry.prefix.max_prefixlen == address_bytes(rows.dtype) * 8:
            asns_of[entry.prefix].add(entry.asn)
    is_match = np.zeros(len(rows), np.bool_)
    prefix_lengths = octets(rows)[:, -5]
    for prefix, wanted in asns_of.items():
        inside, length = slice(None), 0
        if prefix is not None:
            ends = (prefix.network_address.packed + bytes(6), prefix.broadcast_address.packed + b"\xff" * 6)
            start, stop = np.searchsorted(rows, np.frombuffer(b"".join(ends), rows.dtype))
            inside, length = slice(start, stop), prefix.prefixlen
        is_inside = prefix_lengths[inside] >= length
        if None not in wanted:
            is_inside &= np.isin(row_asns[inside], np.array([*wanted], np.uint32))
        is_match[inside] |= is_inside
    return is_match


def _slurm_keys(keys: Mapping[RouterKey, int], files: Sequence[SlurmFile]) -> tuple[dict[RouterKey, int], _FileCounts]:
    """The router keys and when each expires."""
    counts = np.zeros((2, len(files)), np.int64)
    left = dict(keys)
    for number, file in enumerate(files):
        filters = {(entry.asn, entry.ski) for entry in file.key_filters}
        for key in keys:
            if not filters.isdisjoint(((key.asn, None), (None, key.ski), (key.asn, key.ski))):
                counts[0, number] += 1
                left.pop(key, None)
    asserted = [set(file.router_keys) for file in files]
    counts[1] = [len(new - left.keys()) for new in asserted]
    return left | dict.fromkeys(set().union(*asserted), NEVER), counts


def _slurm_aspas(aspas: Mapping[Aspa, int], files: Sequence[SlurmFile]) -> tuple[dict[Aspa, int], _FileCounts, int]:
    """The ASPAs and when each expires, ascending by customer; and how many customers are left out as oversized."""
    counts = np.zeros((2, len(files)), np.int64)
    left = {aspa.customer_asn: aspa for aspa in aspas}
    matched = [left.keys() & {entry.customer_asn for entry in file.aspa_filters} for file in files]
    counts[0] = [len(customers) for customers in matched]
    for customer in set().union(*matched):
        del left[customer]

    lists_by_file = [_provider_lists(file.aspas, left) for file in files]
    lists = _provider_lists((aspa for file in files for aspa in file.aspas), left)
    unions = {customer: provider_union(of_customer) for customer, of_customer in lists.items()}
    # 8210bis §5.1: such an ASPA does not fit a PDU, and a cut one would be false.
    oversized = {customer for customer, union in unions.items() if len(union) > MAX_PROVIDERS}
    counts[1] = [
        sum(
            provider_union(of_customer) != of_customer[0]
            for customer, of_customer in own.items()
            if customer not in oversized
        )
        for own in lists_by_file
    ]
    made = {customer: Aspa(customer, unions[customer]) for customer in unions.keys() - oversized}
    times = {aspa.customer_asn: time for aspa, time in aspas.items() if aspa.customer_asn in left}
    results = {customer: aspa for customer, aspa in left.items() if customer not in oversized} | made
    return {results[customer]: times.get(customer, NEVER) for customer in sorted(results)}, counts, len(oversized)


def _provider_lists(asserted: Iterable[Aspa], left: Mapping[int, Aspa]) -> dict[int, list[tuple[int, ...]]]:
    """For each customer that is asserted: the providers that it is left with (maybe none), then those asserted."""
    lists: dict[int, list[tuple[int, ...]]] = {}
    for aspa in asserted:
        customer = aspa.customer_asn
        lists.setdefault(customer, [left[customer].provider_asns if customer in left else ()]).append(
            aspa.provider_asns
        )
    return lists
