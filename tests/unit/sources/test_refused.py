"""Documents that are refused whole: what is missing from them would otherwise be withdrawn."""

from __future__ import annotations

import pytest
from tests.unit.sources.documents import NOW, document, providers, roa

from pyrtr.errors import SourceError
from pyrtr.sources import auto, routinator
from pyrtr.sources.rpki_client import read


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


GOOD = document(roa(), metadata='{"vrps": 1}', x='"y"')
REFUSED = {
    "no JSON": (b"asn,prefix,maxLength", "invalid character (byte 0)"),
    "nothing": (b"", "truncated"),
    "white space": (b" \n", "truncated"),
    "BOM": (b"\xef\xbb\xbf" + GOOD, "invalid character (byte 0)"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "invalid"),
    "compressed": (b"\x1f\x8b\x08\x00", "'utf-8' codec can't decode byte 0x8b in position 1"),
    "array": (f"[{roa()}]".encode(), "Expected `object`, got `array`"),
    "text": (b'"roas"', "Expected `object`, got `str`"),
    "null": (b"null", "Expected `object`, got `null`"),
    "number": (b"0", "Expected `object`, got `int`"),
    "no roas": (b'{"metadata": {}}', "missing required field `roas`"),
    "SLURM": (b'{"slurmVersion": 1, "validationOutputFilters": {}}', "missing required field `roas`"),
    "roas null": (b'{"roas": null}', "Expected `array`, got `null` - at `$.roas`"),
    "roas object": (b'{"roas": {}}', "Expected `array`, got `object` - at `$.roas`"),
    "roas text": (b'{"roas": ""}', "Expected `array`, got `str` - at `$.roas`"),
    "keys null": (document(bgpsec_keys="null"), "at `$.bgpsec_keys`"),
    "aspas object": (document(aspas="{}"), "at `$.aspas`"),
    "families array": (document(provider_authorizations="[]"), "at `$.provider_authorizations`"),
    "map array": (document(aspa="[]"), "at `$.aspa`"),
    "cut in a bad record": (b'{"roas": [1', "truncated"),
    "cut after a bad record": (b'{"roas": [1, {"asn": 1', "truncated"),
    "one more": (GOOD + b"x", "trailing characters"),
    "two documents": (GOOD * 2, "trailing characters"),
    "NUL": (GOOD + b"\0", "trailing characters"),
    "comma": (b'{"roas": [],}', "malformed"),
    "NaN": (document(roa(asn="NaN")), "invalid character"),
    "NaN elsewhere": (document(x="NaN"), "invalid character"),
    "infinity": (document(roa(expires="Infinity")), "invalid character"),
    "broken metadata": (document(metadata='{"vrps": nul}'), "invalid character"),
    "broken metadata, a bad record": (document("1", metadata='{"vrps": nul}'), "invalid character"),
    "line break in a text": (document(roa(prefix='"192.0.2.0/24\n"')), "invalid character"),
    "half a surrogate": (document(roa(prefix='"\\ud800"')), "surrogate"),
    "half a surrogate, a bad record": (document("1", roa(prefix='"\\ud800"')), "malformed"),
    "depth": (document(x=nested(100_000)), "recursion"),
    "depth in a record": (document(roa(x=nested(100_000))), "recursion"),
    "depth in a bad record": (document(f"[{nested(100_000)}]"), "recursion"),
    "depth after a bad record": (document("1", metadata=nested(100_000)), "recursion"),
    "depth in metadata": (document(metadata=nested(100_000)), "recursion"),
    **{
        f"no UTF-8 in {name}": (body.replace(b"@", b"\xff"), "'utf-8' codec can't decode byte 0xff in position")
        for name, body in {
            "prefix": document(roa(prefix='"@"')),
            "trust anchor": document(roa(ta='"@"')),
            "bad record": document(roa(prefix='"@"', asn="true")),
            "record after a bad one": document("1", roa(prefix='"@"')),
            "metadata": document(metadata='{"vrps": "@"}'),
            "an unknown member": document(x='"@"'),
        }.items()
    },
}


ROUTINATOR_REFUSED = {
    **{case: (body, reason) for case, (body, reason) in REFUSED.items() if case != "array"},
    "an empty array": (b"[]", "an array of 0 records, none of which is a VRP, an ASPA or a router key"),
    "an array of nothing known": (b'[1, {"prefix": "192.0.2.0/24"}]', "an array of 2 records, none of which"),
    "an array of no certificates": (
        b'[{"ski": "00", "asns": [], "subjectPublicKeyInfo": ""}]',
        "an array of 1 records",
    ),
    "an array of arrays": (f"[[{roa()}]]".encode(), "an array of 1 records"),
    "an array that is cut": (f"[{roa()}, {roa()}".encode(), "truncated"),
    "an array that is cut after another record": (f"[{roa()}, 1, {roa()}".encode(), "truncated"),
    "an array and more": (f"[{roa()}] x".encode(), "trailing characters"),
    "an array with half a surrogate": (f"[{roa(prefix=chr(34) + chr(92) + 'ud800' + chr(34))}]".encode(), "surrogate"),
    "an array and no UTF-8": (f"[{roa(x=chr(34) + '@' + chr(34))}]".encode().replace(b"@", b"\xff"), "'utf-8' codec"),
    "depth in an array": (f"[{nested(100_000)}]".encode(), "recursion"),
    "keys of FORT that are none": (b'{"router-keys": {}}', "Expected `array`, got `object` - at `$.router-keys`"),
    "ASPAs of FORT that are none": (b'{"aspa": []}', "Expected `object`, got `array` - at `$.aspa`"),
    "past its end": (
        document(roa(), metadata=f'{{"valid": {NOW}}}'),
        "metadata.valid=1795404155: the file was good until 2026-11-23T03:22:35Z only; fetch a newer one",
    ),
}
ROUTINATOR_REFUSED["no roas"] = (b'{"metadata": {}}', "missing required field `roas` or `router-keys` or `aspa`")
ROUTINATOR_REFUSED["SLURM"] = (REFUSED["SLURM"][0], ROUTINATOR_REFUSED["no roas"][1])


@pytest.mark.parametrize("case", REFUSED)
def test_a_document_is_refused_whole(case):
    body, reason = REFUSED[case]
    with pytest.raises(SourceError) as caught:
        read(body, now=NOW)
    assert reason in str(caught.value)


@pytest.mark.parametrize("case", ROUTINATOR_REFUSED)
def test_routinators_reader_refuses_a_document_whole(case):
    body, reason = ROUTINATOR_REFUSED[case]
    with pytest.raises(SourceError) as caught:
        routinator.read(body, now=NOW)
    assert reason in str(caught.value)


@pytest.mark.parametrize("valid", [f"{NOW + 1}", f"{NOW}.5", '"text"', "true", "null", "-1", "1e300", "[]"])
def test_a_document_that_is_not_past_its_end_is_read(valid):
    assert len(routinator.read(document(roa(), metadata=f'{{"valid": {valid}}}'), now=NOW).table) == 1


def test_an_end_is_found_in_monstrous_metadata():
    metadata = f'{{"counts": "{"x" * 2**16}", "valid": {NOW}}}'
    with pytest.raises(SourceError, match=r"metadata\.valid"):
        routinator.read(document(roa(), metadata=metadata), now=NOW)


def test_rpki_client_knows_no_end_of_a_document():
    assert len(read(document(roa(), metadata='{"valid": 1}'), now=NOW).table) == 1


@pytest.mark.parametrize(
    "body",
    [
        GOOD,
        document(roa(), aspas=f"[{providers('[64497]')}]", aspa='{"64496": [64497]}'),
        document("1", roa(), x=nested(3)),
        f"[{roa()}, {roa(asn='64497')}]".encode(),
        f"[{roa()}, 1, {providers('[64497]')}]".encode(),
    ],
)
def test_a_document_that_is_cut_at_any_octet_is_refused(body):
    readers = [routinator.read, auto.read] if body.startswith(b"[") else [read, routinator.read, auto.read]
    for reader in readers:
        reader(body, now=NOW)
        for size in range(len(body)):
            with pytest.raises(SourceError):
                reader(body[:size], now=NOW)
