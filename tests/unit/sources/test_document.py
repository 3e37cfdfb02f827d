"""What tolerant readers of JSON take, and what they drop, record by record: all of them the same."""

from __future__ import annotations

import base64
import json

import pytest
from tests.examples import MAX_ASN, SKI, aspa, key, vrp
from tests.property import reader_oracle
from tests.property.oracle import payload_of
from tests.unit.sources.documents import KEY, NOW, customer, document, providers, record, roa, roa6, router_key, source

from pyrtr.payload.table import NEVER, count_by_anchor
from pyrtr.payload.values import MAX_PROVIDERS
from pyrtr.sources import routinator, rpki_client
from pyrtr.sources.records import document as records
from pyrtr.sources.rpki_client import read

READERS = (rpki_client, routinator)

VRP = vrp("192.0.2.0/24", 24, 64496)
VRP6 = vrp("2001:db8::/32", 32, 64496)
ASPA = aspa(64496, 64497)
HUGE = str(10**30)

# What stands in the document, and the one payload or the reason that it comes to.
ASN = {
    "0": vrp("192.0.2.0/24", 24, 0),
    "4294967295": vrp("192.0.2.0/24", 24, MAX_ASN),
    '"64496"': VRP,
    '"AS64496"': VRP,
    '"as64496"': VRP,
    "-1": "asn",
    "-2": "asn",
    "4294967296": "asn",
    "18446744073709551616": "asn",
    HUGE: "asn",
    f"-{HUGE}": "asn",
    '"ASAS1"': "asn",
    '""': "asn",
    '"1.10"': "asn",
    '"64496\\n"': "asn",
    '"\\u0661"': "asn",
    # 64496.0 is a number like any other to JSON, but no validator writes it: fractions are refused, whatever they are.
    "64496.0": "malformed",
    "6.4496e4": "malformed",
    "1e3": "malformed",
    "1.5": "malformed",
    "true": "malformed",  # not AS1
    "false": "malformed",
    "null": "malformed",
    "[64496]": "malformed",
    "{}": "malformed",
    "9" * 4000: "asn",
}
PREFIX = {
    '"0.0.0.0/0"': vrp("0.0.0.0/0", 24, 64496),
    '"192.0.2.0\\/24"': VRP,
    '"192.0.2.1/24"': "host_bits",
    '"192.0.2.0"': "prefix",
    '"192.0.2.0/24/5"': "prefix",
    '"192.0.02.0/24"': "prefix",
    '"192.0.2.0/024"': "prefix",
    '"192.0.2.0/ 24"': "prefix",
    '"192.0.2/24"': "prefix",
    '"192.0.2.0/33"': "prefix",
    '"192.0.2.0/24\\n"': "prefix",
    '"192.0.2.0/24\\u0000"': "prefix",
    '"192.0.2.0/2\\u0664"': "prefix",
    '""': "prefix",
    "null": "malformed",
    "24": "malformed",
}
PREFIX6 = {
    '"::/0"': vrp("::/0", 32, 64496),
    '"2001:DB8::/32"': VRP6,
    '"2001:0db8:0::/32"': VRP6,
    '"2001:db8::1/32"': "host_bits",
    '"2001:db8::"': "prefix",
    '"::/129"': "prefix",
    '"fe80::%1/64"': "prefix",
}
MAX_LENGTH = {
    None: VRP,
    "null": VRP,
    "32": vrp("192.0.2.0/24", 32, 64496),
    "23": "max_length",
    "33": "max_length",
    "128": "max_length",
    "0": "max_length",
    "-1": "max_length",
    "-2": "max_length",
    "256": "max_length",
    "280": "max_length",
    "4294967320": "max_length",
    HUGE: "max_length",
    f"-{HUGE}": "max_length",
    '"24"': "malformed",
    "24.0": "malformed",
    "24.5": "malformed",
    "true": "malformed",
}
MAX_LENGTH6 = {"128": vrp("2001:db8::/32", 128, 64496), "129": "max_length", "31": "max_length", "-1": "max_length"}
EXPIRES = {
    None: VRP,
    str(NOW + 1): VRP,
    f"{NOW + 1}.0": VRP,
    "1e30": VRP,
    HUGE: VRP,
    "9223372036854775808": VRP,
    str(NOW): "expired",
    f"{NOW}.9": "expired",
    "0": "expired",
    "-1": "expired",
    "-1.5": "expired",
    f"-{HUGE}": "expired",
    '"1"': "malformed",
    "true": "malformed",
    "null": "malformed",
    "1e400": "malformed",
}
SOURCE = {
    "[]": VRP,
    "[{}]": VRP,
    '[{"type": "exception", "path": "/etc/slurm.json", "comment": null}]': VRP,
    '[{"chainValidity": null}]': VRP,
    f"[{source(1)}]": VRP,
    f"[{source(0)}]": "expired",
    f"[{source(0)}, {source(1)}]": VRP,  # the last one counts
    f"[{source(1)}, {source(0)}]": VRP,
    f"[{source(0)}, {{}}]": VRP,
    '[{"chainValidity": {"notAfter": "2026-11-23T03:22:35"}}]': "malformed",  # of which zone?
    '[{"chainValidity": {"notAfter": "tomorrow"}}]': "malformed",
    '[{"chainValidity": {"notAfter": 1795404156}}]': "malformed",
    '[{"chainValidity": {}}]': "malformed",
    '[{"tal": null}]': "malformed",
    "[null]": "malformed",
    "{}": "malformed",
    "null": "malformed",
}
ASPA_SOURCE = {
    f"[{source(1)}]": ASPA,
    f"[{source(1)}, {{}}]": ASPA,
    f"[{source(0)}, {{}}]": "expired",  # the first one counts
    f"[{source(1)}, {source(0)}]": "expired",
}
TA = {None: VRP, '""': VRP, '"\\u00e9"': VRP, "null": "malformed", "1": "malformed"}
SKI_OF = {
    f'"{SKI.hex().upper()}"': key(),
    f'"{base64.b64encode(SKI).decode()}"': key(),
    f'"{SKI.hex()}00"': "ski",
    '"00"': "ski",
    '""': "ski",
    "null": "ski",
    None: "ski",
    "7": "malformed",
}
PUBLIC_KEY = {
    '"MAMCASo="': key(),
    '"MAMCASo"': key(),
    '"MAMC-_8"': key(spki=bytes.fromhex("300302fbff")),
    '"MAMC+/8="': key(spki=bytes.fromhex("300302fbff")),
    '"MQMCASo="': "public_key",  # no SEQUENCE
    '"MAQCASo="': "public_key",  # a length that does not fit
    '"MAMCASoA"': "public_key",
    '"MAMC*So="': "public_key",
    '""': "public_key",
    None: "public_key",
    "7": "malformed",
}
KEY_ASN = {
    '"AS64496"': key(),
    "-1": "asn",
    "4294967296": "asn",
    "64496.0": "malformed",
    "true": "malformed",
    None: "malformed",
}
KEY_ENDS = {0: "expired", 1: key()}
SKI_64 = f'"{base64.urlsafe_b64encode(SKI).decode().rstrip("=")}"'
PROVIDERS = {
    '["AS64497", 64499, "64498", 64497]': aspa(64496, 64497, 64498, 64499),
    "[0]": aspa(64496, 0),
    "[0, 64497]": ASPA,
    "[64497, 0]": ASPA,
    "[]": "providers",
    str([*range(1, MAX_PROVIDERS + 1)]): aspa(64496, *range(1, MAX_PROVIDERS + 1)),
    str([0, *range(1, MAX_PROVIDERS + 1)] * 2): aspa(64496, *range(1, MAX_PROVIDERS + 1)),
    str([*range(1, MAX_PROVIDERS + 2)]): "providers",
    '[64497, "AS"]': "asn",  # a list without that provider would be false
    "[64497, -1]": "asn",
    "[64497, 4294967296]": "asn",
    "[64497, true]": "malformed",
    "[64497.0]": "malformed",
    "[null]": "malformed",
    "64497": "malformed",
    "null": "malformed",
}
CUSTOMER = {
    '"AS64496"': ASPA,
    "4294967295": aspa(MAX_ASN, 64497),
    "0": "customer",
    '"AS0"': "customer",
    "-1": "customer",
    "4294967296": "customer",
    '""': "customer",
    "null": "customer",
    "64496.0": "malformed",
    "true": "malformed",
}


def in_roas(name, table, make=roa):
    return [(f"{name} {text}", document(make(**{name: text})), expected) for text, expected in table.items()]


def in_member(name, records):
    return [(f"{name} {text}", document(**{name: f"[{text}]"}), expected) for text, expected in records]


TABLE = [
    *in_roas("asn", ASN),
    *in_roas("prefix", PREFIX),
    *in_roas("prefix", PREFIX6, roa6),
    *in_roas("maxLength", MAX_LENGTH),
    *in_roas("maxLength", MAX_LENGTH6, roa6),
    *in_roas("expires", EXPIRES),
    *in_roas("source", SOURCE),
    ("source and expires", document(roa(expires=str(NOW), source=f"[{source(1)}]")), "expired"),
    *in_roas("ta", TA),
    *in_member("bgpsec_keys", [(router_key(ski=text), expected) for text, expected in SKI_OF.items()]),
    *in_member("bgpsec_keys", [(router_key(pubkey=text), expected) for text, expected in PUBLIC_KEY.items()]),
    *in_member("bgpsec_keys", [(router_key(asn=text), expected) for text, expected in KEY_ASN.items()]),
    *in_member("bgpsec_keys", [(router_key(source=f"[{source(after)}]"), what) for after, what in KEY_ENDS.items()]),
    *in_member("router-keys", [(record(asn='"AS64496"', ski=SKI_64, spki='"MAMCASo"'), key())]),
    *in_member("routerKeys", [(record(asn="64496", SKI=f'"{SKI.hex()}"', routerPublicKey=KEY), key())]),
    *in_member("aspas", [(providers(text), expected) for text, expected in PROVIDERS.items()]),
    *in_member("aspas", [(customer(customer_asid=text), expected) for text, expected in CUSTOMER.items()]),
    *in_member("aspas", [(customer(customer="64496", source=text), what) for text, what in ASPA_SOURCE.items()]),
    *in_member("aspas", [(customer(customer="64496"), ASPA), (customer(customerAsn="64496"), ASPA)]),
    *in_member("aspas", [(customer(), "customer"), (record(customer="64496"), "malformed")]),
    ("the map of FORT", document(aspa='{"64496": [64497]}'), ASPA),
    ("both families", document(provider_authorizations=f'{{"ipv4": [], "ipv6": [{providers("[64497]")}]}}'), ASPA),
    *[(f"a record {text}", document(text), "malformed") for text in ("null", "1", '""', "[]", "{}", "true")],
]


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in TABLE], ids=[row[0][:60] for row in TABLE])
def test_a_record_is_taken_or_dropped(body, expected):
    for reader in READERS:
        loaded = reader.read(body, now=NOW)
        if isinstance(expected, str):
            assert (payload_of(loaded.table), loaded.dropped) == ([], {expected: 1})
        else:
            assert (payload_of(loaded.table), loaded.dropped) == ([expected], {})
        assert sum(loaded.records.values()) == 1
        reader_oracle.assert_holds(loaded, reader_oracle.read(body, NOW))


SETS = {
    "nothing": document(),
    "one VRP": document(roa()),
    "only IPv4": document(roa(), roa(asn="64497")),
    "only IPv6": document(roa6(), roa6(asn="64497")),
    "both": document(roa(), roa6()),
    "only keys": document(bgpsec_keys=f"[{router_key()}]"),
    "numbers and texts": document(roa(), roa(asn='"AS64497"'), roa(asn="4294967296"), roa(asn='"x"')),
    "numbers of all sizes": document(roa(), roa(asn=HUGE), roa(maxLength="-1"), roa(maxLength="-2"), roa(expires=HUGE)),
    "every reason": document(*[body[10:-2].decode() for name, body, _ in TABLE if body.startswith(b'{"roas": [{')]),
    "all of it": document(
        roa(),
        *[roa(expires=str(NOW + ends), ta=f'"{ta}"') for ends, ta in ((3, "ripe"), (9, "arin"), (5, "ripe"))],
        roa6(ta='"zz"', maxLength="1"),
        bgpsec_keys=f"[{router_key(expires=str(NOW + 5))}, {router_key(expires=str(NOW + 9))}]",
        routerKeys=f"[{router_key(expires=str(NOW + 7))}, {router_key(asn='true')}]",
        aspas=f"[{providers('[64497, 64498]')}]",
        aspa='{"AS64496": [64499], "64497": null}',
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_sets_of_all_sizes_are_read(name):
    reader_oracle.assert_holds(read(SETS[name], now=NOW), reader_oracle.read(SETS[name], NOW))


def test_records_of_the_wrong_type_are_counted_with_the_others():
    loaded = read(SETS["all of it"], now=NOW)
    assert loaded.records == {"vrps": 5, "router_keys": 4, "aspas": 3}
    assert loaded.dropped == {"max_length": 1, "duplicate": 5, "malformed": 2}


def test_a_trust_anchor_without_a_usable_vrp_is_there_with_0():
    """In whatever place its name sorts: an operator sees that all of it is gone."""
    for name in ("aa", "zz"):
        loaded = read(document(roa(ta='"mm"'), roa(ta=f'"{name}"', expires="0")), now=NOW)
        assert count_by_anchor(loaded.facts) == {"mm": 1, name: 0}


@pytest.mark.parametrize("reader", READERS)
def test_the_octets_are_freed_before_the_columns_are_made(reader, monkeypatch):
    """A document has 100 MB; together they would need a quarter more memory."""
    events = []
    make_columns = records._vrps

    class Octets(bytes):
        def __del__(self):
            events.append("octets freed")

    def note_columns(*arguments):
        events.append("columns made")
        return make_columns(*arguments)

    monkeypatch.setattr(records, "_vrps", note_columns)
    reader.read(Octets(document(roa(), metadata='{"vrps": 1}')), now=NOW)
    assert events == ["octets freed", "columns made"]


def test_the_first_tal_of_the_sources_is_the_trust_anchor():
    """As Routinator's json has it, where "N/A" stands for local exceptions."""
    tals = {'[{}, {"tal": "ripe"}, {"tal": "arin"}]': "ripe", "[{}]": "N/A", "[]": "given"}
    for text, name in tals.items():
        assert count_by_anchor(read(document(roa(source=text, ta='"given"')), now=NOW).facts) == {name: 1}


def test_of_sources_a_vrp_and_a_key_end_last_and_an_aspa_first():
    texts = f"[{source(9)}, {source(5)}, {source(7)}]"
    loaded = read(
        document(
            roa(source=texts),
            roa6(source=texts, expires=str(NOW + 8)),
            bgpsec_keys=f"[{router_key(source=texts)}]",
            aspas=f"[{customer(customer='64496', source=texts)}]",
        ),
        now=NOW,
    )
    facts = loaded.facts
    assert facts.ipv4_expires.tolist() == facts.router_keys_expires.tolist() == [NOW + 9]
    assert facts.ipv6_expires.tolist() == [NOW + 8]
    assert facts.aspas_expires.tolist() == [NOW + 5]


def test_times_beyond_64_bits_are_never():
    for text in (HUGE, "1e30", "9223372036854775807", str(NEVER + 1)):
        assert read(document(roa(expires=text)), now=NOW).facts.ipv4_expires.tolist() == [NEVER]


METADATA = {
    "{}": {},
    '{"buildtime": "2026-11-23T03:22:35Z", "vrps": 1, "talfiles": ["a"]}': {
        "buildtime": "2026-11-23T03:22:35Z",
        "vrps": 1,
        "talfiles": ["a"],
    },
    "[1]": {},
    "null": {},
    '"text"': {},
}


@pytest.mark.parametrize("text", METADATA)
def test_metadata_is_kept_if_it_is_an_object(text):
    assert read(document(metadata=text), now=NOW).metadata == METADATA[text]


@pytest.mark.parametrize(
    ("text", "build_time"),
    [
        ('"buildtime": "2026-11-23T03:22:35Z"', NOW),
        ('"buildtime": "2026-11-23T04:22:35+01:00"', NOW),
        ('"buildtime": "2026-11-23T03:22:35"', None),  # of which zone?
        ('"buildtime": "yesterday"', None),
        ('"buildtime": ""', None),
        (f'"buildtime": {NOW}', None),
        ('"buildtime": null', None),
        ('"generatedTime": "2026-11-23T03:22:35Z"', NOW),
        (f'"generated": {NOW}', NOW),
        (f'"generated": {NOW}.5', NOW + 0.5),
        (f'"generatedTime": "2026-11-23T03:22:35Z", "generated": {NOW - 9}', NOW),
        (f'"generatedTime": "yesterday", "generated": {NOW - 9}', NOW - 9),
        (f'"buildtime": "2026-11-23T03:22:35Z", "generated": {NOW - 9}', NOW),
        ('"generated": "1795404155"', None),
        ('"generated": -1', None),
        ('"generated": true', None),
        (f'"generated": {HUGE}', None),
        ('"generated": 1e300', None),
    ],
)
def test_the_build_time_is_read_if_it_is_one(text, build_time):
    for reader in READERS:
        assert reader.read(document(metadata=f"{{{text}}}"), now=NOW).build_time == build_time


def test_of_monstrous_metadata_only_the_dates_are_kept():
    dates = {"buildtime": "2026-11-23T03:22:35Z", "generated": NOW}
    loaded = read(document(metadata=json.dumps(dates | {"talfiles": ["x" * 2**16]})), now=NOW)
    assert (loaded.metadata, loaded.build_time) == (dates, NOW)
    assert read(document(metadata=f'"{"x" * 2**16}"'), now=NOW).metadata == {}


def test_white_space_and_unknown_members_are_no_fault():
    body = b"\n\t " + document(roa(x='{"y": [null]}'), nonfunc_cas='[{"ski": 1}]', signedprefixlists="null") + b" \r\n"
    assert payload_of(read(body, now=NOW).table) == [VRP]
