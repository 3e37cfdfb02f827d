"""What is dumped is read as the same set."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from tests.property.strategies import payload_lists

from pyrtr.cli import writers
from pyrtr.payload.order import vrps_of
from pyrtr.payload.table import PayloadTable
from pyrtr.sources.auto import read


def joined(pieces: writers.Pieces, count: int) -> str:
    """The text; what is told of the progress begins with nothing and ends with all of it."""
    told = [*pieces]
    numbers = [done for done, _ in told]
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == (0, count)
    return "".join(text for _, text in told)


@pytest.mark.parametrize("batch", [1, 10_000])
@given(values=payload_lists)
def test_json_is_read_as_the_same_set(values, batch):
    table = PayloadTable.of(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writers, "_BATCH", batch)
        text = joined(writers.rpki_client_json(table, {"buildtime": "2026-11-23T10:00:00Z"}, "rtr"), len(table))
    loaded = read(text.encode(), now=0)
    assert loaded.table == table
    assert (loaded.dropped, loaded.build_time is None) == ({}, False)
    assert set(json.loads(text)) == {"metadata", "roas", "bgpsec_keys", "aspas"}


@given(values=payload_lists)
def test_csv_has_every_vrp(values):
    table = PayloadTable.of(values)
    heading, *rows = csv.reader(io.StringIO(joined(writers.csv(table, "rtr"), table.vrp_count)))
    assert heading == ["ASN", "IP Prefix", "Max Length", "Trust Anchor", "Expires"]
    vrps = vrps_of(table.ipv4) + vrps_of(table.ipv6)
    assert [row[2] for row in rows] == [str(vrp.max_length) for vrp in vrps]
    assert [row[0] for row in rows] == [f"AS{vrp.asn}" for vrp in vrps]
    assert all(row[3:] == ["rtr", ""] for row in rows)
