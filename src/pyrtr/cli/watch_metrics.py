"""What `pyrtr watch --metrics PORT` tells Prometheus of the caches that it follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pyrtr.cli.followed import Fleet, Followed

Value = float | None

# Of each cache, by name: what it means, and its value; without one there is no series.
GAUGES: Mapping[str, tuple[str, Callable[[Followed], Value]]] = MappingProxyType(
    {
        "pyrtr_watch_up": ("Whether the cache answers.", lambda member: member.is_up),
        "pyrtr_watch_rtr_version": (
            "RTR version that is spoken with the cache.",
            lambda member: None if member.held is None else member.held.version,
        ),
        "pyrtr_watch_serial": (
            "Serial that the cache has.",
            lambda member: None if member.held is None else member.held.state.serial,
        ),
        "pyrtr_watch_last_answer_timestamp_seconds": (
            "When the cache last said what it has.",
            lambda member: member.answered_at,
        ),
        "pyrtr_watch_last_change_timestamp_seconds": (
            "When the cache last said that it has something else.",
            lambda member: member.changed_at,
        ),
        "pyrtr_watch_differs_since_timestamp_seconds": (
            "Since when the cache differs from what most have; no series while it does not.",
            lambda member: member.differs_since,
        ),
    }
)
PAYLOAD = "pyrtr_watch_payload"
DIFFERENCES = "pyrtr_watch_differences"
LOSSES = "pyrtr_watch_losses"


class _Caches(Collector):
    """The caches as they are when they are asked for, which is on another thread: nothing is changed here."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterable[Metric]:
        """One family after the other."""
        members = self._fleet.members
        for name, (meaning, read) in GAUGES.items():
            gauge = GaugeMetricFamily(name, meaning, labels=("cache",))
            for member in members:
                if (value := read(member)) is not None:
                    gauge.add_metric((member.cache.name,), value)
            yield gauge
        payload = GaugeMetricFamily(PAYLOAD, "Payload that the cache has, by kind.", labels=("cache", "kind"))
        differences = GaugeMetricFamily(
            DIFFERENCES, "What takes the set that most caches have to that of this one.", labels=("cache", "action")
        )
        losses = CounterMetricFamily(LOSSES, "How often the cache stopped to answer.", labels=("cache",))
        for member in members:
            name = member.cache.name
            losses.add_metric((name,), member.losses)
            if (side := member.side) is not None:
                for kind, count in side.table.counts.items():
                    payload.add_metric((name, kind), count)
            if member.is_up:
                for action, count in member.difference_counts.items():
                    differences.add_metric((name, action), count)
        yield from (payload, differences, losses)


def serve(fleet: Fleet, host: str, port: int) -> int:
    """Serve them from a thread; returns the port, which is a free one for port 0.

    Raises:
        OSError: the address can't be had.
    """
    registry = CollectorRegistry()
    registry.register(_Caches(fleet))
    server, _ = start_http_server(port, host, registry)
    return server.server_port
