"""Formats are told apart by their shape, and what is none of them is refused with what was looked for."""

from __future__ import annotations

import pytest
from tests.examples import vrp
from tests.property.oracle import payload_of
from tests.unit.sources import canonical
from tests.unit.sources.documents import NOW, document, roa

from pyrtr.errors import SourceError
from pyrtr.sources import auto, ccr, routinator, rpki_client
from pyrtr.sources.records import document as records

VRP = vrp("192.0.2.0/24", 24, 64496)
BUILT = '{"buildtime": "2026-11-23T03:22:35Z"}'
SHAPES = {
    "rpki-client": (document(roa(), metadata=BUILT), rpki_client),
    "white space first": (b" \r\n\t" + document(metadata=BUILT), rpki_client),
    "Routinator": (document(roa(), metadata='{"generated": 1795404155}'), routinator),
    "no metadata": (document(roa()), routinator),
    "a build time after 64 KiB": (document(*[roa()] * 2000, metadata=BUILT), routinator),
    "an array": (f"[{roa()}]".encode(), routinator),
    "white space and an array": (f" \n[{roa()}]".encode(), routinator),
    "a CCR": (canonical.ccr(vrps=canonical.roa_state({64496: [canonical.address("192.0.2.0/24")]})), ccr),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_goes_to_its_reader(shape):
    body, expected = SHAPES[shape]
    assert auto._reader(body[: auto._HEAD_BYTES]) is expected.read
    loaded = auto.read(body, now=NOW)
    same = expected.read(body, now=NOW)
    assert (loaded.table, loaded.metadata, loaded.dropped) == (same.table, same.metadata, same.dropped)
    assert payload_of(loaded.table) in ([VRP], [])


UNKNOWN = {
    "nothing": (b"", "begins with b'': neither JSON, with { or [, nor DER, with 0x30"),
    "CSV": (b"ASN,IP Prefix,Max Length,Trust Anchor\n", "begins with b'ASN,IP Prefix,Ma': neither JSON"),
    "gzip": (b"\x1f\x8b\x08\x00", "neither JSON"),
    "a web page": (b"<!DOCTYPE html>", "neither JSON"),
    "a text": (b'"roas"', "neither JSON"),
    "a BOM": (b"\xef\xbb\xbf" + document(roa()), "neither JSON"),
    "SLURM": (b'{\n  "slurmVersion": 1, "validationOutputFilters": {}}', "a SLURM file: name it in SLURM"),
    "some other object": (b'{"x": 1}', "not Routinator's JSON, or another export of VRPs: Object missing"),
    "no CCR": (b"0x1234", "not a whole CCR"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_fits_nothing_is_refused_with_what_was_looked_for(case):
    body, reason = UNKNOWN[case]
    with pytest.raises(SourceError) as caught:
        auto.read(body, now=NOW)
    assert reason in str(caught.value)


def test_the_octets_are_free_to_go_once_they_are_decoded(monkeypatch):
    """A document has 100 MB: whoever tells its shape must not hold on to it."""
    events = []

    class Octets(bytes):
        def __del__(self):
            events.append("octets freed")

    def note_columns(*arguments):
        events.append("columns made")
        return make_columns(*arguments)

    make_columns = records._vrps
    monkeypatch.setattr(records, "_vrps", note_columns)
    auto.read(Octets(document(roa(), metadata=BUILT)), now=NOW)
    assert events == ["octets freed", "columns made"]
