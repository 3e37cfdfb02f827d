"""SLURM files: what is taken, and what is refused at which place for which reason, one row for each rule."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import pytest
from tests.examples import MAX_ASN, SKI, SPKI, aspa, key, vrp
from tests.unit.sources.documents import record

from pyrtr.errors import SourceError
from pyrtr.payload.slurm import AspaFilter, KeyFilter, PrefixFilter, SlurmFile
from pyrtr.payload.values import MAX_PROVIDERS
from pyrtr.sources.records.slurm import MAX_BODY_BYTES, is_slurm, parse, parse_all

LISTS = {
    "validationOutputFilters": ("prefixFilters", "bgpsecFilters", "aspaFilters"),
    "locallyAddedAssertions": ("prefixAssertions", "bgpsecAssertions", "aspaAssertions"),
}
SECTION_OF = {name: section for section, names in LISTS.items() for name in names}


def slurm(version: str = "2", **lists: str) -> bytes:
    """A file whose lists are these JSON texts, and are empty else."""
    sections = {
        section: record(**{name: lists.get(name, "[]") for name in names if version != "1" or "aspa" not in name})
        for section, names in LISTS.items()
    }
    return record(slurmVersion=version, **sections).encode()


def quoted(octets: bytes) -> str:
    return f'"{base64.urlsafe_b64encode(octets).decode().rstrip("=")}"'


def prefix_filter(prefix: str | None = None, asn: int | None = None) -> PrefixFilter:
    return PrefixFilter(None if prefix is None else ip_network(prefix), asn)


def prefix_assertion(**members: str | None) -> str:
    return record(**{"prefix": '"192.0.2.0/24"', "asn": "64496"} | members)


def key_assertion(**members: str | None) -> str:
    return record(**{"asn": "64496", "SKI": quoted(SKI), "routerPublicKey": quoted(SPKI)} | members)


def aspa_assertion(**members: str | None) -> str:
    return record(**{"customerAsn": "64496", "providerAsns": "[64497]"} | members)


NUMBER = "expected a whole number from 0 to 4294967295, found "
PREFIX = "expected a prefix such as 192.0.2.0/24 or 2001:db8::/32, found "
BASE64 = "expected base64url without padding, found "
NEITHER = "a filter without {} and {}: expected one of them, or both"
NO_NUMBERS = {
    '"64496"': NUMBER + '"64496"',
    '"AS64496"': NUMBER + '"AS64496"',
    "true": NUMBER + "true",
    "64496.0": NUMBER + "64496.0",
    "6e4": NUMBER + "60000.0",
    "NaN": NUMBER + "NaN",
    "Infinity": NUMBER + "Infinity",
    "-Infinity": NUMBER + "-Infinity",
    "1e999": NUMBER + "Infinity",
    "-1": NUMBER + "-1",
    "4294967296": NUMBER + "4294967296",
    "9" * 5000: NUMBER + "9" * 20,
    "null": NUMBER + "null",
    "[64496]": NUMBER + "an array",
    "{}": NUMBER + "an object",
}
NO_COMMENTS = {
    "null": "expected a text, found null",
    "1": "expected a text, found 1",
    "[]": "expected a text, found an array",
}
PREFIXES = {
    '"192.0.2.0/24"': "192.0.2.0/24",
    '"0.0.0.0/0"': "0.0.0.0/0",
    '"192.0.2.255/32"': "192.0.2.255/32",
    '"2001:DB8::/32"': "2001:db8::/32",
    '"2001:0db8:0:0::/32"': "2001:db8::/32",
    '"::/0"': "::/0",
    '"::ffff:192.0.2.0/120"': "::ffff:c000:200/120",
}
NO_PREFIXES = {
    '"192.0.2.1/24"': "'192.0.2.1/24' has host bits set: write 192.0.2.0/24, or 192.0.2.1/32",
    '"2001:db8::1/64"': "'2001:db8::1/64' has host bits set: write 2001:db8::/64, or 2001:db8::1/128",
    **{
        text: PREFIX + text
        for text in (
            *('"192.0.2.0"', '"192.0.2.0/"', '"/24"', '""', '"192.0.2.0/33"', '"192.0.2.0/024"', '"192.0.2.0/-1"'),
            *(
                '"192.0.2/24"',
                '"192.0.02.0/24"',
                '"256.0.2.0/24"',
                '"192.0.2.0/255.255.255.0"',
                '"192.0.2.0/0.0.0.255"',
            ),
            *('" 192.0.2.0/24"', '"192.0.2.0/24 "', '"192.0.2.0/24/24"', '"170.39.196.X/28"', '"AS64496"'),
            *('"2001:db8::/129"', '"2001:db8::/1000"', '"fe80::%1/64"', '"fe80::%eth0/64"', '"2001:db8::1::/64"'),
        )
    },
    '"192.0.2.0/24\\n"': PREFIX + '"192.0.2.0/24\\n"',
    '"192.0.2.0/2\\u0664"': PREFIX + '"192.0.2.0/2\\u0664"',
    "3221225984": "expected a text, found 3221225984",
    "null": "expected a text, found null",
}
SKI_TEXT = "ABEiM0RVZneImaq7zN3u/wEjRWc"
SKIS = {
    f'"{SKI_TEXT}"': SKI,
    f'"{SKI_TEXT}="': SKI,
    f'"{SKI_TEXT.replace("/", "_")}"': SKI,
    f'"{SKI_TEXT.replace("/", "_")}="': SKI,
}
OTHER_SIZE = "{} octets: an SKI has 20, 27 characters of base64url"
NO_SKIS = {
    f'"{SKI_TEXT}=="': BASE64 + f'"{SKI_TEXT}=="',
    f'"{SKI_TEXT[:-1]}"': OTHER_SIZE.format(19),
    f'"{SKI_TEXT}A"': OTHER_SIZE.format(21),
    f'"{SKI_TEXT}AA"': BASE64 + f'"{SKI_TEXT}AA"',
    f'"{SKI.hex()}"': OTHER_SIZE.format(30),
    f'" {SKI_TEXT}"': BASE64 + f'" {SKI_TEXT}"',
    f'"{SKI_TEXT}\\n"': BASE64 + f'"{SKI_TEXT}\\n"',
    '"="': BASE64 + '"="',
    '"===="': BASE64 + '"===="',
    '"Zm9v===="': BASE64 + '"Zm9v===="',
    '"Zm9v"': OTHER_SIZE.format(3),
    '""': OTHER_SIZE.format(0),
    '"<some base64 SKI>"': BASE64 + '"<some base64 SKI>"',
    "7": "expected a text, found 7",
}
NO_KEY = "these {} octets are no SubjectPublicKeyInfo: expected one DER SEQUENCE"
LARGE = b"\x30\x83\x01\x00\x00" + bytes(2**16)
PUBLIC_KEYS = {'"MAMCASo"': SPKI, '"MAMCASo="': SPKI}
NO_PUBLIC_KEYS = {
    '"MAMCASoA"': NO_KEY.format(6),
    '"AgEq"': NO_KEY.format(3),
    '""': NO_KEY.format(0),
    '"MAMCASo=="': BASE64 + '"MAMCASo=="',
    '"MAMC*So"': BASE64 + '"MAMC*So"',
    "null": "expected a text, found null",
}
PROVIDERS = {
    "[64497]": (64497,),
    "[0]": (0,),
    f"[1, 64497, {MAX_ASN}]": (1, 64497, MAX_ASN),
    str([*range(100_000, 100_000 + MAX_PROVIDERS)]): tuple(range(100_000, 100_000 + MAX_PROVIDERS)),
}
ASPA_OF = "ASPA of AS64496"
NO_PROVIDERS = {
    "[]": f"{ASPA_OF} with 0 providers: expected 1..{MAX_PROVIDERS}",
    str(
        [*range(100_000, 100_001 + MAX_PROVIDERS)]
    ): f"{ASPA_OF} with {MAX_PROVIDERS + 1} providers: expected 1..{MAX_PROVIDERS}",
    "[64498, 64497]": f"{ASPA_OF}: providers are not strictly ascending",
    "[64497, 64497]": f"{ASPA_OF}: providers are not strictly ascending",
    "[0, 64497]": f"{ASPA_OF}: AS0 beside other providers",
    "[64495, 64496]": f"{ASPA_OF}: it is its own provider",
}
NO_PROVIDER_ARRAYS = {
    "64497": "expected an array, found 64497",
    "null": "expected an array, found null",
    "{}": "expected an array, found an object",
}


def filter_of(**members: str | None) -> str:
    return record(**members or {"asn": "64511"})


def aspa_filter(**members: str | None) -> str:
    return record(**members or {"customerAsn": "64511"})


MAKE = {
    "prefixFilters": filter_of,
    "bgpsecFilters": filter_of,
    "aspaFilters": aspa_filter,
    "prefixAssertions": prefix_assertion,
    "bgpsecAssertions": key_assertion,
    "aspaAssertions": aspa_assertion,
}
MISSING = {None: "is missing"}
NO_LENGTH = "expected a whole number from 0 to 128, found "


def known(*members: str) -> str:
    return "is not known: expected " + ", ".join((*members, "comment"))


# A list, a member of an entry, and what is said at that member's place about each text that stands there.
BAD_MEMBERS: list[tuple[str, str, Mapping[Any, str]]] = [
    ("prefixFilters", "prefix", NO_PREFIXES),
    ("prefixFilters", "asn", NO_NUMBERS),
    ("prefixFilters", "comment", NO_COMMENTS),
    ("prefixFilters", "SKI", {quoted(SKI): known("prefix", "asn")}),
    ("prefixFilters", "maxPrefixLength", {"24": known("prefix", "asn")}),
    ("bgpsecFilters", "asn", NO_NUMBERS),
    ("bgpsecFilters", "SKI", NO_SKIS),
    ("bgpsecFilters", "comment", NO_COMMENTS),
    ("bgpsecFilters", "ski", {quoted(SKI): "is not known: its name is SKI"}),
    ("bgpsecFilters", "routerPublicKey", {quoted(SPKI): known("asn", "SKI")}),
    ("aspaFilters", "customerAsn", NO_NUMBERS),
    ("aspaFilters", "customerAsid", {"1": "is not known: its name is customerAsn"}),
    ("aspaFilters", "asn", {"1": known("customerAsn")}),
    ("aspaFilters", "providerAsns", {"[1]": known("customerAsn")}),
    ("prefixAssertions", "prefix", NO_PREFIXES | MISSING),
    ("prefixAssertions", "asn", NO_NUMBERS | MISSING),
    ("prefixAssertions", "comment", NO_COMMENTS),
    ("prefixAssertions", "maxPrefixLength", {t: NO_LENGTH + t for t in ("-1", "129", "24.0", "null", '"24"', "true")}),
    ("prefixAssertions", "maxLength", {"24": "is not known: its name is maxPrefixLength"}),
    ("prefixAssertions", "source", {'"DN42"': known("prefix", "asn", "maxPrefixLength")}),
    ("bgpsecAssertions", "asn", NO_NUMBERS | MISSING),
    ("bgpsecAssertions", "SKI", NO_SKIS | MISSING),
    ("bgpsecAssertions", "routerPublicKey", NO_PUBLIC_KEYS | MISSING),
    ("bgpsecAssertions", "comment", NO_COMMENTS),
    ("aspaAssertions", "customerAsn", NO_NUMBERS | MISSING),
    ("aspaAssertions", "customerAsid", {"64496": "is not known: its name is customerAsn"}),
    ("aspaAssertions", "providerSet", {"[64497]": "is not known: its name is providerAsns"}),
    ("aspaAssertions", "providers", {"[64497]": "is not known: its name is providerAsns"}),
    ("aspaAssertions", "providerAsns", NO_PROVIDER_ARRAYS | MISSING),
    ("aspaAssertions", "comment", NO_COMMENTS),
]
# The same, where it takes several members to tell: said of the entry.
BAD_ENTRIES: list[tuple[str, str, Mapping[Any, str]]] = [
    ("prefixFilters", "comment", {'"all"': NEITHER.format("prefix", "asn")}),
    ("bgpsecFilters", "comment", {'"all"': NEITHER.format("asn", "SKI")}),
    (
        "prefixAssertions",
        "maxPrefixLength",
        {t: f"max length {t} of 192.0.2.0/24: expected 24..32" for t in ("23", "33")},
    ),
    ("bgpsecAssertions", "routerPublicKey", {quoted(LARGE): f"SPKI of {len(LARGE)} octets: at most 65503 fit a PDU"}),
    ("aspaAssertions", "customerAsn", {"0": "ASPA customer 0: expected 1..4294967295"}),
    ("aspaAssertions", "providerAsns", NO_PROVIDERS),
]
IN_ENTRIES = [
    (list_name, MAKE[list_name](**{member: text}), suffix, reason)
    for table, has_member in ((BAD_MEMBERS, True), (BAD_ENTRIES, False))
    for list_name, member, texts in table
    for text, reason in texts.items()
    for suffix in [f".{member}" if has_member else ""]
]


@pytest.mark.parametrize(
    ("list_name", "entry", "suffix", "reason"), IN_ENTRIES, ids=[f"{row[0]} {row[1][:60]}" for row in IN_ENTRIES]
)
def test_a_bad_entry_refuses_the_file(list_name, entry, suffix, reason):
    good = MAKE[list_name]()
    body = slurm(**{list_name: f"[{good}, {entry}, {good}]"})
    assert_refused(body, f"{SECTION_OF[list_name]}.{list_name}[1]{suffix}: {reason}")


def assert_refused(body: bytes, text: str) -> None:
    with pytest.raises(SourceError) as refused:
        parse("local.json", body)
    assert str(refused.value) == f"local.json: {text}"


ENTRIES = [
    *[("prefixFilters", record(prefix=text), prefix_filter(prefix)) for text, prefix in PREFIXES.items()],
    *[("prefixFilters", record(asn=str(asn)), prefix_filter(asn=asn)) for asn in (0, 64496, MAX_ASN)],
    ("prefixFilters", record(asn="-0"), prefix_filter(asn=0)),
    ("prefixFilters", record(prefix='"::/0"', asn="0", comment='""'), prefix_filter("::/0", 0)),
    ("prefixFilters", record(asn="1", comment='"any \\u0000 \\ud800 é"'), prefix_filter(asn=1)),
    *[("bgpsecFilters", record(SKI=text), KeyFilter(ski=SKI)) for text in SKIS],
    ("bgpsecFilters", record(asn="0", comment='"x"'), KeyFilter(0)),
    ("bgpsecFilters", record(asn="64496", SKI=quoted(SKI)), KeyFilter(64496, SKI)),
    ("aspaFilters", record(customerAsn="64496", comment='"x"'), AspaFilter(64496)),
    ("aspaFilters", record(customerAsn="0"), AspaFilter(0)),
    *[
        ("prefixAssertions", prefix_assertion(prefix=text), vrp(prefix, int(prefix.partition("/")[2]), 64496))
        for text, prefix in PREFIXES.items()
    ],
    *[
        ("prefixAssertions", prefix_assertion(maxPrefixLength=str(length)), vrp("192.0.2.0/24", length, 64496))
        for length in (24, 25, 32)
    ],
    ("prefixAssertions", prefix_assertion(asn="0", comment='"x"'), vrp("192.0.2.0/24", 24, 0)),
    ("prefixAssertions", prefix_assertion(prefix='"::/0"', maxPrefixLength="128"), vrp("::/0", 128, 64496)),
    *[("bgpsecAssertions", key_assertion(SKI=text), key()) for text in SKIS],
    *[("bgpsecAssertions", key_assertion(routerPublicKey=text, comment='"x"'), key()) for text in PUBLIC_KEYS],
    *[("aspaAssertions", aspa_assertion(providerAsns=text), aspa(64496, *asns)) for text, asns in PROVIDERS.items()],
    ("aspaAssertions", aspa_assertion(comment='"x"'), aspa(64496, 64497)),
]


@pytest.mark.parametrize(("list_name", "entry", "value"), ENTRIES, ids=[f"{row[0]} {row[1][:60]}" for row in ENTRIES])
def test_an_entry_is_read(list_name, entry, value):
    place = list(SECTION_OF).index(list_name)
    expected: list[tuple[Any, ...]] = [()] * 6
    expected[place] = (value, value)
    for version in ("1", "2") if "aspa" not in list_name else ("2",):
        body = slurm(version, **{list_name: f"[{entry}, {entry}]"})
        assert parse("local.json", body) == SlurmFile("local.json", *expected)
        assert is_slurm(body)


V1, V2 = slurm("1"), slurm("2")
NO_FILTERS = record(slurmVersion="2", locallyAddedAssertions="{}").encode()
TOP = "slurmVersion, validationOutputFilters, locallyAddedAssertions"
FILES = [
    (b"[]", "expected an object, found an array"),
    (b"null", "expected an object, found null"),
    (b"{}", "slurmVersion: is missing"),
    (NO_FILTERS, "validationOutputFilters: is missing"),
    (record(slurmVersion="1", validationOutputFilters="{}").encode(), "locallyAddedAssertions: is missing"),
    (V1[:-1] + b', "x": {}}', f"x: is not known: expected {TOP}"),
    (V1[:-1] + b', "\\u001b[2J": {}}', f"\\u001b[2J: is not known: expected {TOP}"),
    (V1[:-1] + b', "slurmVersion": 1}', "slurmVersion: stands there twice"),
    *[
        (V1.replace(b'"slurmVersion": 1', b'"slurmVersion": ' + text.encode()), f"slurmVersion: {reason}")
        for text, reason in {
            "0": "0 is not known: expected 1, or 2 for files with ASPA members",
            "3": "3 is not known: expected 1, or 2 for files with ASPA members",
            '"1"': NUMBER + '"1"',
            "1.0": NUMBER + "1.0",
            "true": NUMBER + "true",
            "null": NUMBER + "null",
        }.items()
    ],
    (V2.replace(b": 2", b": 1"), "validationOutputFilters.aspaFilters: needs slurmVersion 2"),
    (V1.replace(b": 1", b": 2"), "validationOutputFilters.aspaFilters: is missing"),
    *[
        (
            V2.replace(f'"{name}": []'.encode(), f'"{name}": {text}'.encode()),
            f"{section}.{name}: expected an array, {found}",
        )
        for name, section in SECTION_OF.items()
        for text, found in (("{}", "found an object"), ("null", "found null"), ('"x"', 'found "x"'))
    ],
    *[
        (
            V2.replace(f'"{name}": []'.encode(), f'"{name}": [[]]'.encode()),
            f"{section}.{name}[0]: expected an object, found an array",
        )
        for name, section in SECTION_OF.items()
    ],
    (V2.replace(b'"aspaFilters"', b'"bgpsecFilters"'), "validationOutputFilters.bgpsecFilters: stands there twice"),
    (
        V2.replace(b'"aspaFilters"', b'"aspasFilters"'),
        "validationOutputFilters.aspasFilters: is not known: expected prefixFilters, bgpsecFilters, aspaFilters",
    ),
    (
        V2.replace(b'"aspaFilters"', b'"aspaAssertions"'),
        "validationOutputFilters.aspaAssertions: is not known: expected prefixFilters, bgpsecFilters, aspaFilters",
    ),
    (
        V1.replace(b'"validationOutputFilters": {', b'"validationOutputFilters": {"comment": "x", '),
        "validationOutputFilters.comment: is not known: expected prefixFilters, bgpsecFilters, aspaFilters",
    ),
    (slurm(prefixFilters='[{"asn": 1, "asn": 1}]'), "validationOutputFilters.prefixFilters[0].asn: stands there twice"),
    (
        slurm(prefixFilters='[{"asn": 1, "comment": "", "comment": ""}]'),
        "validationOutputFilters.prefixFilters[0].comment: stands there twice",
    ),
    (
        slurm(aspaAssertions=f"[{aspa_assertion(providerAsns='[1, true]')}]"),
        "locallyAddedAssertions.aspaAssertions[0].providerAsns[1]: " + NUMBER + "true",
    ),
    (slurm(prefixFilters="[{}]"), "validationOutputFilters.prefixFilters[0]: " + NEITHER.format("prefix", "asn")),
    (
        slurm(prefixFilters=f'[{{"comment": [{"1" * 100}]}}]'),
        "validationOutputFilters.prefixFilters[0].comment: expected a text, found an array",
    ),
    (
        slurm(prefixFilters=f'[{{"prefix": "{"x" * 100}"}}]'),
        f'validationOutputFilters.prefixFilters[0].prefix: {PREFIX}"{"x" * 59}…',
    ),
    (b"", "line 1 column 1: not JSON: Expecting value"),
    (V1 + b"x", f"line 1 column {len(V1) + 1}: not JSON: Extra data"),
    (V1 + V1, f"line 1 column {len(V1) + 1}: not JSON: Extra data"),
    (V1[:-1], f"line 1 column {len(V1)}: not JSON: Expecting ',' delimiter"),
    (b'{\n  "slurmVersion": 1\n  "x": 2}', "line 3 column 3: not JSON: Expecting ',' delimiter"),
    (b'{\n  "slurmVersion": 01}', "line 2 column 20: not JSON: Expecting ',' delimiter"),
    (b"{\n// no comments\n}", "line 2 column 1: not JSON: Expecting property name enclosed in double quotes"),
    (b'{"slurmVersion": "\n"}', "line 1 column 19: not JSON: Invalid control character at"),
    (b"\xef\xbb\xbf" + V1, "line 1: begins with a byte order mark: save the file as UTF-8 without it"),
    (b'\n{"slurmVersion": "\xff"}', "line 2: not UTF-8: save the file in that encoding"),
    (V1.decode().encode("utf-16"), "line 1: not UTF-8: save the file in that encoding"),
    (b"[" * 100_000, "arrays or objects are nested too deeply"),
    (b'{"slurmVersion":' * 100_000, "arrays or objects are nested too deeply"),
    (b" " * (MAX_BODY_BYTES + 1), f"{MAX_BODY_BYTES + 1} octets: a SLURM file may have {MAX_BODY_BYTES}"),
]


@pytest.mark.parametrize(("body", "text"), FILES, ids=[ascii(row[0][:70]) for row in FILES])
def test_a_bad_file_is_refused(body, text):
    assert_refused(body, text)


def test_white_space_and_the_order_of_members_are_free():
    members = json.loads(slurm(prefixFilters='[{"asn": 1}]', aspaFilters='[{"customerAsn": 2}]'))
    members["validationOutputFilters"] = dict(reversed(members["validationOutputFilters"].items()))
    body = b"\r\n\t " + json.dumps(dict(reversed(members.items())), indent=3).encode() + b" \n"
    assert parse("x", body) == SlurmFile("x", (prefix_filter(asn=1),), (), (AspaFilter(2),))


def test_files_are_read_together():
    files = [("a.json", slurm(prefixFilters='[{"prefix": "192.0.2.0/24"}]')), ("b.json", V1)]
    assert [file.name for file in parse_all(files)] == ["a.json", "b.json"]
    assert parse_all([]) == ()
    with pytest.raises(SourceError, match=r"\Aline\.json: line 1 column 1: not JSON"):
        parse_all([*files, ("line.json", b"x")])


def test_files_that_conflict_are_refused_together():
    bodies = [
        slurm(aspaFilters=str([{"customerAsn": asn} for asn in range(count)]).replace("'", '"')) for count in (2, 5)
    ]
    with pytest.raises(SourceError) as refused:
        parse_all([("a.json", bodies[0]), ("b.json", bodies[1])])
    sentence = "AS{} is in filters or assertions for ASPAs of a.json and of b.json"
    assert str(refused.value) == f"SLURM files conflict: {sentence.format(0)}; {sentence.format(1)}"
    with pytest.raises(SourceError, match=rf"{sentence.format(2)}; and 2 more\Z"):
        parse_all([("a.json", bodies[1]), ("b.json", bodies[1])])


@pytest.mark.parametrize(
    ("body", "is_one"),
    [
        (V1, True),
        (NO_FILTERS, True),
        (b'{"locallyAddedAssertions": 1}', True),
        (b'{"slurmVersion": 1,}', True),
        (b'\xef\xbb\xbf{"slurmVersion": 1}', True),
        (b'[{"slurmVersion": 1}]', True),
        (b'{"slurmVersion": ' * 100_000, True),
        (b'{"roas": [], "metadata": {"slurmVersion": 1}}', False),
        (b'{"roas": [{"ta": "slurmVersion"}]}', False),
        (b'{"roas": []}', False),
        (b"", False),
        (b"slurmVersion", False),
    ],
    ids=ascii,
)
def test_a_slurm_file_is_told_by_its_top_members(body, is_one):
    assert is_slurm(body) is is_one
