"""SLURM on a table: what each filter removes, what each assertion adds, what is counted, and which files conflict."""

from __future__ import annotations

from ipaddress import ip_network
from time import perf_counter

import numpy as np
import pytest
from tests.examples import MAX_ASN, SKI, aspa, key, vrp
from tests.property.oracle import payload_of

from pyrtr.errors import PayloadError
from pyrtr.payload.slurm import (
    AspaFilter,
    KeyFilter,
    PrefixFilter,
    Slurmed,
    SlurmFile,
    apply_slurm,
    conflicts,
)
from pyrtr.payload.table import NEVER, NO_FACTS, NOTHING, Facts, PayloadTable, count_by_anchor
from pyrtr.payload.values import MAX_PROVIDERS

ENDS = 1_000


def facts_of(table: PayloadTable, anchors: tuple[str, ...] = ("arin", "ripe")) -> Facts:
    """Everything ends at `ENDS`, every VRP is the last anchor's."""
    columns = (table.ipv4, table.ipv6, table.router_keys, table.aspas)
    ipv4, ipv6, keys, aspas = (np.full(len(column), ENDS, np.int64) for column in columns)
    last = len(anchors) - 1
    return Facts(
        ipv4,
        ipv6,
        keys,
        aspas,
        np.full(len(ipv4), last, np.uint16),
        np.full(len(ipv6), last, np.uint16),
        anchors,
    )


def applied(payload, *files: SlurmFile, anchors: tuple[str, ...] = ("arin", "ripe")) -> Slurmed:
    table = PayloadTable.of(payload)
    return apply_slurm(table, facts_of(table, anchors), files)


def prefix_filter(prefix: str | None = None, asn: int | None = None) -> PrefixFilter:
    return PrefixFilter(None if prefix is None else ip_network(prefix), asn)


def file(name="ours", **members) -> SlurmFile:
    return SlurmFile(name, **members)


VRPS = (
    vrp("0.0.0.0/0", 32, 0),
    vrp("192.0.2.0/23", 24, 64496),  # around the next ones, at the same address
    vrp("192.0.2.0/24", 24, 64496),
    vrp("192.0.2.0/24", 24, 0),
    vrp("192.0.2.128/25", 32, 64497),
    vrp("192.0.3.0/24", 24, 64496),
    vrp("255.255.255.255/32", 32, MAX_ASN),
    vrp("::/0", 0, 64496),
    vrp("::ffff:192.0.2.0/120", 120, 64496),  # IPv4-mapped is IPv6
    vrp("2001:db8::/32", 48, 64496),
    vrp("2001:db8:0:1::/64", 64, 0),
    vrp("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 128, MAX_ASN),
)
KEYS = (key(64496), key(0), key(64496, ski=bytes(20)), key(64497, ski=b"\xff" * 20))
ASPAS = (aspa(64496, 64497), aspa(64497, 0), aspa(MAX_ASN, 1))
PAYLOAD = (*VRPS, *KEYS, *ASPAS)

# A filter, and the places in VRPS of what it removes.
PREFIX_FILTERS = [
    (prefix_filter("0.0.0.0/0"), {0, 1, 2, 3, 4, 5, 6}),
    (prefix_filter("::/0"), {7, 8, 9, 10, 11}),
    (prefix_filter("128.0.0.0/1"), {1, 2, 3, 4, 5, 6}),
    (prefix_filter("192.0.2.0/23"), {1, 2, 3, 4, 5}),
    (prefix_filter("192.0.2.0/24"), {2, 3, 4}),  # the VRP's prefix counts, whatever its max length
    (prefix_filter("192.0.2.0/25"), set()),
    (prefix_filter("192.0.2.128/25"), {4}),
    (prefix_filter("255.255.255.255/32"), {6}),
    (prefix_filter("203.0.113.0/24"), set()),
    (prefix_filter("2001:db8::/32"), {9, 10}),
    (prefix_filter("2001:db8::/33"), {10}),
    (prefix_filter("::ffff:0:0/96"), {8}),
    (prefix_filter("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"), {11}),
    (prefix_filter(asn=64496), {1, 2, 5, 7, 8, 9}),
    (prefix_filter(asn=0), {0, 3, 10}),
    (prefix_filter(asn=MAX_ASN), {6, 11}),
    (prefix_filter(asn=64511), set()),
    (prefix_filter("192.0.2.0/24", 64496), {2}),
    (prefix_filter("192.0.2.0/24", 0), {3}),
    (prefix_filter("::/0", 0), {10}),
    (prefix_filter("0.0.0.0/0", 64511), set()),
]
KEY_FILTERS = [
    (KeyFilter(asn=64496), {0, 2}),
    (KeyFilter(asn=0), {1}),
    (KeyFilter(asn=64511), set()),
    (KeyFilter(ski=SKI), {0, 1}),
    (KeyFilter(ski=bytes(20)), {2}),
    (KeyFilter(64496, SKI), {0}),
    (KeyFilter(64497, SKI), set()),
]
ASPA_FILTERS = [(AspaFilter(64496), {0}), (AspaFilter(MAX_ASN), {2}), (AspaFilter(0), set()), (AspaFilter(1), set())]
FILTERS = [
    *[("vrps", VRPS, {"prefix_filters": (entry,)}, removed) for entry, removed in PREFIX_FILTERS],
    *[("router_keys", KEYS, {"key_filters": (entry,)}, removed) for entry, removed in KEY_FILTERS],
    *[("aspas", ASPAS, {"aspa_filters": (entry,)}, removed) for entry, removed in ASPA_FILTERS],
]


@pytest.mark.parametrize(("kind", "values", "members", "removed"), FILTERS, ids=[str(row[2])[:90] for row in FILTERS])
def test_a_filter_removes_what_it_matches_and_touches_no_other_kind(kind, values, members, removed):
    result = applied(PAYLOAD, file(**members))
    gone = {values[place] for place in removed}
    assert result.table == PayloadTable.of(value for value in PAYLOAD if value not in gone)
    assert result.filtered == {"ours": {"vrps": 0, "router_keys": 0, "aspas": 0} | {kind: len(removed)}}
    assert result.added == {"ours": {"vrps": 0, "router_keys": 0, "aspas": 0}}
    assert result.facts.next_expiry == ENDS


@pytest.mark.parametrize("make", [PrefixFilter, KeyFilter])
def test_a_filter_that_would_match_everything_is_no_filter(make):
    with pytest.raises(PayloadError, match="expected one of them, or both"):
        make()


NEW = (vrp("203.0.113.0/24", 24, 64496), vrp("2001:db8:ffff::/48", 48, 0), key(64511), aspa(64511, 64496))
ASSERTED = file(vrps=NEW[:2], router_keys=NEW[2:3], aspas=NEW[3:])


def test_assertions_are_added_and_never_expire():
    result = applied(PAYLOAD, ASSERTED)
    assert result.table == PayloadTable.of([*PAYLOAD, *NEW])
    ends = dict(zip(payload_of(result.table), times_of(result), strict=True))
    assert {value for value, time in ends.items() if time == NEVER} == set(NEW)
    assert count_by_anchor(result.facts) == {"arin": 0, "ripe": len(VRPS), "slurm": 2}
    assert {str(column.dtype) for column in (result.facts.ipv4_anchors, result.facts.ipv6_anchors)} == {"uint16"}
    assert result.added == {"ours": {"vrps": 2, "router_keys": 1, "aspas": 1}}


def times_of(result: Slurmed) -> list[int]:
    facts = result.facts
    columns = (facts.ipv4_expires, facts.ipv6_expires, facts.router_keys_expires, facts.aspas_expires)
    return [time for column in columns for time in column.tolist()]


def test_an_empty_table_takes_assertions():
    result = apply_slurm(NOTHING, NO_FACTS, [ASSERTED])
    assert result.table == PayloadTable.of(NEW)
    assert set(times_of(result)) == {NEVER}
    assert count_by_anchor(result.facts) == {"slurm": 2}


def test_nothing_of_all_files_changes_nothing():
    for files in ((), (file(),)):
        result = applied(PAYLOAD, *files)
        assert result.table == PayloadTable.of(PAYLOAD)
        assert result.facts.anchors == ("arin", "ripe")
    assert applied((), file(prefix_filters=(prefix_filter("::/0"), prefix_filter(asn=0)))).table == PayloadTable.of()


def test_what_is_validated_too_is_there_once_and_never_expires():
    known = (VRPS[2], VRPS[9], KEYS[0])
    result = applied(PAYLOAD, file(vrps=(known[0], known[1], known[0]), router_keys=(known[2], known[2])))
    assert payload_of(result.table) == payload_of(PayloadTable.of(PAYLOAD))
    ends = dict(zip(payload_of(result.table), times_of(result), strict=True))
    assert {value for value, time in ends.items() if time == NEVER} == set(known)
    assert count_by_anchor(result.facts) == {"arin": 0, "ripe": len(VRPS), "slurm": 0}
    assert result.added == {"ours": {"vrps": 0, "router_keys": 0, "aspas": 0}}


def test_a_trust_anchor_may_have_the_name():
    result = applied(PAYLOAD, ASSERTED, anchors=("slurm", "zz"))
    assert count_by_anchor(result.facts) == {"slurm": 2, "zz": len(VRPS)}


def test_assertions_are_immune_to_the_filters_of_all_files():
    filters = {
        "prefix_filters": (prefix_filter("0.0.0.0/0"), prefix_filter("::/0"), prefix_filter(asn=64496)),
        "key_filters": (KeyFilter(asn=64511),),
        "aspa_filters": (AspaFilter(64511),),
    }
    for files in ((ASSERTED, file("theirs", **filters)), (file("theirs", **filters), ASSERTED)):
        assert applied(PAYLOAD, *files).table == PayloadTable.of([*KEYS, *ASPAS, *NEW])


def test_a_filter_and_an_assertion_replace():
    known = VRPS[2]
    result = applied(PAYLOAD, file(prefix_filters=(PrefixFilter(known.prefix),), vrps=(known,)))
    assert set(payload_of(result.table)) == set(PAYLOAD) - {VRPS[3], VRPS[4]}
    assert (result.filtered["ours"]["vrps"], result.added["ours"]["vrps"]) == (3, 1)
    assert count_by_anchor(result.facts)["slurm"] == 1
    replaced = applied(PAYLOAD, file(aspa_filters=(AspaFilter(64496),), aspas=(aspa(64496, 64499),)))
    assert replaced.table.aspas[0] == aspa(64496, 64499)
    assert replaced.facts.aspas_expires.tolist() == [NEVER, ENDS, ENDS]
    assert (replaced.filtered["ours"]["aspas"], replaced.added["ours"]["aspas"]) == (1, 1)


def test_what_two_files_match_or_assert_counts_for_both():
    one, two = (
        file(
            name,
            prefix_filters=(prefix_filter(asn=0), prefix_filter(asn=0), prefix_filter("0.0.0.0/0", 0)),
            key_filters=(KeyFilter(ski=SKI), KeyFilter(asn=0)),
            vrps=(NEW[0],) * 2,
            router_keys=(NEW[2],) * 2,
        )
        for name in ("one", "two")
    )
    result = applied(PAYLOAD, one, two)
    assert result.filtered == {name: {"vrps": 3, "router_keys": 2, "aspas": 0} for name in ("one", "two")}
    assert result.added == {name: {"vrps": 1, "router_keys": 1, "aspas": 0} for name in ("one", "two")}
    left = [value for value in PAYLOAD if value not in (VRPS[0], VRPS[3], VRPS[10], KEYS[0], KEYS[1])]
    assert result.table == PayloadTable.of([*left, NEW[0], NEW[2]])


# The providers that are validated, those asserted (several times), and what becomes of them.
UNIONS = [
    ((64497,), [(64498,)], (64497, 64498)),
    ((64497,), [(64497,)], (64497,)),
    ((64497, 64499), [(64498,), (1, 64499)], (1, 64497, 64498, 64499)),
    ((0,), [(64497,)], (64497,)),
    ((64497,), [(0,)], (64497,)),
    ((0,), [(0,)], (0,)),
    (None, [(0,), (64497,)], (64497,)),
    (None, [(64499,), (64497,), (64497,)], (64497, 64499)),
    (None, [(0,)], (0,)),
]


@pytest.mark.parametrize(("validated", "asserted", "union"), UNIONS)
def test_aspas_of_a_customer_are_united(validated, asserted, union):
    payload = [] if validated is None else [aspa(64496, *validated)]
    for files in (
        [file(aspas=tuple(aspa(64496, *providers) for providers in asserted))],
        [file(str(number), aspas=(aspa(64496, *providers),)) for number, providers in enumerate(asserted)],
    ):
        result = applied(payload, *files)
        assert result.table.aspas == (aspa(64496, *union),)
        assert result.facts.aspas_expires.tolist() == [NEVER if validated is None else ENDS]
    counts = applied(payload, file(aspas=tuple(aspa(64496, *providers) for providers in asserted))).added["ours"]
    assert counts["aspas"] == (union != validated)


def test_an_aspa_that_grows_too_large_is_left_out():
    many = tuple(range(1, MAX_PROVIDERS + 1))
    fits = applied([aspa(64500, *many[1:]), *ASPAS], file(aspas=(aspa(64500, 1), aspa(64496, 7))))
    assert (len(fits.table.aspas), fits.oversized, fits.added["ours"]["aspas"]) == (4, 0, 2)
    result = applied([aspa(64500, *many), *ASPAS], file(aspas=(aspa(64500, 2**31), aspa(64496, 7))))
    assert result.table.aspas == (aspa(64496, 7, 64497), *ASPAS[1:])
    assert result.facts.aspas_expires.tolist() == [ENDS] * 3
    assert (result.oversized, result.added["ours"]["aspas"]) == (1, 1)


def test_the_table_that_is_given_is_not_changed():
    table = PayloadTable.of(PAYLOAD)
    facts = facts_of(table)
    for column in (facts.ipv4_expires, facts.ipv6_expires, facts.ipv4_anchors, facts.ipv6_anchors):
        column.flags.writeable = False
    apply_slurm(table, facts, [file(vrps=VRPS)])
    assert facts.next_expiry == ENDS


def filters(*prefixes: str) -> dict[str, tuple[PrefixFilter, ...]]:
    return {"prefix_filters": tuple(map(prefix_filter, prefixes))}


def vrps(*prefixes: str, asn: int = 64496):
    return {"vrps": tuple(vrp(prefix, int(prefix.partition("/")[2]), asn) for prefix in prefixes)}


# What is in a.json and in b.json, and the sentences about it.
CONFLICTS = [
    (filters("192.0.2.0/24"), filters("192.0.2.0/24"), ["192.0.2.0/24 in b.json lies within 192.0.2.0/24 in a.json"]),
    (filters("192.0.2.0/24"), vrps("192.0.2.0/25"), ["192.0.2.0/25 in b.json lies within 192.0.2.0/24 in a.json"]),
    (vrps("192.0.2.0/25"), vrps("192.0.2.0/24"), ["192.0.2.0/25 in a.json lies within 192.0.2.0/24 in b.json"]),
    (vrps("::/0"), filters("2001:db8::/32"), ["2001:db8::/32 in b.json lies within ::/0 in a.json"]),
    (
        filters("192.0.2.0/24", "192.0.2.0/25", "198.51.100.0/24"),  # the nearest prefix of the other file is named
        vrps("192.0.0.0/8", "192.0.2.0/26"),
        [
            "192.0.2.0/24 in a.json lies within 192.0.0.0/8 in b.json",
            "192.0.2.0/25 in a.json lies within 192.0.0.0/8 in b.json",
            "192.0.2.0/26 in b.json lies within 192.0.2.0/25 in a.json",
        ],
    ),
    (filters("192.0.2.0/24"), filters("192.0.3.0/24", "192.0.1.0/24"), []),
    (filters("0.0.0.0/0"), filters("::/0"), []),
    (filters("192.0.2.0/24", "192.0.2.0/24", "192.0.2.0/25") | vrps("192.0.2.0/24"), {}, []),
    ({"prefix_filters": (prefix_filter(asn=64496),)}, {"prefix_filters": (prefix_filter(asn=64496),)}, []),
    ({"prefix_filters": (prefix_filter(asn=64496),)}, vrps("0.0.0.0/0", asn=64496), []),
    (
        {"key_filters": (KeyFilter(64496),)},
        {"router_keys": (key(64496),)},
        ["AS64496 is in filters or assertions for router keys of a.json and of b.json"],
    ),
    (
        {"key_filters": (KeyFilter(0, SKI),)},
        {"key_filters": (KeyFilter(0, bytes(20)),)},
        ["AS0 is in filters or assertions for router keys of a.json and of b.json"],
    ),
    ({"key_filters": (KeyFilter(ski=SKI),)}, {"key_filters": (KeyFilter(ski=SKI),), "router_keys": (key(1),)}, []),
    ({"key_filters": (KeyFilter(1),) * 2, "router_keys": (key(1), key(1, ski=bytes(20)))}, {}, []),
    (
        {"aspa_filters": (AspaFilter(64496),)},
        {"aspas": (aspa(64496, 64497),)},
        ["AS64496 is in filters or assertions for ASPAs of a.json and of b.json"],
    ),
    ({"aspa_filters": (AspaFilter(64496),)}, {"aspas": (aspa(64497, 64496),), "key_filters": (KeyFilter(64496),)}, []),
    ({"aspa_filters": (AspaFilter(64496),), "aspas": (aspa(64496, 64497),)}, {}, []),
]


@pytest.mark.parametrize(("one", "other", "sentences"), CONFLICTS)
def test_two_files_conflict(one, other, sentences):
    assert conflicts([file("a.json", **one), file("b.json", **other)]) == sentences
    assert bool(conflicts([file("b.json", **other), file("c.json"), file("a.json", **one)])) == bool(sentences)


def test_of_many_files_every_one_that_disputes_is_named():
    found = conflicts([file(name, **filters("192.0.2.0/24")) for name in "abcd"])
    assert [sentence.split()[2] for sentence in found] == ["b", "c", "d"]


def test_large_files_are_compared_in_no_time():
    prefixes = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(5_000)]
    files = [file(name, **filters("0.0.0.0/0"), **vrps(*prefixes)) for name in "ab"]
    start = perf_counter()
    assert len(conflicts(files)) == 10_001
    assert perf_counter() - start < 5  # every pair would take minutes
