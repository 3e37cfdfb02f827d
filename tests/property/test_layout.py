"""A list that is read by its layout, against the reader that knows no layouts: the same, whatever stands there."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyrtr.errors import SourceError
from pyrtr.sources import rpki_client
from pyrtr.sources.base import Loaded
from pyrtr.sources.records import document, layout
from pyrtr.sources.records.builder import Builder

NOW = 1_795_404_155

prefixes = st.sampled_from(
    (
        *("192.0.2.0/24", "198.51.100.0/25", "0.0.0.0/0", "255.255.255.255/32", "192.0.2.1/24"),
        *(
            "2001:db8::/32",
            "2001:DB8:0:1::/64",
            "2001:db8:1:2:3:4:5:6/128",
            "2001:db8::1/32",
            "2001:db8::1/128",
            "::/0",
        ),
    )
)
numbers = st.sampled_from((0, 8, 24, 25, 48, 64, 128, 129, 64496, 65551, 2**32 - 1, 2**32, 10**8, 10**15))
ends = st.sampled_from((0, NOW, NOW + 1, NOW + 86_400, 10**16 - 1))
names = st.sampled_from(
    ("arin", "ripe", "apnic", "afrinic", "apnic-as0", "", "a", "fifteen letters", "sixteen letters!")
)
# What may come of a record when a character or two of it is another.
spoilt = st.text('0123456789abcdefAS.,:/-"{}[]\\ \t\n\0Z٢\x7f', max_size=3)
heads = st.sampled_from(
    (
        '{\n\t"metadata": {\n\t\t"buildtime": "2026-11-23T03:22:35Z",\n\t\t"roas": 3\n\t},',
        '{\n\t"metadata": {\n\t\t"talfiles": [\n\t\t\t"/etc/tals/ripe.tal"\n\t\t]\n\t},',
        "{",
        '{\n\t"roas": 1,',
        '{\n\t"aspas": [ { "customer_asid": 64496, "providers": [ 64497, 1 ] }, 1 ],',
        '{"metadata": {',
        '["',
        "",
    )
)
tails = st.sampled_from(
    (
        ',\n\t"aspas": [\n\t\t{ "customer_asid": 64496, "expires": 1795713497, "providers": [ 64497 ] }\n\t]\n}\n',
        ',\n\t"aspas": [\n\t\t{ "customer_asid": 64496, "expires": 1795713497, "providers": [ 64497.0 ] }\n\t]\n}\n',
        ',\n\t"nonfunc_cas": [\n\t\t"\\u00e9 \u00e9"\n\t]\n}\n',
        ',\n\t"roas": [\n\t\t{ "asn": 64500, "prefix": "192.0.2.0/24" }\n\t]\n}',
        ',\n\t"roas": []}',
        ',\n\t"roas": null}',
        ',\n\t"more": 1 }, "roas": [] }',
        ',\n\t"more"',
        "\n}\n",
        "",
        "}}",
    )
)


@st.composite
def records(draw: st.DrawFn) -> str:
    return (
        f'\n\t\t{{ "asn": {draw(numbers)}, "prefix": "{draw(prefixes)}", "maxLength": {draw(numbers)}, '
        f'"ta": "{draw(names)}", "expires": {draw(ends)} }}'
    )


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    listed = ",".join(draw(st.lists(records(), max_size=6)))
    return f'{draw(heads)}\n\t"roas": [{listed}\n\t]{draw(tails)}'.encode()


@st.composite
def spoilt_documents(draw: st.DrawFn) -> bytes:
    text = draw(documents()).decode()
    for _ in range(draw(st.integers(1, 2))):
        start = draw(st.integers(0, len(text)))
        stop = draw(st.integers(start, min(start + 3, len(text))))
        text = text[:start] + draw(spoilt) + text[stop:]
    return text.encode()


def outcome(loaded: Loaded) -> tuple[Any, ...]:
    table, facts = loaded.table, loaded.facts
    columns = [getattr(facts, field.name) for field in dataclasses.fields(facts)]
    return (
        (table.ipv4.tolist(), table.ipv6.tolist(), table.router_keys, table.aspas),
        [column if isinstance(column, tuple) else (column.dtype, column.tolist()) for column in columns],
        (loaded.metadata, loaded.build_time, loaded.records, loaded.dropped),
    )


def read_plainly(body: bytes, *, now: float) -> Loaded:
    builder = Builder(now)
    with document.refusals("rpki-client's JSON"):
        decoded = document.decode(body, builder.dropped)
    return document.load(decoded, builder)


def assert_same(body: bytes) -> None:
    outcomes: list[tuple[Any, ...] | str] = []
    for read in (read_plainly, rpki_client.read):
        try:
            outcomes.append(outcome(read(body, now=NOW)))
        except SourceError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@given(documents())
def test_a_list_is_read_by_its_layout_as_by_the_reader_of_all_json(body):
    assert_same(body)


@given(spoilt_documents())
@example(b'{\n\t"roas": [\n\t]}')
@example(b'{\n\t"roas": []}')
@example(b'{\n\t"roas": [\n\t\t{ "asn": 1, "prefix": "::/0", "maxLength": 0, "ta": "", "expires": 1795420000 },\n\t]}')
@settings(max_examples=300)
def test_a_spoilt_list_comes_to_the_same_whoever_reads_it(body):
    assert_same(body)


@given(st.lists(records(), min_size=1, max_size=40), st.integers(250, 600))
def test_it_does_not_matter_where_chunks_end(listed, size):
    body = f'{{\n\t"roas": [{",".join(listed)}\n\t]}}'.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "_CHUNK_BYTES", size)
        found = layout.read(body)
        assert found is not None
        assert found.count == len(listed)
        assert_same(body)
