"""Metrics: their names, what they count, and that their documentation is complete."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from tests.examples import NASTY, aspa, key, vrp
from tests.unit.web.world import FIRST_SERIAL, PUBLISHED_AT, SESSION_IDS, World, published, world

from pyrtr.compiler.place import Place
from pyrtr.compiler.status import SourceStatus
from pyrtr.metrics import MAX_ANCHORS, RouterSums, largest, program_version, render
from pyrtr.payload.table import PayloadTable
from pyrtr.server.connection import Transport
from pyrtr.server.doors import Doors
from pyrtr.server.refusals import Reason
from pyrtr.settings import Settings
from pyrtr.sources.base import SourceReport
from pyrtr.store.database import ShareRecord
from pyrtr.wire.enums import ErrorCode, PduType, Version
from pyrtr.wire.pdu import ErrorReport, ResetQuery, SerialQuery

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

TABLES = (
    PayloadTable.of([vrp("192.0.2.0/24", 24, 64496)]),
    PayloadTable.of([vrp("192.0.2.0/24", 24, 64496), vrp("2001:db8::/32", 48, 64496), key(), aspa(64496, 64497)]),
)
FOUND = SourceReport(
    metadata={},
    records={"vrps": 5, "router_keys": 1, "aspas": 1},
    dropped={"expired": 2, "duplicate": 1},
    built_at=PUBLISHED_AT - 60,
)


def loaded(status: SourceStatus) -> None:
    """A look has come to something."""
    status.found = FOUND
    status.counts = {"ipv4": 1, "ipv6": 1, "router_keys": 1, "aspas": 1}
    status.vrps_by_anchor = {'a "quoted"\nname': 3}
    status.oversized_aspas = 4
    status.seconds = {"decode": 0.25, "total": 0.5}


async def scrape(running: World) -> Samples:
    reply = await running.client.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return dict(samples(reply.text))


def samples(text: str) -> Iterator[tuple[tuple[str, frozenset[tuple[str, str]]], float]]:
    for family in parse_text(text):
        for sample in family.samples:
            yield (sample.name, frozenset(sample.labels.items())), sample.value


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


async def test_before_there_is_data():
    async with world(published()) as running:
        found = await scrape(running)
    assert value(found, "pyrtr_healthy") == 0
    assert value(found, "clients") == 0
    assert value(found, "rpki_v0_vrps") == 0
    names = {name for name, _ in found}
    assert names.isdisjoint({"pyrtr_payload", "pyrtr_serial", "pyrtr_published_timestamp_seconds"})
    assert not any(name.startswith("pyrtr_source_last") for name in names)


async def test_the_older_names():
    async with world(published(*TABLES)) as running:
        await running.router()
        found = await scrape(running)
    assert value(found, "clients") == 1
    for version, keys in ((0, 0), (1, 1), (2, 1)):
        assert value(found, f"rpki_v{version}_vrps") == 2
        assert value(found, f"rpki_v{version}_bgpsec_keys") == keys
        assert value(found, f"rpki_v{version}_serial_total") == FIRST_SERIAL + 1


async def test_what_is_served():
    async with world(published(*TABLES)) as running:
        found = await scrape(running)
    for kind in ("ipv4", "ipv6", "router_keys", "aspas"):
        assert value(found, "pyrtr_payload", kind=kind) == 1
    assert value(found, "pyrtr_serial") == FIRST_SERIAL + 1
    assert value(found, "pyrtr_history_serials") == 1
    assert value(found, "pyrtr_published_timestamp_seconds") == PUBLISHED_AT
    for version in Version:
        assert value(found, "pyrtr_session_id", version=version.name) == SESSION_IDS[version][0]
    assert value(found, "pyrtr_healthy") == 1


async def test_only_versions_that_are_served():
    async with world(published(*TABLES), Settings(min_version=1, max_version=1)) as running:
        found = await scrape(running)
    assert [dict(labels) for name, labels in found if name == "pyrtr_session_id"] == [{"version": "V1"}]
    assert [dict(labels) for name, labels in found if name == "pyrtr_routers"] == [
        {"version": "V1"},
        {"version": "none"},
    ]


async def test_routers():
    async with world(published(*TABLES)) as running:
        await running.router()
        await running.router(ResetQuery(), version=Version.V0, until=PduType.END_OF_DATA)
        for _ in range(2):
            query = SerialQuery(SESSION_IDS[Version.V1][0], FIRST_SERIAL)
            await running.router(query, until=PduType.END_OF_DATA)
        await running.router(SerialQuery(SESSION_IDS[Version.V2][0], 7), version=Version.V2, until=PduType.CACHE_RESET)
        running.context.publisher.publish(published(*TABLES, TABLES[0]))
        assert running.context.listener is not None
        running.context.listener.accept_errors = 3
        found = await scrape(running)
    for version, count in (("none", 1), ("V0", 1), ("V1", 2), ("V2", 1)):
        assert value(found, "pyrtr_routers", version=version) == count
    assert value(found, "pyrtr_connections_total") == 5
    assert value(found, "pyrtr_accept_errors_total") == 3
    assert value(found, "pyrtr_queries_total", kind="reset") == 1
    assert value(found, "pyrtr_queries_total", kind="serial") == 3
    for kind, count in (("full", 1), ("delta", 2), ("cache_reset", 1), ("notify", 3)):
        assert value(found, "pyrtr_responses_total", kind=kind) == count
    assert value(found, "pyrtr_bytes_total", direction="received") == 8 + 3 * 12
    assert value(found, "pyrtr_bytes_total", direction="sent") > 100


async def test_routers_that_are_gone_still_count():
    async with world(published(*TABLES)) as running:
        address = await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        before = await scrape(running)
        connection = running.connection(address)
        assert connection is not None
        running.context.registry.remove(connection)
        after = await scrape(running)
    assert (value(before, "clients"), value(after, "clients")) == (1, 0)
    for name, label in (("pyrtr_queries_total", {"kind": "reset"}), ("pyrtr_bytes_total", {"direction": "sent"})):
        assert value(after, name, **label) == value(before, name, **label) > 0


async def test_error_reports():
    async with world(published(*TABLES)) as running:
        refused = await running.router(
            ResetQuery(), SerialQuery(1, 1), until=PduType.ERROR_REPORT
        )  # of another session: Corrupt Data
        assert refused
        address = await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        connection = running.connection(address)
        assert connection is not None
        for code in (ErrorCode.NO_DATA_AVAILABLE, 4711, 65535):
            connection.session.errors_received[code] += 1
        connection.session.error_received = ErrorReport(4711, b"", "")
        found = await scrape(running)
    errors = {labels: count for (name, labels), count in found.items() if name == "pyrtr_errors_total"}
    assert len(errors) == 2 * len(ErrorCode) + 1  # codes that nobody assigned make no series of their own
    assert value(found, "pyrtr_errors_total", direction="sent", code="0") == 1
    assert value(found, "pyrtr_errors_total", direction="received", code="2") == 1
    assert value(found, "pyrtr_errors_total", direction="received", code="other") == 2
    assert value(found, "pyrtr_errors_total", direction="received", code="13") == 0


async def test_the_source():
    async with world(published(*TABLES)) as running:
        status = running.context.loader.status
        status.last_attempt, status.last_success = PUBLISHED_AT + 2, PUBLISHED_AT + 1
        status.success_count, status.failure_count = 5, 2
        loaded(status)
        status.error = "not JSON"
        found = await scrape(running)
    assert value(found, "pyrtr_source_attempts_total", result="success") == 5
    assert value(found, "pyrtr_source_attempts_total", result="failure") == 2
    assert value(found, "pyrtr_source_last_attempt_timestamp_seconds") == PUBLISHED_AT + 2
    assert value(found, "pyrtr_source_last_success_timestamp_seconds") == PUBLISHED_AT + 1
    assert value(found, "pyrtr_source_build_timestamp_seconds") == PUBLISHED_AT - 60
    assert value(found, "pyrtr_source_records", kind="vrps") == 5
    assert value(found, "pyrtr_source_dropped", reason="expired") == 2
    assert value(found, "pyrtr_oversized_aspas") == 4
    assert value(found, "pyrtr_source_vrps", ta='a "quoted"\nname') == 3
    assert value(found, "pyrtr_source_load_duration_seconds", stage="decode") == 0.25
    assert value(found, "pyrtr_source_load_duration_seconds", stage="total") == 0.5


async def test_the_process_and_the_build():
    async with world(published()) as running:
        found = await scrape(running)
    assert value(found, "process_resident_memory_bytes") > 2**20
    assert value(found, "process_open_fds") > 2
    ((labels, one),) = [(dict(labels), one) for (name, labels), one in found.items() if name == "pyrtr_build_info"]
    assert (labels["version"], one) == (program_version(), 1)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain; version=no number", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=1.x", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=2", "application/openmetrics-text; version=2; charset=utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text;version=1.0.0,*/*;q=0.1", "application/openmetrics-text; version=1.0.0"),
    ],
)
async def test_formats(accept, content_type):
    async with world(published(*TABLES)) as running:
        status = running.context.loader.status
        loaded(status)
        reply = await running.client.get("/metrics", headers={"accept": accept})
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith(content_type)
    parse = parse_openmetrics if "openmetrics" in content_type else parse_text
    names = [sample.name for family in parse(reply.text) for sample in family.samples]
    assert {"clients", "rpki_v0_serial_total", "pyrtr_build_info", "pyrtr_source_vrps"} <= set(names)


def test_anchors_beyond_number():
    counts = {f"ta{number:04}": 5000 - number for number in range(1000)} | {"other": 9999}
    kept = largest(counts)
    assert len(kept) == MAX_ANCHORS
    assert sum(kept.values()) == sum(counts.values())
    assert kept["ta0000"] == 5000
    assert kept["other"] > 9999
    assert largest({"a": 1, "b": 2}) == {"a": 1, "b": 2}


async def test_more_routers_than_one_slice(monkeypatch):
    monkeypatch.setattr("pyrtr.web.exposition.in_slices.__defaults__", (2,))
    async with world(published(*TABLES)) as running:
        for _ in range(5):
            await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        found = await scrape(running)
    assert value(found, "clients") == 5
    assert value(found, "pyrtr_queries_total", kind="reset") == 5


async def test_sums_are_their_own():
    """Counting must not touch what the registry counts."""
    async with world(published(*TABLES)) as running:
        totals = Counter({("queries", "reset"): 1})
        await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        sums = RouterSums(totals)
        sums.add(running.context.registry.connections)
        assert sums.counts["queries", "reset"] == 2
        assert totals == {("queries", "reset"): 1}


async def test_every_metric_is_documented_with_its_type_and_labels():
    async with world(published(PayloadTable.of(), PayloadTable.of(NASTY))) as running:
        status = running.context.loader.status
        status.last_attempt = status.last_success = PUBLISHED_AT
        loaded(status)
        (place,) = running.context.loader.places
        assert isinstance(place, Place)
        place.share = ShareRecord("", "", b"", {}, FOUND)
        place.feed.details = lambda: {"http_status": 304}  # type: ignore[method-assign]
        running.context.loader.slurm.status.filtered = running.context.loader.slurm.status.added = {"file": {"vrps": 1}}
        running.context.registry.refusals.refuse(Transport.TLS, Reason.EXPIRED, "192.0.2.1:1")
        doors = cast("Doors", SimpleNamespace(certificate_expires_at=PUBLISHED_AT))
        text = render(replace(running.context, doors=doors), RouterSums({}), "")[0].decode()
    exposed = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        labels = {label for sample, found in samples_with_labels(text) if sample == name for label in found}
        exposed[name] = (kind, labels)
    documented: dict[str, tuple[str, set[str]]] = {}
    for line in (Path(__file__).parents[2] / "docs" / "metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            labels = {part.strip().split("`")[1] for part in label_parts(cells[2])}
            documented |= dict.fromkeys(re.findall("`([^`]+)`", cells[0]), (cells[1], labels))
    assert documented == exposed


def label_parts(cell: str) -> list[str]:
    """The labels of a cell such as "`a`: `x`, `y`; `b`" or "`a`, `b`"."""
    parts = cell.split(";") if ":" in cell else cell.split(",")
    return [part for part in parts if part.strip()]


def samples_with_labels(text: str) -> Iterator[tuple[str, set[str]]]:
    for (name, labels), _ in samples(text):
        yield name, {label for label, _ in labels}
