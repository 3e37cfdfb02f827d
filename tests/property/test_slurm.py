"""SLURM against plain sets and dicts, and its reader against any octets."""

from __future__ import annotations

import contextlib
import json
from ipaddress import ip_network
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.examples import NASTY, SKI, Payload, key
from tests.property.oracle import payload_of
from tests.property.strategies import asns, aspas, payload, router_keys, vrps

from pyrtr.errors import SourceError
from pyrtr.payload.slurm import AspaFilter, KeyFilter, Network, PrefixFilter, SlurmFile, apply_slurm, conflicts
from pyrtr.payload.table import NEVER, Facts, PayloadTable
from pyrtr.payload.values import VRP, Aspa, RouterKey
from pyrtr.sources.records.slurm import is_slurm, parse

# Few of each, so that filters, assertions and what is validated meet.
some_asns = st.sampled_from((0, 1, 0x100, 0xFB00, 64496))
some_prefixes = st.sampled_from(
    [ip_network(text) for text in ("0.0.0.0/0", "192.0.2.0/23", "192.0.2.0/24", "192.0.2.0/25", "192.0.2.128/25")]
    + [ip_network(text) for text in ("255.255.255.255/32", "::/0", "2001:db8::/32", "2001:db8::/48", "2001:db8::1/128")]
)


@st.composite
def some_vrps(draw: st.DrawFn) -> VRP:
    prefix = draw(some_prefixes)
    return VRP(prefix, draw(st.sampled_from((prefix.prefixlen, prefix.max_prefixlen))), draw(some_asns))


some_keys = st.builds(key, some_asns, ski=st.sampled_from((bytes(20), SKI)))
some_aspas = st.builds(Aspa, st.sampled_from((1, 0x100)), st.sampled_from(((0,), (64496,), (64496, 64497), (64498,))))
validated = st.lists(st.sampled_from(NASTY) | some_vrps() | some_keys | some_aspas | payload, max_size=20)

prefix_filters = st.builds(PrefixFilter, some_prefixes | vrps().map(lambda vrp: vrp.prefix), st.none() | some_asns)
asn_filters = st.builds(PrefixFilter, st.none(), some_asns | asns)
skis = st.sampled_from((bytes(20), SKI, b"\xff" * 20))
key_filters = st.builds(KeyFilter, some_asns, st.none() | skis) | st.builds(KeyFilter, st.none(), skis)
aspa_filters = st.builds(AspaFilter, st.sampled_from((0, 1, 0x100, 64496)))


def tuples_of(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(values, max_size=3).map(tuple)


def files(name: str) -> st.SearchStrategy[SlurmFile]:
    return st.builds(
        SlurmFile,
        st.just(name),
        tuples_of(prefix_filters | asn_filters),
        tuples_of(key_filters),
        tuples_of(aspa_filters),
        tuples_of(some_vrps() | vrps()),
        tuples_of(some_keys | router_keys),
        tuples_of(some_aspas | aspas),
    )


file_sets = st.integers(0, 3).flatmap(lambda count: st.tuples(*(files("abc"[number]) for number in range(count))))


def is_matched(value: Payload, file: SlurmFile) -> bool:
    match value:
        case VRP(prefix, _, asn):
            return any(
                (entry.asn is None or entry.asn == asn)
                and (
                    entry.prefix is None or (entry.prefix.version == prefix.version and prefix.subnet_of(entry.prefix))  # type: ignore[arg-type]
                )
                for entry in file.prefix_filters
            )
        case RouterKey(ski, asn, _):
            return any(entry.asn in (None, asn) and entry.ski in (None, ski) for entry in file.key_filters)
        case Aspa(customer, _):
            return any(entry.customer_asn == customer for entry in file.aspa_filters)


def added_to(left: set[Payload], asserted: tuple[Payload, ...]) -> set[Payload]:
    """A set with assertions; those of a customer are one, and AS 0 stands alone."""
    providers: dict[int, set[int]] = {}
    for value in (*left, *asserted):
        if isinstance(value, Aspa):
            providers.setdefault(value.customer_asn, set()).update(value.provider_asns)
    others = {value for value in (*left, *asserted) if not isinstance(value, Aspa)}
    return others | {Aspa(customer, tuple(sorted(asns - {0} or {0}))) for customer, asns in providers.items()}


KINDS = {"vrps": VRP, "router_keys": RouterKey, "aspas": Aspa}


def by_kind(values: set[Payload]) -> dict[str, int]:
    return {kind: sum(isinstance(value, type_) for value in values) for kind, type_ in KINDS.items()}


def asserted_by(file: SlurmFile) -> tuple[Payload, ...]:
    return (*file.vrps, *file.router_keys, *file.aspas)


def identity(value: Payload) -> object:
    return value.customer_asn if isinstance(value, Aspa) else value


@given(validated, file_sets)
def test_filters_and_assertions_do_to_a_table_what_they_do_to_a_set(values, slurm_files):
    table = PayloadTable.of(values)
    before = payload_of(table)
    numbers = iter(range(1, len(before) + 1))  # when each ends, all different
    ends = dict(zip(before, numbers, strict=True))
    sizes = (len(table.ipv4), len(table.ipv6), len(table.router_keys), len(table.aspas))
    columns = np.split(np.arange(1, len(before) + 1), np.cumsum(sizes)[:-1])
    anchors = [(np.arange(size) % 2).astype(np.uint16) for size in sizes[:2]]
    anchor_of = dict(zip(before, [("arin", "ripe")[code] for column in anchors for code in column], strict=False))
    facts = Facts(*columns, *anchors, ("arin", "ripe"))  # type: ignore[arg-type, call-arg]  # as many as there are
    result = apply_slurm(table, facts, slurm_files)

    left = {value for value in before if not any(is_matched(value, file) for file in slurm_files)}
    after = added_to(left, tuple(value for file in slurm_files for value in asserted_by(file)))
    assert result.table == PayloadTable.of(after)
    assert len(payload_of(result.table)) == len(after)
    assert result.oversized == 0
    for file in slurm_files:
        assert result.filtered[file.name] == by_kind({value for value in before if is_matched(value, file)})
        assert result.added[file.name] == by_kind(added_to(left, asserted_by(file)) - left)

    facts = result.facts
    times = (facts.ipv4_expires, facts.ipv6_expires, facts.router_keys_expires, facts.aspas_expires)
    asserted = {value for file in slurm_files for value in asserted_by(file)}
    ends_of = {identity(value): ends[value] for value in left}
    for value, time in zip(payload_of(result.table), np.concatenate(times).tolist(), strict=True):
        if isinstance(value, Aspa):
            assert time == ends_of.get(value.customer_asn, NEVER)
        else:
            assert time == (NEVER if value in asserted else ends_of[value])
    codes = np.concatenate((facts.ipv4_anchors, facts.ipv6_anchors)).tolist()
    for value, code in zip(payload_of(result.table), codes, strict=False):
        assert facts.anchors[code] == (anchor_of[value] if value in left else "slurm")


def prefixes_in(file: SlurmFile) -> set[Network]:
    return {vrp.prefix for vrp in file.vrps} | {entry.prefix for entry in file.prefix_filters if entry.prefix}


def key_asns_in(file: SlurmFile) -> set[int]:
    return {value.asn for value in file.router_keys} | {
        entry.asn for entry in file.key_filters if entry.asn is not None
    }


def customers_in(file: SlurmFile) -> set[int]:
    return {value.customer_asn for value in file.aspas} | {entry.customer_asn for entry in file.aspa_filters}


def dispute(one: SlurmFile, other: SlurmFile) -> bool:
    return (
        any(
            first.version == second.version and first.overlaps(second)
            for first in prefixes_in(one)
            for second in prefixes_in(other)
        )
        or not key_asns_in(one).isdisjoint(key_asns_in(other))
        or not customers_in(one).isdisjoint(customers_in(other))
    )


@given(file_sets)
def test_files_conflict_if_two_of_them_use_the_same(slurm_files):
    pairs = {frozenset((one.name, other.name)) for one, other in combinations(slurm_files, 2) if dispute(one, other)}
    found = conflicts(slurm_files)
    assert bool(found) == bool(pairs)
    assert {frozenset(sentence.split()) & set("abc") for sentence in found} <= pairs


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
usable = st.sampled_from(
    (1, 64496, "192.0.2.0/24", "2001:db8::/32", "ABEiM0RVZneImaq7zN3u/wEjRWc", "MAMCASo=", [64497])
)
members = ("prefix", "asn", "SKI", "customerAsn", "maxPrefixLength", "routerPublicKey", "providerAsns", "comment")
entries = st.dictionaries(st.sampled_from(members) | st.text(max_size=3), usable | plain, max_size=4)


def sections(what: str) -> st.SearchStrategy:
    lists = st.lists(entries | plain, max_size=3) | plain
    return st.fixed_dictionaries({}, optional={f"{kind}{what}": lists for kind in ("prefix", "bgpsec", "aspa")})


documents = st.fixed_dictionaries(
    {},
    optional={
        "slurmVersion": st.sampled_from((1, 2)) | plain,
        "validationOutputFilters": sections("Filters") | plain,
        "locallyAddedAssertions": sections("Assertions") | plain,
    },
).map(lambda document: json.dumps(document).encode())


@given(documents | st.binary(max_size=60) | st.text('{}[]":,slurmVersion1e.', max_size=60).map(str.encode))
def test_any_octets_are_a_file_or_refused(body):
    is_slurm(body)
    with contextlib.suppress(SourceError):
        parse("any.json", body)
