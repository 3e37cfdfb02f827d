"""Prometheus metrics: read from the running program when they are asked for, and kept nowhere else.

`docs/metrics.md` says what each of them means.
"""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from pyrtr.logs import printable
from pyrtr.server.connection import Connection, Transport
from pyrtr.server.publisher import Published
from pyrtr.server.registry import tally
from pyrtr.web.verdict import condition, judge
from pyrtr.wire.enums import PDU_TYPES, ErrorCode, PduType, Version

if TYPE_CHECKING:
    from pyrtr.compiler.slurm import SlurmStatus
    from pyrtr.compiler.status import SourceStatus
    from pyrtr.compiler.updater import Located
    from pyrtr.web.context import Context

# Five trust anchors exist. A source that names thousands must not make thousands of series.
MAX_ANCHORS = 32
OTHER = "other"

_PROCESS = ProcessCollector(registry=None)


class RouterSums:
    """Sums over all routers, connected or gone: gathered in turns of the event loop, since there may be thousands.

    Args:
        totals: those of routers that are gone.
    """

    def __init__(self, totals: Mapping[tuple[str, str], int]) -> None:
        self.counts = Counter(totals)
        self.versions: Counter[Version | None] = Counter()
        self.transports: Counter[Transport] = Counter()

    def add(self, connections: Iterable[Connection]) -> None:
        """Count these routers, too."""
        for connection in connections:
            self.versions[connection.session.version] += 1
            self.transports[connection.transport] += 1
            self.counts.update(tally(connection))


@cache
def program_version() -> str:
    """The version of pyRTR that is installed."""
    return version_of("pyrtr")


def largest(counts: Mapping[str, int], limit: int = MAX_ANCHORS) -> dict[str, int]:
    """The largest counts by name, and the sum of the others, where there are any, as "other"."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = dict(ranked[:limit])
    if rest := sum(count for _, count in ranked[limit:]):
        kept[OTHER] = kept.get(OTHER, 0) + rest
    return kept


def render(context: Context, sums: RouterSums, accept: str) -> tuple[bytes, str]:
    """All metrics as text.

    Args:
        context: the running program.
        sums: those of the routers.
        accept: the Accept header of the request, which chooses between Prometheus' own format and OpenMetrics.

    Returns:
        The text and its content type.
    """
    registry = CollectorRegistry()
    registry.register(_StateCollector(context, sums))
    registry.register(_PROCESS)
    try:
        encode, content_type = choose_encoder(accept)
    except TypeError:  # the library compares a version that is no number with one that is
        encode, content_type = choose_encoder("")
    return encode(registry), content_type


class _StateCollector(Collector):
    """The state of the running program as metrics."""

    def __init__(self, context: Context, sums: RouterSums) -> None:
        self._context = context
        self._sums = sums

    def collect(self) -> Iterator[Metric]:
        context, published = self._context, self._context.publisher.current
        yield from _seed_metrics(published, sum(self._sums.versions.values()))
        yield from _program_metrics(context)
        yield from _router_metrics(context, self._sums)
        yield from _payload_metrics(published, context.versions)
        yield from _source_metrics(context.loader.status)
        is_failing = context.loader.history_error is not None
        yield GaugeMetricFamily("pyrtr_history_failing", "1 while the history for people can't be written.", is_failing)
        yield from _location_metrics(context.loader.places)
        yield from _slurm_metrics(context.loader.slurm.status)


def _seed_metrics(published: Published, router_count: int) -> Iterator[Metric]:
    """The older names, which go on working."""
    yield GaugeMetricFamily("clients", "Connected routers; see pyrtr_routers.", router_count)
    table = published.table
    for version in Version:
        prefix = f"rpki_v{int(version)}"
        keys = 0 if table is None or PduType.ROUTER_KEY not in PDU_TYPES[version] else len(table.router_keys)
        vrps = 0 if table is None else table.vrp_count
        name = version.name
        yield GaugeMetricFamily(f"{prefix}_vrps", f"VRPs served in {name}; see pyrtr_payload.", vrps)
        yield GaugeMetricFamily(f"{prefix}_bgpsec_keys", f"Router keys served in {name}; see pyrtr_payload.", keys)
        yield CounterMetricFamily(f"{prefix}_serial", f"Serial of {name}; see pyrtr_serial.", published.serial)


def _program_metrics(context: Context) -> Iterator[Metric]:
    yield InfoMetricFamily(
        "pyrtr_build",
        "Versions of pyRTR and Python.",
        {"version": program_version(), "python": platform.python_version()},
    )
    verdict = judge(condition(context, time.time()))
    yield GaugeMetricFamily("pyrtr_healthy", "1 if /healthz answers 200, else 0.", int(verdict.is_healthy))


def _router_metrics(context: Context, sums: RouterSums) -> Iterator[Metric]:
    counts = sums.counts
    routers = GaugeMetricFamily("pyrtr_routers", "Connected routers by negotiated version.", labels=["version"])
    for version in context.versions:
        routers.add_metric([version.name], sums.versions[version])
    routers.add_metric(["none"], sums.versions[None])
    yield routers
    carried = GaugeMetricFamily("pyrtr_transport_routers", "Connected routers by transport.", labels=["transport"])
    for transport in Transport:
        carried.add_metric([transport], sums.transports[transport])
    yield carried
    yield CounterMetricFamily(
        "pyrtr_connections", "Connections of routers since the start.", context.registry.accepted_count
    )
    yield CounterMetricFamily(
        "pyrtr_accept_errors",
        "Connections that could not be accepted.",
        0 if context.listener is None else context.listener.accept_errors,
    )
    refused = CounterMetricFamily(
        "pyrtr_refused_routers", "Routers that were turned away, by reason.", labels=["transport", "reason"]
    )
    for (transport, reason), count in context.registry.refusals.counts.items():
        refused.add_metric([transport, reason.name.lower()], count)
    yield refused
    yield from _timestamp(
        "pyrtr_tls_certificate_expiry",
        "When our certificate expires.",
        None if context.doors is None else context.doors.certificate_expires_at,
    )
    queries = CounterMetricFamily("pyrtr_queries", "Queries of routers.", labels=["kind"])
    for kind in ("reset", "serial"):
        queries.add_metric([kind], counts["queries", kind])
    yield queries
    responses = CounterMetricFamily("pyrtr_responses", "What routers were sent, by kind.", labels=["kind"])
    for kind in ("full", "delta", "cache_reset", "notify"):
        responses.add_metric([kind], counts["sent", kind])
    yield responses
    octets = CounterMetricFamily("pyrtr_bytes", "Octets from and to routers.", labels=["direction"])
    for direction in ("received", "sent"):
        octets.add_metric([direction], counts["bytes", direction])
    yield octets
    yield _error_metric(counts)


def _error_metric(counts: Mapping[tuple[str, str], int]) -> Metric:
    # A router may send any of 65536 codes: those that nobody assigned share one series.
    by_code = Counter({(direction, str(int(code))): 0 for direction in ("received", "sent") for code in ErrorCode})
    for (what, code), count in counts.items():
        if what in ("error_received", "error_sent"):
            direction = what.removeprefix("error_")
            by_code[direction, code if (direction, code) in by_code else OTHER] += count
    errors = CounterMetricFamily("pyrtr_errors", "Error Reports by code.", labels=["direction", "code"])
    for labels, count in by_code.items():
        errors.add_metric(labels, count)
    return errors


def _payload_metrics(published: Published, versions: Iterable[Version]) -> Iterator[Metric]:
    sessions = GaugeMetricFamily("pyrtr_session_id", "Session id by version.", labels=["version"])
    for version in versions:
        sessions.add_metric([version.name], published.session_ids[version][0])
    yield sessions
    steps = len(published.history.steps)
    yield GaugeMetricFamily("pyrtr_history_serials", "Older serials that deltas can be made from.", steps)
    table = published.table
    if table is None:
        return
    payload = GaugeMetricFamily("pyrtr_payload", "Unique payload that is served, by kind.", labels=["kind"])
    payload.add_metric(["ipv4"], len(table.ipv4))
    payload.add_metric(["ipv6"], len(table.ipv6))
    payload.add_metric(["router_keys"], len(table.router_keys))
    payload.add_metric(["aspas"], len(table.aspas))
    yield payload
    yield GaugeMetricFamily("pyrtr_serial", "The current serial, the same in all versions.", published.serial)
    yield GaugeMetricFamily(
        "pyrtr_published_timestamp_seconds", "When the current serial was published.", published.published_at
    )


def _source_metrics(status: SourceStatus) -> Iterator[Metric]:
    attempts = CounterMetricFamily("pyrtr_source_attempts", "Looks at the source by result.", labels=["result"])
    attempts.add_metric(["success"], status.success_count)
    attempts.add_metric(["failure"], status.failure_count)
    yield attempts
    yield from _timestamp("pyrtr_source_last_attempt", "When the source was last looked at.", status.last_attempt)
    yield from _timestamp("pyrtr_source_last_success", "When a look last came to something.", status.last_success)
    unproved = status.unproved_count
    yield CounterMetricFamily("pyrtr_unproved_deltas", "Deltas that failed their proof and were not used.", unproved)
    generations = CounterMetricFamily("pyrtr_generations", "Serials published, by cause.", labels=["cause"])
    for cause, count in status.generation_counts.items():
        generations.add_metric([cause], count)
    yield generations
    held_vrps = 0 if status.held is None else status.held.losses.vrps.lost
    yield GaugeMetricFamily("pyrtr_load_held", "1 while a load waits for `pyrtr accept`.", status.held is not None)
    yield GaugeMetricFamily("pyrtr_load_held_vrps", "VRPs that the held load takes away.", held_vrps)
    yield GaugeMetricFamily(
        "pyrtr_storage_failing", "1 while new generations can't be stored.", status.storage_error is not None
    )
    found = status.found
    if found is None:
        return
    yield from _timestamp("pyrtr_source_build", "When the validator wrote the data.", found.built_at)
    for name, text, label, values in (
        ("pyrtr_source_records", "Records of the last good look, by kind.", "kind", found.records),
        ("pyrtr_source_dropped", "Records that were not used, by reason.", "reason", found.dropped),
        ("pyrtr_source_vrps", "Usable VRP records by trust anchor.", "ta", largest(status.vrps_by_anchor)),
    ):
        family = GaugeMetricFamily(name, text, labels=[label])
        for value, count in values.items():
            family.add_metric([value], count)
        yield family
    durations = GaugeMetricFamily(
        "pyrtr_source_load_duration_seconds", "How long the last good look took, by stage.", labels=["stage"]
    )
    for stage, duration in status.seconds.items():
        durations.add_metric([stage], duration)
    yield durations


def _location_metrics(places: Sequence[Located]) -> Iterator[Metric]:
    looks = CounterMetricFamily("pyrtr_location_looks", "Looks at a location by result.", labels=["location", "result"])
    used = GaugeMetricFamily("pyrtr_location_used", "1 if the location's payload is served.", labels=["location"])
    built = GaugeMetricFamily(
        "pyrtr_location_build_timestamp_seconds", "When the location's data was written.", labels=["location"]
    )
    details = GaugeMetricFamily(
        "pyrtr_location_detail", "What the location's datasource tells besides.", labels=["location", "detail"]
    )
    for place in places:
        status = place.status
        where = printable(status.location)
        changed_count = status.success_count - status.unchanged_count
        for result, count in (
            ("success", changed_count),
            ("unchanged", status.unchanged_count),
            ("failure", status.failure_count),
        ):
            looks.add_metric([where, result], count)
        used.add_metric([where], int(status.is_used))
        if place.built_at is not None:
            built.add_metric([where], place.built_at)
        for name, value in place.details().items():
            if isinstance(value, int | float):
                details.add_metric([where, name], value)
    yield from (looks, used, built, details)


def _slurm_metrics(status: SlurmStatus) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "pyrtr_slurm_failing", "1 while SLURM files can't be used, and those before are.", status.error is not None
    )
    for name, text, by_file in (
        ("pyrtr_slurm_filtered", "Payload that a SLURM file removes, by kind.", status.filtered),
        ("pyrtr_slurm_added", "Payload that a SLURM file adds, by kind.", status.added),
    ):
        family = GaugeMetricFamily(name, text, labels=["file", "kind"])
        for file, counts in by_file.items():
            for kind, count in counts.items():
                family.add_metric([printable(file), kind], count)
        yield family


def _timestamp(name: str, text: str, seconds: float | None) -> Iterator[Metric]:
    if seconds is not None:
        yield GaugeMetricFamily(f"{name}_timestamp_seconds", text, seconds)
