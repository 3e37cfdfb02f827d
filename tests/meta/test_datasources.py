"""The example of docs/datasources.md is a datasource, just by being there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.examples import vrp
from tests.property.oracle import payload_of

from pyrtr import sources
from pyrtr.errors import SourceError
from pyrtr.payload.table import count_by_anchor
from pyrtr.sources.base import Reader, kinds, reader

DOCUMENT = (Path(__file__).parents[2] / "docs" / "datasources.md").read_text()
HEADING = b"ASN,IP Prefix,Max Length,Trust Anchor\n"


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """The reader of the example."""
    (example,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    (tmp_path / "csv_export.py").write_text(example)
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    kinds.cache_clear()
    yield reader("CSVEXPORT")
    monkeypatch.undo()
    kinds.cache_clear()
    sys.modules.pop("pyrtr.sources.csv_export")


def test_the_example_reads_a_document(read):
    body = (
        HEADING + b"AS64496,192.0.2.0/24,24,ripe\n64497,2001:db8::/32,48,arin\nAS64496,192.0.2.0/24,24\nAS,::/0,0,x\n"
    )
    loaded = read(body, now=0.0)
    assert payload_of(loaded.table) == [vrp("192.0.2.0/24", 24, 64496), vrp("2001:db8::/32", 48, 64497)]
    assert loaded.records == {"vrps": 4, "router_keys": 0, "aspas": 0}
    assert loaded.dropped == {"malformed": 1, "asn": 1}
    assert count_by_anchor(loaded.facts) == {"arin": 1, "ripe": 1, "x": 0}


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"\xff", HEADING + b"AS64496,192.0.2.0/2", HEADING + b'"' + b"x" * 2**18 + b"\n"]
)
def test_the_example_refuses_what_is_no_whole_document(read, body):
    with pytest.raises(SourceError):
        read(body, now=0.0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text('AS0123456789./:,"\n\0', max_size=60).map(str.encode))
def test_the_example_takes_any_octets_without_harm(read, octets):
    for body in (octets, HEADING + octets):
        try:
            loaded = read(body, now=0.0)
        except SourceError:
            continue
        assert len(loaded.table) + sum(loaded.dropped.values()) == sum(loaded.records.values())


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_is_in_the_table(kind):
    assert f"| `{kind}` |" in DOCUMENT
