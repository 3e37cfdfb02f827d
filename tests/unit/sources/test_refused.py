"""Documents that are refused whole: what is missing from them would otherwise be withdrawn."""

from __future__ import annotations

import pytest
from tests.unit.sources.documents import NOW, document, providers, roa

from pyrtr.errors import SourceError
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


@pytest.mark.parametrize("case", REFUSED)
def test_a_document_is_refused_whole(case):
    body, reason = REFUSED[case]
    with pytest.raises(SourceError) as caught:
        read(body, now=NOW)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        GOOD,
        document(roa(), aspas=f"[{providers('[64497]')}]", aspa='{"64496": [64497]}'),
        document("1", roa(), x=nested(3)),
    ],
)
def test_a_document_that_is_cut_at_any_octet_is_refused(body):
    read(body, now=NOW)
    for size in range(len(body)):
        with pytest.raises(SourceError):
            read(body[:size], now=NOW)
