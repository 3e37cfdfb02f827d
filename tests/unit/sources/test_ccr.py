"""CCR documents: what becomes of their entries, and what refuses them whole."""

from __future__ import annotations

import pytest
from tests.examples import MAX_ASN, SKI, aspa, key, vrp
from tests.property.oracle import payload_of
from tests.unit.sources import canonical
from tests.unit.sources.canonical import address, aspa_set, ccr, der, family, key_set, roa_set, sequence, state
from tests.unit.sources.documents import NOW

from pyrtr.errors import SourceError
from pyrtr.payload.table import NEVER, PayloadTable
from pyrtr.payload.values import MAX_PROVIDERS, VRP, Aspa, RouterKey
from pyrtr.sources.ccr import read

EMPTY = state(sequence())


def of_roas(*roa_sets: bytes) -> bytes:
    return ccr(vrps=state(sequence(*roa_sets)))


def of_aspas(*aspa_sets: bytes) -> bytes:
    return ccr(vrps=EMPTY, vaps=state(sequence(*aspa_sets)))


def of_keys(*key_sets: bytes) -> bytes:
    return ccr(vrps=EMPTY, rks=state(sequence(*key_sets)))


def of_address(*parts: bytes, afi: int = 1, asn: int = 64496) -> bytes:
    return of_roas(roa_set(asn, family(afi, *parts)))


def bits(octets: str, unused: int = 0) -> bytes:
    return sequence(der(0x03, bytes((unused,)) + bytes.fromhex(octets)))


WHOLE = ccr(
    mfts=state(sequence(sequence(canonical.octets(bytes(32)))), canonical.time(b"20261123030000Z")),
    vrps=state(
        sequence(
            roa_set(0, family(1, address("192.0.2.0/24"))),
            roa_set(
                64496,
                family(1, address("192.0.2.0/24"), address("198.51.100.0/25", 26)),
                family(2, address("2001:db8::/32", 48)),
            ),
        )
    ),
    vaps=state(sequence(aspa_set(64496, 64497, 64498), aspa_set(64511, 0))),
    tas=state(sequence(canonical.octets(SKI))),
    rks=state(sequence(key_set(64496, canonical.router_key()))),
)
PAYLOAD: tuple[VRP | RouterKey | Aspa, ...] = (
    vrp("192.0.2.0/24", 24, 0),
    vrp("192.0.2.0/24", 24, 64496),
    vrp("198.51.100.0/25", 26, 64496),
    vrp("2001:db8::/32", 48, 64496),
    key(64496),
    aspa(64496, 64497, 64498),
    aspa(64511, 0),
)


def test_a_document_is_read():
    loaded = read(WHOLE, now=NOW)
    assert loaded.table == PayloadTable.of(PAYLOAD)
    assert loaded.records == {"vrps": 4, "router_keys": 1, "aspas": 2}
    assert (loaded.dropped, loaded.build_time) == ({}, NOW)
    assert loaded.metadata == {"producedAt": "2026-11-23T03:22:35Z"}
    facts = loaded.facts
    for column in (facts.ipv4_expires, facts.ipv6_expires, facts.router_keys_expires, facts.aspas_expires):
        assert set(column.tolist()) == {NEVER}
    assert facts.anchors == ("",)


ENTRIES = {
    "all of IPv4": (of_address(address("0.0.0.0/0")), vrp("0.0.0.0/0", 0, 64496)),
    "a host": (of_address(address("192.0.2.1/32")), vrp("192.0.2.1/32", 32, 64496)),
    "all of IPv6": (of_address(address("::/0", 128), afi=2), vrp("::/0", 128, 64496)),
    "an address of few octets": (of_address(bits("c0", 2)), vrp("192.0.0.0/6", 6, 64496)),
    "the largest ASN": (of_address(address("192.0.2.0/24"), asn=MAX_ASN), vrp("192.0.2.0/24", 24, MAX_ASN)),
    "an address of too many octets": (of_address(bits("c000020000")), "prefix"),
    "an IPv6 address in IPv4": (of_address(address("2001:db8::/48")), "prefix"),
    "an IPv6 address of too many octets": (of_address(bits("20" * 17), afi=2), "prefix"),
    "a max length below": (of_address(address("192.0.2.0/24", 23)), "max_length"),
    "a max length above": (of_address(address("192.0.2.0/24", 33)), "max_length"),
    "a max length above 64 bits": (of_address(address("192.0.2.0/24", 2**70)), "max_length"),
    "a negative max length": (of_address(address("192.0.2.0/24", -1)), "max_length"),
    "a negative ASN": (of_address(address("192.0.2.0/24"), asn=-1), "asn"),
    "too large an ASN": (of_address(address("192.0.2.0/24"), asn=MAX_ASN + 1), "asn"),
    "an ASN above 64 bits": (of_address(address("192.0.2.0/24"), asn=2**70), "asn"),
    "another address family": (of_address(address("192.0.2.0/24"), afi=25), "malformed"),
    "an ASPA": (of_aspas(aspa_set(64496, 64498, 64497)), aspa(64496, 64497, 64498)),
    "AS 0 in company": (of_aspas(aspa_set(64496, 0, 64497)), aspa(64496, 64497)),
    "no providers": (of_aspas(aspa_set(64496)), "providers"),
    "too many providers": (of_aspas(aspa_set(64496, *range(1, MAX_PROVIDERS + 2))), "providers"),
    "a provider that is no ASN": (of_aspas(aspa_set(64496, 64497, 2**32)), "asn"),
    "customer AS 0": (of_aspas(aspa_set(0, 64497)), "customer"),
    "a negative customer": (of_aspas(aspa_set(-1, 64497)), "customer"),
    "a customer that is no ASN": (of_aspas(aspa_set(2**32, 64497)), "customer"),
    "a router key": (of_keys(key_set(MAX_ASN, canonical.router_key())), key(MAX_ASN)),
    "a key of no SEQUENCE": (of_keys(key_set(64496, canonical.router_key(spki=bytes.fromhex("020101")))), "public_key"),
    "a key identifier of 19 octets": (of_keys(key_set(64496, canonical.router_key(ski=bytes(19)))), "ski"),
    "a key of no ASN": (of_keys(key_set(-1, canonical.router_key())), "asn"),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_an_entry_is_taken_or_dropped(case):
    body, expected = ENTRIES[case]
    loaded = read(body, now=NOW)
    if isinstance(expected, str):
        assert (payload_of(loaded.table), loaded.dropped) == ([], {expected: 1})
    else:
        assert (payload_of(loaded.table), loaded.dropped) == ([expected], {})
    assert sum(loaded.records.values()) == 1


def test_entries_that_are_the_same_or_out_of_order_are_sorted():
    one, other = address("192.0.2.0/24"), address("192.0.2.0/24", 24)
    loaded = read(of_roas(roa_set(64497, family(1, one)), roa_set(64496, family(1, other, one))), now=NOW)
    assert payload_of(loaded.table) == [vrp("192.0.2.0/24", 24, 64496), vrp("192.0.2.0/24", 24, 64497)]
    assert loaded.dropped == {"duplicate": 1}


def spoiled(component: bytes) -> bytes:
    """The last octet of its hash."""
    return component[:-1] + bytes((component[-1] ^ 1,))


REFUSED = {
    "nothing": (b"", "not a whole CCR"),
    "JSON": (b'{"roas": []}', "not a whole CCR"),
    "another content type": (
        ccr(content_type=bytes.fromhex("060b2a864886f70d0109100118"), vrps=EMPTY),
        "content type 1.2.840.113549.1.9.16.1.24: a CCR has 1.2.840.113549.1.9.16.1.54",
    ),
    "version 1": (ccr(version=bytes.fromhex("a003020101"), vrps=EMPTY), "CCR version 1: only version 0 is known"),
    "version 0, which is left out": (ccr(version=bytes.fromhex("a003020100"), vrps=EMPTY), "not a whole CCR"),
    "another hash": (
        ccr(algorithm=bytes.fromhex("300b0609608648016503040202"), vrps=EMPTY),
        "hash algorithm 2.16.840.1.101.3.4.2.2: a CCR has 2.16.840.1.101.3.4.2.1, SHA-256",
    ),
    "a hash with parameters": (
        ccr(algorithm=bytes.fromhex("300d06096086480165030402010500"), vrps=EMPTY),
        "not a whole",
    ),
    "no time": (ccr(produced_at=b"20261323032235Z", vrps=EMPTY), "not a whole CCR"),
    "no VRPs": (ccr(vaps=EMPTY), "no vrps in this CCR"),
    "no component": (ccr(), "no vrps in this CCR"),
    "trailing octets": (WHOLE + b"\0", "not a whole CCR"),
    "a damaged hash of mfts": (
        ccr(mfts=spoiled(state(sequence(), canonical.time(canonical.PRODUCED_AT))), vrps=EMPTY),
        "mfts: the payload does not fit its hash: the file is damaged",
    ),
    **{
        f"a damaged hash of {name}": (
            ccr(**{"vrps": EMPTY} | {name: spoiled(EMPTY)}),
            f"{name}: the payload does not fit",
        )
        for name in ("vrps", "vaps", "tas", "rks")
    },
    **{
        f"{name} of another shape": (ccr(**{"vrps": EMPTY} | {name: state(sequence(integer))}), "not a whole CCR")
        for name in ("vrps", "vaps", "rks")
        for integer in (canonical.integer(1),)
    },
    "a bit in use beyond the prefix": (of_address(bits("c0ff", 1)), "not a whole CCR"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_document_is_refused_whole(case):
    body, reason = REFUSED[case]
    with pytest.raises(SourceError) as caught:
        read(body, now=NOW)
    assert reason in str(caught.value)


def test_a_document_that_is_cut_or_spoiled_at_any_octet_is_refused():
    """Whatever is changed within a payload no longer fits its hash."""
    for size in range(len(WHOLE)):
        with pytest.raises(SourceError):
            read(WHOLE[:size], now=NOW)
    produced_at = WHOLE.index(canonical.PRODUCED_AT)
    is_time = range(produced_at, produced_at + len(canonical.PRODUCED_AT))
    update = WHOLE.index(b"20261123030000Z")
    for place in range(len(WHOLE)):
        if place in is_time or update <= place < update + len(b"20261123030000Z"):
            continue  # no hash covers them
        with pytest.raises(SourceError):
            read(WHOLE[:place] + bytes((WHOLE[place] ^ 1,)) + WHOLE[place + 1 :], now=NOW)
