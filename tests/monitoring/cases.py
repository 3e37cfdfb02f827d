"""For each alert what must make it fire, and what must not: series as promtool writes them, one value a minute.

`0+0x30` is 31 times 0; `0x30 1x30` is 31 times each.
"""

from __future__ import annotations

from dataclasses import dataclass

Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    """One alert.

    Attributes:
        fires: what makes it fire.
        is_quiet: what comes close, and does not.
        after: when that is looked at.
    """

    fires: Series
    is_quiet: Series
    after: str = "45m"


def flag(name: str, for_minutes: int, labels: str = "", *, bad: int = 1) -> Case:
    """A gauge of 0 and 1 that fires when it stays bad, and does not before `for` is over."""
    good, series = 1 - bad, f"{name}{{{labels}}}"
    late = 44 - for_minutes + 1
    return Case({series: f"{bad}x60"}, {series: f"{good}x{late} {bad}x60"})


def counter(series: str) -> Case:
    """A counter that fires when it rises, and does not while it stands where it is."""
    return Case({series: "7x40 8x60"}, {series: "7x100"})


PAYLOAD_4, PAYLOAD_6 = 'pyrtr_payload{kind="ipv4"}', 'pyrtr_payload{kind="ipv6"}'
EXPIRY = "pyrtr_certificate_expiry_timestamp_seconds"
DAY = 86_400
LATE = 45 * 60  # when it is looked at, Unix time

CASES = {
    "PyrtrDown": flag("up", 5, 'job="pyrtr"', bad=0),
    "PyrtrRestarted": Case(
        {'process_start_time_seconds{job="pyrtr"}': "100x40 2500x60"},
        {'process_start_time_seconds{job="pyrtr"}': "100x20 1300x60"},
    ),
    "PyrtrRestartsAgainAndAgain": Case(
        {'process_start_time_seconds{job="pyrtr"}': "1x10 2x10 3x10 4x60"},
        {'process_start_time_seconds{job="pyrtr"}': "1x10 2x10 3x60"},
    ),
    "PyrtrUnhealthy": flag("pyrtr_healthy", 15, bad=0),
    "PyrtrEventLoopSlow": Case(
        {
            'pyrtr_event_loop_lag_seconds_bucket{le="0.1"}': "0+200x60",
            'pyrtr_event_loop_lag_seconds_bucket{le="0.5"}': "0+240x60",
            'pyrtr_event_loop_lag_seconds_bucket{le="+Inf"}': "0+240x60",
        },
        {
            'pyrtr_event_loop_lag_seconds_bucket{le="0.05"}': "0+240x60",
            'pyrtr_event_loop_lag_seconds_bucket{le="0.1"}': "0+240x60",
            'pyrtr_event_loop_lag_seconds_bucket{le="+Inf"}': "0+240x60",
        },
    ),
    "PyrtrDescriptorsNearlyUsedUp": Case(
        {'process_open_fds{job="pyrtr"}': "950x60", 'process_max_fds{job="pyrtr"}': "1000x60"},
        {'process_open_fds{job="pyrtr"}': "850x60", 'process_max_fds{job="pyrtr"}': "1000x60"},
    ),
    "PyrtrNoData": flag("pyrtr_ready", 5, bad=0),
    "PyrtrDataStale": flag("pyrtr_data_stale", 5),
    "PyrtrDataOld": Case({"pyrtr_data_age_seconds": "9600+60x60"}, {"pyrtr_data_age_seconds": "3600+60x60"}),
    "PyrtrLoadHeld": flag("pyrtr_load_held", 1),
    "PyrtrPayloadShrunk": Case(
        {PAYLOAD_4: "800x80 600x60", PAYLOAD_6: "200x140"},
        {PAYLOAD_4: "800x80 750x60", PAYLOAD_6: "200x140", 'pyrtr_payload{kind="aspas"}': "900x80 0x60"},
        "90m",
    ),
    "PyrtrTrustAnchorShrunk": Case(
        {'pyrtr_source_vrps{ta="example"}': "500x80 _x60", "pyrtr_ready": "1x140"},
        {
            'pyrtr_source_vrps{ta="example"}': "500x80 450x60",
            'pyrtr_source_vrps{ta="small"}': "50x80 _x60",
            "pyrtr_ready": "1x140",
        },
        "100m",
    ),
    "PyrtrExpiryFailing": flag("pyrtr_expiry_failing", 5),
    "PyrtrDeltaProofFailed": counter("pyrtr_unproved_deltas_total"),
    "PyrtrUpstreamDiverged": flag("pyrtr_upstream_diverged", 1),
    "PyrtrSessionLost": Case(
        {'pyrtr_session_id{version="V1"}': "4711x40 815x60"},
        {'pyrtr_session_id{version="V0"}': "4711x40 815x60", 'pyrtr_session_id{version="V1"}': "4711x100"},
    ),
    "PyrtrRouterLagging": Case(
        {'pyrtr_sync_routers{sync="lagging"}': "0x20 3x60"},
        {'pyrtr_sync_routers{sync="lagging"}': "0x60", 'pyrtr_sync_routers{sync="behind"}': "3x60"},
    ),
    "PyrtrNoRouters": Case(
        {'pyrtr_routers{version="V1"}': "3x20 0x60", 'pyrtr_routers{version="V2"}': "0x80"},
        {'pyrtr_routers{version="V1"}': "0x80", 'pyrtr_routers{version="V2"}': "0x80"},
    ),
    "PyrtrRouterErrors": Case(
        {'pyrtr_errors_total{direction="received",code="3"}': "0x40 1x60"},
        {
            'pyrtr_errors_total{direction="received",code="3"}': "5x60",
            'pyrtr_errors_total{direction="sent",code="3"}': "0+1x60",
        },
    ),
    "PyrtrProtocolErrors": Case(
        {'pyrtr_errors_total{direction="sent",code="0"}': "0+1x60"},
        {
            'pyrtr_errors_total{direction="sent",code="4"}': "0+1x60",
            'pyrtr_errors_total{direction="sent",code="0"}': "0x40 1x60",
        },
    ),
    "PyrtrRoutersRefused": Case(
        {'pyrtr_refused_routers_total{transport="tls",reason="expired"}': "0+1x60"},
        {'pyrtr_refused_routers_total{transport="tls",reason="expired"}': "0x38 1x60"},
    ),
    "PyrtrSourceFailing": flag("pyrtr_source_failing", 30),
    "PyrtrLocationFailing": Case(
        {'pyrtr_location_failing{location="json"}': "0x10 1x100"},
        {'pyrtr_location_failing{location="json"}': "0x40 1x100"},
        "90m",
    ),
    "PyrtrSlurmRefused": flag("pyrtr_slurm_failing", 1),
    "PyrtrCertificateExpiring": Case(
        {f'{EXPIRY}{{certificate="http"}}': f"{10 * DAY}x100"},
        {
            f'{EXPIRY}{{certificate="http"}}': f"{20 * DAY}x100",
            f'{EXPIRY}{{certificate="tls_client_crl"}}': f"{DAY}x100",
        },
        "90m",
    ),
    "PyrtrCertificateEnds": Case(
        {f'{EXPIRY}{{certificate="tls"}}': f"{DAY // 2}x60"}, {f'{EXPIRY}{{certificate="tls"}}': f"{2 * DAY}x60"}
    ),
    "PyrtrRevocationListEnds": Case(
        {f'{EXPIRY}{{certificate="tls_client_crl"}}': f"{LATE + 3600}x60"},
        {f'{EXPIRY}{{certificate="tls_client_crl"}}': f"{DAY}x60", f'{EXPIRY}{{certificate="tls"}}': f"{LATE}x60"},
    ),
    "PyrtrDiskNearlyFull": Case(
        {"pyrtr_state_free_bytes": "100000000x60"}, {"pyrtr_state_free_bytes": "9000000000-1000x60"}
    ),
    "PyrtrStateNotWritable": Case(
        {"pyrtr_storage_failing": "0x60", "pyrtr_state_kept": "0x60"},
        {"pyrtr_storage_failing": "0x60", "pyrtr_state_kept": "1x60"},
    ),
}  # fmt: skip

MORE = {
    "PyrtrDiskNearlyFull": {"pyrtr_state_free_bytes": "9000000000-10000000x60"},  # full within a day
    "PyrtrStateNotWritable": {"pyrtr_storage_failing": "1x60", "pyrtr_state_kept": "1x60"},
}
"""What else makes one fire: the other half of an "or"."""
