"""Payload, tables and PDUs to draw from, with many values that meet again in the next table."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from hypothesis import strategies as st
from tests.examples import MAX_ASN, NASTY

from pyrtr.payload.values import VRP, Aspa, RouterKey
from pyrtr.wire.enums import Version
from pyrtr.wire.pdu import (
    AspaAnnounce,
    AspaWithdraw,
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorReport,
    Key,
    Prefix,
    ResetQuery,
    SerialNotify,
    SerialQuery,
    Timing,
)

FAMILIES: tuple[tuple[type[IPv4Network] | type[IPv6Network], int], ...] = ((IPv4Network, 32), (IPv6Network, 128))

uint16 = st.integers(0, 2**16 - 1)
uint32 = st.integers(0, 2**32 - 1)
asns = st.sampled_from((0, 1, 0x100, 0xFB00, 64496, 0x10000, 0xFF000000, MAX_ASN)) | uint32
versions = st.sampled_from(Version)


@st.composite
def vrps(draw: st.DrawFn) -> VRP:
    network, bits = draw(st.sampled_from(FAMILIES))
    prefix_length = draw(st.integers(0, bits))
    address = draw(st.integers(0, 2**prefix_length - 1)) << (bits - prefix_length)
    return VRP(network((address, prefix_length)), draw(st.integers(prefix_length, bits)), draw(asns))


def der_sequence(contents: bytes) -> bytes:
    """For up to 255 octets."""
    length = bytes((len(contents),)) if len(contents) < 0x80 else bytes((0x81, len(contents)))
    return b"\x30" + length + contents


router_keys = st.builds(
    RouterKey,
    ski=st.sampled_from((bytes(20), b"\x80" + bytes(19), b"\xff" * 20)) | st.binary(min_size=20, max_size=20),
    asn=asns,
    spki=(st.binary(max_size=4) | st.binary(max_size=200)).map(der_sequence),
)
provider_lists = st.just((0,)) | st.sets(st.integers(1, MAX_ASN), min_size=1, max_size=5).map(
    lambda s: tuple(sorted(s))
)
aspas = st.builds(Aspa, asns.filter(bool), provider_lists)
payload = st.sampled_from(NASTY) | vrps() | router_keys | aspas
payload_lists = st.lists(st.sampled_from(NASTY), max_size=16) | st.lists(payload, max_size=8)
histories = st.lists(payload_lists, min_size=2, max_size=7)  # what one table after the other holds


def pdus(version: Version) -> st.SearchStrategy:
    """Any PDU of a version."""
    timings = st.none() if version is Version.V0 else st.builds(Timing, uint32, uint32, uint32)
    kinds = [
        st.builds(SerialNotify, uint16, uint32),
        st.builds(SerialQuery, uint16, uint32),
        st.builds(ResetQuery),
        st.builds(CacheResponse, uint16),
        st.builds(Prefix, vrps(), st.booleans()),
        st.builds(EndOfData, uint16, uint32, timings),
        st.builds(CacheReset),
        st.builds(ErrorReport, uint16, st.binary(max_size=64), st.text(max_size=64)),
    ]
    if version >= Version.V1:
        kinds.append(st.builds(Key, router_keys, st.booleans()))
    if version >= Version.V2:
        kinds += [st.builds(AspaAnnounce, aspas), st.builds(AspaWithdraw, uint32)]
    return st.one_of(kinds)


versioned_pdus = versions.flatmap(lambda version: st.tuples(st.just(version), pdus(version)))
