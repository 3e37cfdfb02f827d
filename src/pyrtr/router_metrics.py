"""Every connected router as metrics, where ROUTER_METRICS asks for that, and what one of them holds in a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pyrtr.server.connection import Connection
from pyrtr.wire.enums import HIGHEST_ERROR_CODE, ErrorCode

if TYPE_CHECKING:
    from pyrtr.web.clients import Lag

_LABELS = ("router", "port")


class Sync(StrEnum):
    """What a router holds."""

    NONE = "none"
    CURRENT = "current"
    BEHIND = "behind"
    LAGGING = "lagging"


def sync_of(connection: Connection, lag: Lag, overdue_before: float) -> Sync:
    """What this router holds.

    Args:
        connection: of the router.
        lag: at this moment.
        overdue_before: Unix time, REFRESH ago: one that lacks something and was told nothing since is `LAGGING`.
    """
    behind_s = lag.seconds(connection.session)
    if behind_s is None or connection.synced_at is None:
        return Sync.NONE
    if not behind_s:
        return Sync.CURRENT
    return Sync.LAGGING if connection.synced_at < overdue_before else Sync.BEHIND


def collect(connections: Iterable[Connection], lag: Lag) -> Iterator[Metric]:
    """The metrics of these routers: an address outlives a connection, so the port has a label of its own."""
    info = GaugeMetricFamily(
        "pyrtr_router_info", "Always 1; how a router is connected.", labels=[*_LABELS, "transport", "version"]
    )
    connected = _gauge("connected_timestamp_seconds", "When it connected.")
    synced = _gauge("synced_timestamp_seconds", "When it was last told all.")
    session_id = _gauge("session_id", "Session id that it holds.")
    serial = _gauge("serial", "Serial that it holds.")
    behind = _gauge("behind_seconds", "Since when there is something that it lacks; 0 if there is not.")
    durations = _gauge("sync_duration_seconds", "How long its last response took.", "kind")
    queries = _counter("queries", "Its queries.", "kind")
    octets = _counter("bytes", "Octets from and to it.", "direction")
    errors = _counter("errors", "Error Reports from and to it.", "direction")
    last_error = GaugeMetricFamily(
        "pyrtr_router_last_error_info", "Always 1; its last Error Report.", labels=[*_LABELS, "code", "name"]
    )
    for connection in connections:
        session, held = connection.session, connection.session.held
        router = connection.address.rpartition(":")[::2]
        version = "none" if session.version is None else session.version.name
        info.add_metric([*router, connection.transport, version], 1)
        connected.add_metric(router, connection.connected_at)
        if connection.synced_at is not None:
            synced.add_metric(router, connection.synced_at)
        if held is not None:
            session_id.add_metric(router, held.session_id)
            serial.add_metric(router, held.serial)
        behind_s = lag.seconds(session)
        if behind_s is not None:
            behind.add_metric(router, behind_s)
        for kind, seconds in (("full", connection.full_sync_s), ("delta", connection.delta_sync_s)):
            if seconds is not None:
                durations.add_metric([*router, kind], seconds)
        for kind, count in (("reset", session.reset_queries), ("serial", session.serial_queries)):
            queries.add_metric([*router, kind], count)
        for direction, count in (("received", connection.bytes_received), ("sent", connection.bytes_sent)):
            octets.add_metric([*router, direction], count)
        for direction, counts in (("received", session.errors_received), ("sent", session.errors_sent)):
            errors.add_metric([*router, direction], counts.total())
        if session.error_received is not None and session.version is not None:
            code = session.error_received.code
            is_known = code <= HIGHEST_ERROR_CODE[session.version]
            name = ErrorCode(code).name if is_known else "unassigned"
            last_error.add_metric([*router, str(int(code)), name], 1)
    yield from (info, connected, synced, session_id, serial, behind, durations, queries, octets, errors, last_error)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"pyrtr_router_{name}", text, labels=[*_LABELS, *labels])


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"pyrtr_router_{name}", text, labels=[*_LABELS, *labels])
