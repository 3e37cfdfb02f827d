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
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from pyrtr import resources
from pyrtr.histogram import Histogram
from pyrtr.logs import printable
from pyrtr.router_metrics import Sync, collect, sync_of
from pyrtr.server.connection import Connection, Transport
from pyrtr.server.publisher import Published
from pyrtr.server.registry import OTHER_CODE, Registry, tally
from pyrtr.session.actions import Parting
from pyrtr.web.clients import Lag
from pyrtr.web.verdict import condition, judge
from pyrtr.wire.enums import PDU_TYPES, ErrorCode, PduType, Version

if TYPE_CHECKING:
    from pyrtr.compiler.agenda import Agenda
    from pyrtr.compiler.slurm import SlurmStatus
    from pyrtr.compiler.status import SourceStatus
    from pyrtr.compiler.updater import Located
    from pyrtr.fleet.status import FleetStatus
    from pyrtr.web.context import Context

# Five trust anchors exist. A source that names thousands must not make thousands of series.
MAX_ANCHORS = 32
OTHER = "other"
# All that may happen to payload: an ASPA of the same customer takes the place of the one before it.
CHANGES = (
    *((action, kind) for kind in ("ipv4", "ipv6", "router_keys", "aspas") for action in ("announce", "withdraw")),
    ("replace", "aspas"),
)

_PROCESS = ProcessCollector(registry=None)


class RouterSums:
    """Sums over all routers, connected or gone: gathered in turns of the event loop, since there may be thousands.

    Args:
        registry: of the routers; those that are gone are in its totals.
        now: Unix time.
    """

    def __init__(self, registry: Registry, now: float) -> None:
        self.counts = Counter(registry.totals)
        self.versions: Counter[Version | None] = Counter()
        self.transports: Counter[Transport] = Counter()
        self.syncs: Counter[Sync] = Counter()
        published = registry.publisher.current
        self.lag = Lag(published, now)
        self._overdue_before = now - published.timing.refresh

    def add(self, connections: Iterable[Connection]) -> None:
        """Count these routers, too."""
        for connection in connections:
            self.versions[connection.session.version] += 1
            self.transports[connection.transport] += 1
            self.syncs[sync_of(connection, self.lag, self._overdue_before)] += 1
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
        if context.settings.router_metrics:
            yield from collect(list(context.registry.connections), self._sums.lag)
        yield from _payload_metrics(published, context.versions)
        yield from _source_metrics(context.loader.status)
        yield from _age_metrics(context.loader.agenda, time.time())
        is_failing = context.loader.history_error is not None
        yield GaugeMetricFamily("pyrtr_history_failing", "1 while the history for people can't be written.", is_failing)
        yield from _location_metrics(context.loader.places)
        if context.loader.fleet is not None:
            yield from _fleet_metrics(context.loader.fleet)
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
    is_ready = context.publisher.current.is_ready
    yield GaugeMetricFamily("pyrtr_ready", "1 if there is data to serve, else 0.", int(is_ready))
    yield _histogram("pyrtr_event_loop_lag_seconds", "How late the event loop woke.", {(): context.pulse.lags})
    children = resources.children()
    yield GaugeMetricFamily("pyrtr_child_processes", "Processes for loading, fetching and more.", children.count)
    yield GaugeMetricFamily("pyrtr_child_memory_bytes", "Their resident memory in sum.", children.memory_bytes)
    yield CounterMetricFamily(
        "pyrtr_child_cpu_seconds", "Processor time of those that have ended.", children.cpu_seconds
    )
    yield from _state_metrics(context)
    expiries = dict({} if context.doors is None else context.doors.expiries)
    if context.http_tls is not None:
        expiries["http"] = context.http_tls.expires_at
    ends = GaugeMetricFamily(
        "pyrtr_certificate_expiry_timestamp_seconds", "When what TLS needs ends.", labels=["certificate"]
    )
    for name, expires_at in expiries.items():
        ends.add_metric([name], expires_at)
    yield ends


def _state_metrics(context: Context) -> Iterator[Metric]:
    folder = context.settings.state
    if folder is None:
        return
    is_kept = context.loader.status.state_error is None
    yield GaugeMetricFamily("pyrtr_state_kept", "1 if STATE is in use, else 0.", int(is_kept))
    disk = resources.disk(folder)
    if disk is not None:
        yield GaugeMetricFamily("pyrtr_state_bytes", "Octets of all files in STATE.", disk.folder_bytes)
        yield GaugeMetricFamily("pyrtr_state_free_bytes", "Octets that its file system has left.", disk.free_bytes)
        yield GaugeMetricFamily("pyrtr_state_filesystem_bytes", "Octets of its file system.", disk.size_bytes)


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
    for (transport, reason), count in list(context.registry.refusals.counts.items()):
        refused.add_metric([transport, reason.name.lower()], count)
    yield refused
    held = GaugeMetricFamily("pyrtr_sync_routers", "Connected routers by what they hold.", labels=["sync"])
    for sync in Sync:
        held.add_metric([sync], sums.syncs[sync])
    yield held
    partings = CounterMetricFamily("pyrtr_disconnects", "Routers that have left, by reason.", labels=["reason"])
    for parting in Parting:
        partings.add_metric([parting], context.registry.partings[parting])
    yield partings
    yield _histogram(
        "pyrtr_sync_duration_seconds",
        "How long responses took to be handed over.",
        {(kind,): durations for kind, durations in context.registry.syncs.items()},
        ["kind"],
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
    codes = [str(int(code)) for code in ErrorCode]
    errors = CounterMetricFamily("pyrtr_errors", "Error Reports by code.", labels=["direction", "code"])
    for direction, some in (("received", [*codes, OTHER_CODE]), ("sent", codes)):
        for code in some:
            errors.add_metric([direction, code], counts[f"error_{direction}", code])
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
    for kind, count in table.counts.items():
        payload.add_metric([kind], count)
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
    yield GaugeMetricFamily("pyrtr_source_failing", "1 if the last look came to nothing.", status.error is not None)
    yield from _timestamp("pyrtr_source_last_attempt", "When the source was last looked at.", status.last_attempt)
    yield from _timestamp("pyrtr_source_last_success", "When a look last came to something.", status.last_success)
    unproved = status.unproved_count
    yield CounterMetricFamily("pyrtr_unproved_deltas", "Deltas that failed their proof and were not used.", unproved)
    generations = CounterMetricFamily("pyrtr_generations", "Serials published, by cause.", labels=["cause"])
    for cause, count in status.generation_counts.items():
        generations.add_metric([cause], count)
    yield generations
    changes = CounterMetricFamily("pyrtr_changes", "Payload that came and went.", labels=["action", "kind"])
    for action, kind in CHANGES:
        changes.add_metric([action, kind], status.change_counts[action, kind])
    yield changes
    held_vrps = 0 if status.held is None else status.held.losses.vrps.lost
    yield GaugeMetricFamily("pyrtr_load_held", "1 while a load waits for `pyrtr accept`.", status.held is not None)
    yield GaugeMetricFamily("pyrtr_load_held_vrps", "VRPs that the held load takes away.", held_vrps)
    for name, text, error in (
        ("pyrtr_storage_failing", "1 while new generations can't be stored.", status.storage_error),
        ("pyrtr_expiry_failing", "1 while what has expired can't be taken away.", status.expiry_error),
        ("pyrtr_upstream_diverged", "1 while the pyRTR that is followed contradicts itself.", status.divergence),
    ):
        yield GaugeMetricFamily(name, text, error is not None)
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
    yield GaugeMetricFamily("pyrtr_oversized_aspas", "ASPAs that are too large for a PDU.", status.oversized_aspas)
    durations = GaugeMetricFamily(
        "pyrtr_source_load_duration_seconds", "How long the last good look took, by stage.", labels=["stage"]
    )
    for stage, duration in status.seconds.items():
        durations.add_metric([stage], duration)
    yield durations


def _age_metrics(agenda: Agenda, now: float) -> Iterator[Metric]:
    yield GaugeMetricFamily("pyrtr_data_stale", "1 while the data is older than is trusted.", agenda.is_stale(now))
    yield GaugeMetricFamily("pyrtr_data_max_age_seconds", "The age from which it is stale.", agenda.max_age_s)
    age_s = agenda.age_s(now)
    if age_s is not None:
        yield GaugeMetricFamily("pyrtr_data_age_seconds", "How old what is served is.", age_s)


def _fleet_metrics(status: FleetStatus) -> Iterator[Metric]:
    yield GaugeMetricFamily("pyrtr_fleet_heard", "1 while the fleet's servers answer.", status.error is None)
    is_on_duty = status.on_duty == status.member
    yield GaugeMetricFamily("pyrtr_fleet_on_duty", "1 while this replica looks at the sources for all.", is_on_duty)
    yield GaugeMetricFamily("pyrtr_fleet_members", "Replicas that are there.", len(status.members))
    if status.sequence is not None:
        text = "Place on the fleet's stream of what this replica serves."
        yield GaugeMetricFamily("pyrtr_fleet_sequence", text, status.sequence)
    generations = CounterMetricFamily(
        "pyrtr_fleet_generations", "Generations by what became of them here.", labels=["result"]
    )
    for result, count in status.counts.items():
        generations.add_metric([result], count)
    yield generations


def _location_metrics(places: Sequence[Located]) -> Iterator[Metric]:
    looks = CounterMetricFamily("pyrtr_location_looks", "Looks at a location by result.", labels=["location", "result"])
    failing = GaugeMetricFamily(
        "pyrtr_location_failing", "1 if the last look at it came to nothing.", labels=["location"]
    )
    moments = {
        name: GaugeMetricFamily(f"pyrtr_location_{name}_timestamp_seconds", text, labels=["location"])
        for name, text in (
            ("last_attempt", "When the location was last looked at."),
            ("last_success", "When a look at it last came to something."),
        )
    }
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
        failing.add_metric([where], status.error is not None)
        for name, moment in (("last_attempt", status.last_attempt), ("last_success", status.last_success)):
            if moment is not None:
                moments[name].add_metric([where], moment)
        if place.built_at is not None:
            built.add_metric([where], place.built_at)
        for name, value in place.details().items():
            if isinstance(value, int | float):
                details.add_metric([where, name], value)
    yield from (looks, used, failing, *moments.values(), built, details)


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


def _histogram(
    name: str, text: str, histograms: Mapping[tuple[str, ...], Histogram], labels: Sequence[str] = ()
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, histogram in histograms.items():
        family.add_metric(values, histogram.buckets(), histogram.sum)
    return family


def _timestamp(name: str, text: str, seconds: float | None) -> Iterator[Metric]:
    if seconds is not None:
        yield GaugeMetricFamily(f"{name}_timestamp_seconds", text, seconds)
