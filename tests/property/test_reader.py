"""The reader against plain Python: prefixes against `ipaddress`, documents against sets and dicts."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.examples import SKI, SPKI
from tests.property import reader_oracle
from tests.property.strategies import asns, vrps

from pyrtr.errors import SourceError
from pyrtr.payload.order import has_host_bits
from pyrtr.payload.table import NEVER
from pyrtr.sources import auto, ccr, routinator, rpki_client
from pyrtr.sources.records.prefixes import ipv4_prefixes, ipv6_prefixes

NOW = 1_000

# Texts that are prefixes, nearly are, or never were.
CHARACTERS = "0123456789./: \n\0-+%abcdefABCDEFgx,٢é\U0001f600"
good_texts = vrps().map(lambda vrp: str(vrp.prefix)) | st.sampled_from(
    ("0.0.0.0/0", "255.255.255.255/32", "::/0", "::ffff:192.0.2.0/120", "2001:DB8:0::/48", "2001:0db8::/32")
)


@st.composite
def mutated_texts(draw: st.DrawFn) -> str:
    text = draw(good_texts)
    for _ in range(draw(st.integers(1, 2))):
        start = draw(st.integers(0, len(text)))
        stop = draw(st.integers(start, min(start + 2, len(text))))
        text = text[:start] + draw(st.text(CHARACTERS, max_size=3)) + text[stop:]
    return text


texts = good_texts | mutated_texts() | st.text(CHARACTERS, max_size=30) | st.text(max_size=8)


@given(st.lists(texts, max_size=8))
@example([""])
@example(["192.0.2.0/24\n198.51.100.0/24", "203.0.113.0/24"])
@example(["192.0.2.0", "/24"])
@example(["::/1/::", "2"])
def test_a_column_of_prefixes_is_read_as_ipaddress_reads_each(column):
    for read, version in ((ipv4_prefixes, 4), (ipv6_prefixes, 6)):
        addresses, lengths, is_good = read(column)
        assert (len(addresses), len(lengths), len(is_good)) == (len(column),) * 3
        for text, address, length, good in zip(column, addresses, lengths, is_good, strict=True):
            expected = reader_oracle.read_address(text)
            if expected and expected[0].version == version:
                assert good, text
                assert (address.tobytes(), length) == (expected[0].packed, expected[1])
            else:
                assert not good, text


@given(st.lists(good_texts, max_size=8))
def test_host_bits_are_those_outside_of_the_network(column):
    for read, version in ((ipv4_prefixes, 4), (ipv6_prefixes, 6)):
        addresses, lengths, _ = read([text for text in column if (":" in text) == (version == 6)])
        bits = addresses.shape[1] * 8
        for shift in range(8):
            touched = addresses ^ np.uint8(1 << shift)
            for address, length, found in zip(touched, lengths, has_host_bits(touched, lengths), strict=True):
                host_mask = (1 << (bits - int(length))) - 1
                assert found == bool(int.from_bytes(address.tobytes()) & host_mask)


# Members that mostly can be used, so that something is left of most documents.
@st.composite
def mostly(draw: st.DrawFn, usable: st.SearchStrategy[Any], *others: Any) -> Any:
    return draw(usable if draw(st.integers(0, 7)) < 7 else st.sampled_from(others))


asn_members = mostly(
    st.sampled_from((64496, 64497, "64496", "AS64497", "as64498")) | asns,
    *(-1, -2, 2**32, 10**30, -(10**30), 64496.0, 1.5, "", "AS", "ASAS1", "-1", "4294967296", True, None, [], "٦٤"),
)
expires_members = mostly(
    st.sampled_from((NOW + 1, NOW + 2, NOW + 2.5, NEVER)), *(NOW, 0, -1, 1e3, 1e30, 10**30, NEVER + 1, "5", None, False)
)
max_lengths = mostly(
    st.sampled_from((24, 32, 48, 128)) | st.none(), *(-1, -2, 0, 129, 256, 2**31, 10**30, 24.0, "24", True)
)
some_texts = st.sampled_from(("192.0.2.0/24", "192.0.2.0/25", "2001:db8::/32", "2001:db8::/48", "0.0.0.0/0", "::/0"))
prefixes = mostly(some_texts | good_texts, "", "192.0.2.1/24", "192.0.2.0", "2001:db8::1/32", "fe80::%1/64", None, 4)
not_afters = mostly(
    st.sampled_from(
        ("1970-01-01T00:16:41Z", "1970-01-01T00:16:42Z", "1970-01-01T01:17:22+01:00", "9999-12-31T23:59:59Z")
    ),
    *("1970-01-01T00:16:40Z", "1969-12-31T00:00:00Z", "1970-01-01T00:16:41", "yesterday", "", 1001, None, True),
)

sources = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(("roa", "exception")),
        "tal": mostly(st.sampled_from(("ripe", "arin", "")), 1, None),
        "chainValidity": mostly(st.fixed_dictionaries({"notAfter": not_afters}), None, {}, 1),
    },
)
source_members = st.lists(mostly(sources, None, 1, []), max_size=3)
optional = {
    "ta": mostly(st.sampled_from(("ripe", "arin", "")), 1, None),
    "expires": expires_members,
    "source": mostly(source_members, None, {}, "ripe"),
}
roas = st.fixed_dictionaries(
    {"prefix": prefixes, "asn": asn_members}, optional=optional | {"maxLength": max_lengths, "unknown": st.none()}
)
ski_members = mostly(
    st.sampled_from((SKI.hex(), SKI.hex().upper(), base64.b64encode(SKI).decode())), "", "00", SKI.hex()[1:], None, 7
)
key_members = mostly(
    st.sampled_from([encode(SPKI).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode)]),
    *("", "MAMCASo=", "MAMCASr", "MAMCAS", "MAMC*So", None, 7),
)
router_keys = st.fixed_dictionaries(
    {"asn": asn_members},
    optional=optional
    | dict.fromkeys(("ski", "SKI"), ski_members)
    | dict.fromkeys(("pubkey", "routerPublicKey", "spki", "subjectPublicKeyInfo"), key_members),
)
provider_lists = st.lists(asn_members, max_size=4) | st.lists(st.sampled_from((0, 64497, "AS64498")), max_size=4)
aspas = st.fixed_dictionaries(
    {"providers": mostly(provider_lists, None, "64497", [None])},
    optional=optional | {"customer_asid": asn_members, "customer": asn_members, "customerAsn": asn_members},
)


def records(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(mostly(usual, None, 1, "", [], {}), max_size=8)


documents = st.fixed_dictionaries(
    {"roas": records(roas)},
    optional={
        "metadata": st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
        "bgpsec_keys": records(router_keys),
        "routerKeys": records(router_keys),
        "router-keys": records(router_keys),
        "aspas": records(aspas),
        "provider_authorizations": st.fixed_dictionaries({}, optional={"ipv4": records(aspas), "ipv6": records(aspas)}),
        "aspa": st.dictionaries(st.sampled_from(("64496", "AS64497", "0", "x")), provider_lists, max_size=3),
        "nonfunc_cas": st.just([{"ski": 1}]),
    },
)
certificates = st.fixed_dictionaries(
    {"ski": ski_members, "asns": st.lists(asn_members, max_size=3), "subjectPublicKeyInfo": key_members}
)
arrays = st.lists(roas, min_size=1, max_size=8) | records(roas | aspas | certificates)
READERS = (rpki_client, routinator, auto)


@given(documents, st.booleans())
def test_a_document_is_read_as_sets_and_dicts_read_it_whichever_reader_is_named(document, ensure_ascii):
    body = json.dumps(document, ensure_ascii=ensure_ascii)
    expected = reader_oracle.read(body, NOW)
    for reader in READERS:
        loaded = reader.read(body.encode(), now=NOW)
        reader_oracle.assert_holds(loaded, expected)
        assert loaded.metadata == document.get("metadata", {})


@given(arrays)
@example([])
@example(
    [
        {"prefix": "2001:db8::/48", "asn": 64496, "ta": 1},
        {"ski": "00" * 20, "asns": [64496, 64497], "subjectPublicKeyInfo": "MAA"},
    ]
)
@example([None])
@example([{"ski": "", "asns": [], "subjectPublicKeyInfo": ""}])
def test_an_array_is_read_as_what_its_records_are(array):
    body = json.dumps(array)
    expected = reader_oracle.read(body, NOW)
    if expected.dropped["malformed"] == sum(expected.records.values()):
        for reader in (routinator, auto):
            with pytest.raises(SourceError, match="none of which is a VRP"):
                reader.read(body.encode(), now=NOW)
        return
    for reader in (routinator, auto):
        reader_oracle.assert_holds(reader.read(body.encode(), now=NOW), expected)


@given(documents | arrays, st.data())
def test_a_document_that_is_cut_short_is_refused(document, data):
    body = json.dumps(document).encode()
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    for reader in READERS:
        with pytest.raises(SourceError):
            reader.read(cut, now=NOW)


@given(st.binary(max_size=40) | st.text('{}[]":,roas1e. \\u0', max_size=40).map(str.encode))
def test_other_octets_are_refused_and_nothing_else_happens(body):
    for reader in (*READERS, ccr):
        with pytest.raises(SourceError):
            reader.read(body, now=NOW)
