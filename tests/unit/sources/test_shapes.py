"""What validators have written, version by version, in small: each record of `shapes/` says what becomes of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.examples import SKI, SPKI, aspa, vrp
from tests.property import reader_oracle

from pyrtr.errors import SourceError
from pyrtr.payload.order import vrps_of
from pyrtr.payload.table import NEVER, count_by_anchor
from pyrtr.payload.values import RouterKey
from pyrtr.sources import auto, routinator, rpki_client
from pyrtr.sources.base import Loaded

FOLDER = Path(__file__).with_name("shapes")
SHAPES = sorted(path.stem for path in FOLDER.glob("*.json"))

# rpki-client writes objects with a list of VRPs; the other shapes are for Routinator's reader alone.
PARTS_AND_ARRAYS = {path.stem for path in FOLDER.glob("fort-1.7-*.json")} | {
    path.stem for path in FOLDER.glob("*.json") if path.read_bytes().startswith(b"[")
}

KEYS = {
    "rpki-client-7.4": [64496, 64497],
    "rpki-client-9.8": [64496],
    "routinator-0.14": [64496, 64497],
    "routinator-0.14-jsonext": [64496],
    "fort-1.7-router-keys": [64496],
    "rpki-prover-bgpsec": [64496, 64497],
}
ASPAS = {
    "rpki-client-8.0": [aspa(64496, 64497, 64498, 64499), aspa(64500, 64501)],
    "rpki-client-8.4": [aspa(64496, 64497), aspa(64500, 64501, 64502), aspa(64511, 0)],
    "rpki-client-8.5": [aspa(64496, 64497, 64498), aspa(64500, 64497), aspa(64511, 0)],
    "rpki-client-9.8": [aspa(64496, 64497, 64498)],
    "routinator-0.14": [aspa(64496, 64497, 64498, 64499)],
    "routinator-0.14-jsonext": [aspa(64496, 64497, 64498)],
    "fort-1.7-aspa": [aspa(64496, 64497, 64498), aspa(64511, 0)],
    "rtrtr": [aspa(64496, 64497)],
    "rpki-prover-aspa": [aspa(64496, 64497, 64498)],
}


def read(shape: str) -> tuple[Any, Loaded]:
    """A document, and what every reader that takes it makes of it at the time that it was built."""
    body = (FOLDER / f"{shape}.json").read_bytes()
    document = json.loads(body)
    buildtime = metadata_of(document).get("buildtime", "2026-11-23T03:22:35Z")
    now = datetime.strptime(buildtime, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    expected = reader_oracle.read(body, now)
    loaded = auto.read(body, now=now)
    for reader in (routinator, rpki_client):
        if reader is rpki_client and shape in PARTS_AND_ARRAYS:
            with pytest.raises(SourceError, match="not rpki-client's JSON"):
                reader.read(body, now=now)
            continue
        same = reader.read(body, now=now)
        reader_oracle.assert_holds(same, expected)
        assert (same.table, same.metadata, same.build_time) == (loaded.table, loaded.metadata, loaded.build_time)
    return document, loaded


def metadata_of(document: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = document.get("metadata", {}) if isinstance(document, dict) else {}
    return metadata


def records(document: Any) -> Iterator[dict[str, Any]]:
    """Every record anywhere in a document."""
    match document:
        case {"why": _}:
            yield document
        case dict() | list():
            for part in document.values() if isinstance(document, dict) else document:
                yield from records(part)
        case _:
            pass


@pytest.mark.parametrize("shape", SHAPES)
def test_each_record_becomes_what_it_says(shape):
    document, loaded = read(shape)
    whys = [record["why"] for record in records(document)]
    assert loaded.dropped == Counter(why.removeprefix("dropped: ") for why in whys if why.startswith("dropped: "))
    assert all(why.startswith(("used", "dropped: ", "unknown")) for why in whys)
    roas = document if isinstance(document, list) else document.get("roas", [])
    used = [record for record in roas if "prefix" in record and record["why"].startswith("used")]
    vrps = {vrp(record["prefix"], record["maxLength"], int(str(record["asn"]).removeprefix("AS"))) for record in used}
    assert {*vrps_of(loaded.table.ipv4), *vrps_of(loaded.table.ipv6)} == vrps
    assert loaded.table.vrp_count == len(used)


@pytest.mark.parametrize("shape", SHAPES)
def test_router_keys_and_aspas_have_many_names(shape):
    _, loaded = read(shape)
    assert list(loaded.table.router_keys) == [RouterKey(SKI, asn, SPKI) for asn in KEYS.get(shape, [])]
    assert list(loaded.table.aspas) == ASPAS.get(shape, [])


@pytest.mark.parametrize("shape", SHAPES)
def test_metadata_is_kept_and_dates_the_document(shape):
    document, loaded = read(shape)
    assert loaded.metadata == metadata_of(document)
    if "buildtime" in loaded.metadata:
        assert loaded.build_time is not None
        assert f"{datetime.fromtimestamp(loaded.build_time, UTC):%FT%TZ}" == loaded.metadata["buildtime"]
    else:
        assert loaded.build_time == loaded.metadata.get("generated")


def test_of_merged_records_a_vrp_ends_last_and_an_aspa_first():
    _, loaded = read("rpki-client-7.1")
    assert loaded.facts.ipv4_expires.tolist() == [1620800000]
    _, loaded = read("rpki-client-8.0")
    assert loaded.facts.aspas_expires.tolist() == [1664550000, 1664550000]
    _, loaded = read("routinator-0.14-jsonext")
    assert [f"{datetime.fromtimestamp(end, UTC):%F}" for end in loaded.facts.ipv4_expires.tolist()] == ["2026-11-25"]
    assert [f"{datetime.fromtimestamp(end, UTC):%F}" for end in loaded.facts.aspas_expires.tolist()] == ["2026-11-27"]
    assert loaded.facts.ipv6_expires.tolist() == [NEVER]


def test_a_document_without_expires_never_ends():
    _, loaded = read("rpki-client-7.0")
    assert set(loaded.facts.ipv4_expires.tolist() + loaded.facts.ipv6_expires.tolist()) == {NEVER}


def test_records_are_counted_by_kind_and_usable_ones_by_trust_anchor():
    _, loaded = read("rpki-client-7.1")
    assert loaded.records == {"vrps": 5, "router_keys": 0, "aspas": 0}
    assert count_by_anchor(loaded.facts) == {"arin": 1, "ripe": 1}
    _, loaded = read("gortr")
    assert loaded.records == {"vrps": 7, "router_keys": 0, "aspas": 0}
    _, loaded = read("routinator-0.14")
    assert loaded.records == {"vrps": 3, "router_keys": 2, "aspas": 3}
    _, loaded = read("routinator-0.14-jsonext")
    assert count_by_anchor(loaded.facts) == {"N/A": 1, "ripe": 1}
    _, loaded = read("rpki-prover-bgpsec")
    assert loaded.records == {"vrps": 0, "router_keys": 3, "aspas": 0}
    _, loaded = read("rpki-prover-aspa")
    assert loaded.records == {"vrps": 0, "router_keys": 0, "aspas": 3}
