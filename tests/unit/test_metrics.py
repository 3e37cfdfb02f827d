"""Metrics: their names, and what they count. That their documentation is complete `tests/monitoring` sees to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from tests.examples import aspa, key, vrp
from tests.unit.web.world import FIRST_SERIAL, PUBLISHED_AT, SESSION_IDS, World, published, world

from pyrtr.compiler.status import SourceStatus
from pyrtr.histogram import Histogram
from pyrtr.metrics import MAX_ANCHORS, RouterSums, largest, program_version
from pyrtr.payload.delta import difference
from pyrtr.payload.table import PayloadTable
from pyrtr.pulse import INTERVAL_S
from pyrtr.session.actions import Parting
from pyrtr.settings import Settings
from pyrtr.sources.base import SourceReport
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


def value(found: Samples, name: str, /, **labels: str) -> float:
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
    async with world(published(*TABLES), Settings(router_metrics=True)) as running:
        await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        loaded(running.context.loader.status)
        reply = await running.client.get("/metrics", headers={"accept": accept})
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith(content_type)
    parse = parse_openmetrics if "openmetrics" in content_type else parse_text
    names = [sample.name for family in parse(reply.text) for sample in family.samples]
    assert {"clients", "rpki_v0_serial_total", "pyrtr_build_info", "pyrtr_source_vrps", "pyrtr_router_info"} <= set(
        names
    )
    assert not any(name.endswith("_created") for name in names)


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
        totals = running.context.registry.totals = Counter({("queries", "reset"): 1})
        await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        sums = RouterSums(running.context.registry, PUBLISHED_AT)
        sums.add(running.context.registry.connections)
        assert sums.counts["queries", "reset"] == 2
        assert totals == {("queries", "reset"): 1}


async def test_what_routers_hold():
    async with world(published(*TABLES)) as running:
        await running.router()
        for _ in range(3):
            await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        await until(lambda: sum(each.synced_at is not None for each in running.context.registry.connections), 3)
        running.context.publisher.publish(published(*TABLES, TABLES[0]))
        behind, lagging, current = (each for each in running.context.registry.connections if each.synced_at is not None)
        assert behind.synced_at is not None
        lagging.synced_at = behind.synced_at - 3601
        current.session.held = running.context.publisher.current.state(Version.V1)
        found = await scrape(running)
    for sync, count in (("none", 1), ("current", 1), ("behind", 1), ("lagging", 1)):
        assert value(found, "pyrtr_sync_routers", sync=sync) == count
    assert value(found, "pyrtr_sync_duration_seconds_count", kind="full") == 3
    assert value(found, "pyrtr_sync_duration_seconds_bucket", kind="full", le="+Inf") == 3
    assert value(found, "pyrtr_sync_duration_seconds_sum", kind="full") > 0


async def until(count: Callable[[], int], wanted: int) -> None:
    """A router has its answer a moment before we have done with it."""
    async with asyncio.timeout(10):
        while count() < wanted:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)


async def test_why_routers_left():
    async with world(published(*TABLES)) as running:
        await running.router(ResetQuery(), SerialQuery(1, 1), until=PduType.ERROR_REPORT)
        await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        for writer in running.routers:
            writer.close()
        partings = running.context.registry.partings
        await until(partings.total, 2)
        found = await scrape(running)
    reasons = {dict(labels)["reason"]: count for (name, labels), count in found.items() if "disconnects" in name}
    assert reasons == dict.fromkeys(Parting, 0.0) | {"protocol_error": 1, "router_closed": 1}


@pytest.mark.parametrize("is_wanted", [False, True])
async def test_each_router_only_where_that_is_asked_for(is_wanted):
    async with world(published(*TABLES), Settings(router_metrics=is_wanted)) as running:
        address = await running.router(ResetQuery(), until=PduType.END_OF_DATA)
        host, _, port = address.rpartition(":")
        connection = running.connection(address)
        assert connection is not None
        await until(lambda: int(connection.synced_at is not None), 1)
        connection.session.error_received = ErrorReport(4711, b"", "")
        found = await scrape(running)
    names = {name for name, labels in found if ("router", host) in labels}
    assert bool(names) is is_wanted
    if is_wanted:
        who = {"router": host, "port": port}
        assert value(found, "pyrtr_router_info", **who, transport="tcp", version="V1") == 1
        assert value(found, "pyrtr_router_serial", **who) == FIRST_SERIAL + 1
        assert value(found, "pyrtr_router_behind_seconds", **who) == 0
        assert value(found, "pyrtr_router_queries_total", **who, kind="reset") == 1
        assert value(found, "pyrtr_router_last_error_info", **who, code="4711", name="unassigned") == 1


async def test_changes():
    delta = difference(*TABLES)
    other = difference(TABLES[1], PayloadTable.of([aspa(64496, 64498)]))
    async with world(published(*TABLES)) as running:
        for change in (delta, other):
            running.context.loader.status.changed(change)
        found = await scrape(running)
    changes = {
        (labels["action"], labels["kind"]): count
        for labels, count in ((dict(labels), count) for (name, labels), count in found.items() if "changes" in name)
        if count
    }
    came = {("announce", "ipv6"), ("announce", "router_keys"), ("announce", "aspas")}
    went = {("withdraw", "ipv4"), ("withdraw", "ipv6"), ("withdraw", "router_keys"), ("replace", "aspas")}
    assert changes == dict.fromkeys(came | went, 1.0)


async def test_the_state_folder_and_its_disk(tmp_path):
    (tmp_path / "damaged").mkdir()
    for name in ("table-1", "damaged/table-0"):
        (tmp_path / name).write_bytes(bytes(1000))
    async with world(published(), Settings(state=tmp_path)) as running:
        found = await scrape(running)
        running.context.loader.status.state_error = "no room"
        broken = await scrape(running)
    assert value(found, "pyrtr_state_bytes") == 2000
    assert 0 < value(found, "pyrtr_state_free_bytes") < value(found, "pyrtr_state_filesystem_bytes")
    assert (value(found, "pyrtr_state_kept"), value(broken, "pyrtr_state_kept")) == (1, 0)
    async with world(published(), Settings(state=None)) as running:
        assert not any(name.startswith("pyrtr_state") for name, _ in await scrape(running))


async def test_processes_that_it_has_started():
    async with world(published()) as running:
        before = await scrape(running)
        child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
        found = await scrape(running)
        child.kill()
        await child.wait()
    assert value(found, "pyrtr_child_processes") == value(before, "pyrtr_child_processes") + 1
    assert value(found, "pyrtr_child_memory_bytes") > value(before, "pyrtr_child_memory_bytes")


async def test_the_event_loop_is_late():
    async with world(published()) as running:
        pulse = running.context.pulse
        beating = asyncio.create_task(pulse.run())
        await asyncio.sleep(0)
        time.sleep(INTERVAL_S + 0.06)  # noqa: ASYNC251 - it holds up the loop
        await until(lambda: int(pulse.lags.sum > 0), 1)
        beating.cancel()
        found = await scrape(running)
    assert value(found, "pyrtr_event_loop_lag_seconds_count") == 1
    assert value(found, "pyrtr_event_loop_lag_seconds_bucket", le="0.05") == 0
    assert value(found, "pyrtr_event_loop_lag_seconds_sum") >= 0.06


def test_histograms():
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds)
    assert histogram.buckets() == [("0.1", 2), ("1.0", 3), ("+Inf", 4)]
    assert histogram.sum == pytest.approx(7.65)


@pytest.mark.parametrize(
    ("accept_encoding", "is_compressed"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("gzip;q=0.001", True),
        ("identity", False),
        ("x-gzip", False),
        ("", False),
    ],
)
async def test_compression(accept_encoding, is_compressed):
    async with world(published(*TABLES)) as running:
        reply = await running.client.get("/metrics", headers={"accept-encoding": accept_encoding})
    assert (reply.headers.get("content-encoding") == "gzip") is is_compressed
    assert "accept-encoding" in reply.headers["vary"]
    assert "pyrtr_healthy 1.0" in reply.text
