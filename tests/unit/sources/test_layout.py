"""Which lists are read by their layout, and that every other one is left to the reader of all JSON."""

from __future__ import annotations

import pytest
from tests.unit.sources.documents import NOW

from pyrtr.payload.table import count_by_anchor
from pyrtr.sources import rpki_client
from pyrtr.sources.records import layout

RECORD = '{ "asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "arin", "expires": 1795420000 }'
RECORD6 = '{ "asn": 64497, "prefix": "2001:db8::/32", "maxLength": 48, "ta": "ripe", "expires": 1795420000 }'


def body(*records: str, head: str = "{", tail: str = "\n}\n") -> bytes:
    listed = ",".join(f"\n\t\t{record}" for record in records)
    return f'{head}\n\t"roas": [{listed}\n\t]{tail}'.encode()


# What is replaced in a record, and by what.
REGULAR = [
    ("64496", "0"),
    ("64496", "4294967295"),
    ("64496", "4294967296"),  # left to the builder, which drops it
    ("64496", "1234567890123456"),
    ("192.0.2.0/24", "192.0.2.1/24"),  # likewise
    ("192.0.2.0/24", "2001:DB8:0:0:0:0:0:1/128"),
    ("192.0.2.0/24", "::/0"),
    ('"maxLength": 24', '"maxLength": 0'),
    ("arin", ""),
    ("arin", "apnic-as0"),
    ("arin", "a/b.c-d {e}: [f"),
    ("1795420000", "0"),
]
# JSON that means something, and JSON that does not: here that is all the same.
IRREGULAR = [
    ("64496", '"AS64496"'),
    ("64496", "064496"),
    ("64496", "-1"),
    ("64496", "+1"),
    ("64496", "64496.0"),
    ("64496", "6e4"),
    ("64496", "12345678901234567"),
    ("64496", ""),
    ("64496", " 64496"),
    ("64496", "6449٦"),
    ("64496", "6449/"),
    ("64496", "6449:"),
    ("192.0.2.0/24", "192.0.2.0/33"),
    ("192.0.2.0/24", "192.0.2.0/024"),
    ("192.0.2.0/24", "192.0.2.0\\/24"),
    ("192.0.2.0/24", "192.0.2/24"),
    ("192.0.2.0/24", "2001:db8::/129"),
    ("192.0.2.0/24", "2001:db8::\n/32"),
    ("192.0.2.0/24", "2001:db8::/32\n2001:db8::/32"),
    ("192.0.2.0/24", ""),
    ("192.0.2.0/24", "é::/32"),
    ("192.0.2.0/24", '192.0.2.0/24"'),
    ('"maxLength": 24', '"maxLength": null'),
    ('"maxLength": 24, ', ""),
    ("arin", "é"),
    ("arin", "\\u0061rin"),
    ("arin", 'a"n'),
    ("arin", "a\tn"),
    ("arin", "a,n"),
    ("arin", "a]n"),
    ("arin", "seventeen letters"),
    ("arin", 'fifteen letters"'),
    ("1795420000", "1.79542e9"),
    ("1795420000", "1795420000, "),
    (" }", "}"),
    (" }", ', "expires": 1795420000 }'),
    ('"asn"', '"asN"'),
    ('{ "asn": 64496, "prefix": "192.0.2.0/24"', '{ "prefix": "192.0.2.0/24", "asn": 64496'),
]


@pytest.mark.parametrize(("old", "new"), REGULAR)
def test_a_list_as_rpki_client_prints_it_is_read_by_its_layout(old, new):
    for place in range(3):
        records = [RECORD, RECORD6, RECORD]
        records[place] = RECORD.replace(old, new)
        found = layout.read(body(*records))
        assert found is not None
        assert found.count == 3
        assert sum(len(part.asns) for part in (*found.ipv4, *found.ipv6)) == 3


@pytest.mark.parametrize(("old", "new"), IRREGULAR)
def test_a_list_with_anything_else_in_any_record_is_not(old, new):
    for place in range(3):
        records = [RECORD, RECORD6, RECORD]
        records[place] = RECORD.replace(old, new)
        assert records[place] != RECORD
        assert layout.read(body(*records)) is None


def test_a_text_is_not_taken_for_one_that_it_only_begins_with():
    fifteen = RECORD.replace("arin", "fifteen letters")
    assert layout.read(body(fifteen, fifteen)) is not None
    assert layout.read(body(fifteen, fifteen.replace("letters", 'letters"'))) is None


@pytest.mark.parametrize(
    "document",
    [
        body(),
        body(RECORD)[:-6],
        body(RECORD + " "),
        body(RECORD).replace(b"\t", b"  "),
        body(RECORD).replace(b"\n", b"\r\n"),
        body(RECORD).replace(b"}\n\t]", b"},\n\t]"),
        body(RECORD, RECORD6).replace(b"},", b"}"),
        body(RECORD).replace(b'"roas"', b'"roa"'),
        b"",
        *(body(RECORD)[:size] for size in (20, 60, 110)),
    ],
)
def test_nor_is_one_that_stands_there_in_another_way(document):
    assert layout.read(document) is None


@pytest.mark.parametrize("size", [2**20, 300])
def test_more_trust_anchors_than_there_are_in_the_world_are_left_to_the_other_reader(size, monkeypatch):
    monkeypatch.setattr(layout, "_CHUNK_BYTES", size)
    records = [RECORD.replace("arin", f"ta-{number}") for number in range(layout.MAX_ANCHORS)]
    found = layout.read(body(*records))
    assert found is not None
    assert len(found.anchors) == layout.MAX_ANCHORS
    assert layout.read(body(*records, RECORD)) is None


def test_trust_anchors_are_the_same_in_all_chunks(monkeypatch):
    monkeypatch.setattr(layout, "_CHUNK_BYTES", 2 * len(RECORD))
    records = [
        RECORD.replace("arin", name).replace("192", str(number))
        for number, name in enumerate(("ripe", "arin", "lacnic", "arin", "apnic", "ripe", "arin"), 1)
    ]
    loaded = rpki_client.read(body(*records), now=NOW)
    assert count_by_anchor(loaded.facts) == {"apnic": 1, "arin": 3, "lacnic": 1, "ripe": 2}
    assert [loaded.facts.anchors[code] for code in loaded.facts.ipv4_anchors][:3] == ["ripe", "arin", "lacnic"]


@pytest.mark.parametrize(
    "document",
    [
        body(RECORD, tail=',\n\t"roas": [ { "asn": 1, "prefix": "192.0.2.0/24" } ] }'),  # the last one counts
        body(RECORD, head='{ "nonfunc_cas": {', tail=' }, "roas": [ { "asn": 1, "prefix": "192.0.2.0/24" } ] }'),
        body(RECORD, head='{ "metadata": {', tail=' }, "roas": [ { "asn": 1, "prefix": "192.0.2.0/24" } ] }'),
    ],
)
def test_a_list_that_is_not_the_documents_own_is_not_taken_for_it(document):
    assert layout.read(document) is not None
    loaded = rpki_client.read(document, now=NOW)
    assert loaded.table.ipv4.view("u1")[-4:].tolist() == [0, 0, 0, 1]
