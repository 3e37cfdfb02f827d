"""What pyRTR promises of its speed, each promise with how it is read from a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench import api, caches, fleet, loading, recovery
from bench.peers import DEBIAN_STAYRTR
from bench.report import PYRTR, RAW, Run, Unit, written
from pyrtr.wire.enums import Version

GROWTH = "future"


@dataclass(frozen=True, slots=True)
class Promise:
    """One of them.

    Attributes:
        what, target: in words.
        read: the figure that is compared; None if it was not measured.
        limit: the figure has to be at most that, or at least that where `is_least`.
        write: how the figure is written.
    """

    what: str
    target: str
    read: Callable[[Run], float | None]
    limit: float
    write: Callable[[float], str]
    is_least: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a promise; `is_met` is None where nothing was measured."""

    what: str
    target: str
    measured: str
    is_met: bool | None


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _times(value: float) -> str:
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def _seconds(value: float) -> str:
    return written(value, Unit.SECONDS)


def _kib(value: float) -> str:
    return written(value, Unit.KIB_PER_ROUTER)


def _megabytes(kib: float) -> str:
    return f"{kib * 1024 / 1e6:,.0f} MB"


def _of_raw(run: Run) -> float | None:
    return _ratio(run.find(caches.FULL, caches.RATE), run.find(caches.FULL, caches.RATE, RAW))


def _crowd_of_raw(run: Run) -> float | None:
    what = caches.crowd_rate(200)
    return _ratio(run.find(caches.CROWD, what), run.find(caches.CROWD, what, RAW))


def _beside_stayrtr(run: Run) -> float | None:
    ours = run.find(caches.FULL, caches.END_OF_DATA)
    return _ratio(run.find(caches.FULL, caches.END_OF_DATA, DEBIAN_STAYRTR), ours)


def _beside_fastest(run: Run) -> float | None:
    times = [run.find(caches.FULL, caches.END_OF_DATA, name) for name in run.peers]
    fastest = min((time for time in times if time is not None), default=None)
    return _ratio(fastest, run.find(caches.FULL, caches.END_OF_DATA))


def _extra(run: Run) -> float | None:
    found = [run.find(loading.MEMORY, what) for what in (loading.EXTRA, loading.STALLED)]
    return max((kib for kib in found if kib is not None), default=None)


def _beside_decode(what: str) -> Callable[[Run], float | None]:
    return lambda run: _ratio(run.find(loading.LOAD, what), run.find(loading.LOAD, loading.DECODE, loading.DECODER))


def _start_beside_stayrtr(run: Run) -> float | None:
    ours, theirs = (run.find(caches.LOAD, caches.TO_DATA, name) for name in (PYRTR, DEBIAN_STAYRTR))
    return _ratio(ours, theirs)


def _peak_beside_stayrtr(run: Run) -> float | None:
    ours, theirs = (run.find(caches.MEMORY, caches.PEAK, name) for name in (PYRTR, DEBIAN_STAYRTR))
    return _ratio(ours, theirs)


def _found(figure: str, what: str) -> Callable[[Run], float | None]:
    return lambda run: run.worst(figure, what)


def growths(run: Run, scale: str) -> Iterator[tuple[str, str, Unit, float, float]]:
    """Figures of pyRTR that were measured at another scale, too: what it is, and both medians."""
    other = run.others.get(scale)
    for series in run.series if other else ():
        if other and series.program == PYRTR:
            there = other.find(series.figure, series.what)
            if there is not None:
                yield series.figure, series.what, series.unit, series.median, there


def _growth(run: Run) -> float | None:
    """How much more than the table the figures of whole tables grow; the worst of them."""
    other = run.others.get(GROWTH)
    if other is None:
        return None
    table = other.inputs.first.digest.vrp_count / run.inputs.first.digest.vrp_count
    factors = [there / here for figure, what, _, here, there in growths(run, GROWTH) if (figure, what) in _GROWING]
    return max(factors, default=0.0) / table or None


_GROWING = {
    (caches.FULL, caches.END_OF_DATA),
    (caches.LOAD, caches.TO_DATA),
    (loading.LOAD, loading.COLD),
    (loading.LOAD, loading.reload_name("0.1 %")),
    (loading.LOAD, loading.reload_name("30 %")),
    (loading.MEMORY, loading.AT_REST),
    (loading.MEMORY, loading.SUM_PEAK),
    (fleet.UPDATE_FIGURE, fleet.update_name(Version.V1)),
    (recovery.RESTART, recovery.TO_ANSWER),
}
_FULL, _CROWD, _LOAD = "full table to one router", "full table to 200 routers at once", "JSON on disk to published"
_UPDATE = "update of 0.1 % to 1,000 connected routers"

PROMISES = (
    Promise(_FULL, "at least 0.8 of raw", _of_raw, 0.8, _times, is_least=True),
    Promise(_FULL, "100 times StayRTR", _beside_stayrtr, 100, _times, is_least=True),
    Promise(_FULL, "5 times the fastest peer", _beside_fastest, 5, _times, is_least=True),
    Promise(_CROWD, "at least 0.8 of raw in sum", _crowd_of_raw, 0.8, _times, is_least=True),
    Promise(_CROWD, "under 256 KiB of extra memory a router", _extra, 256, _kib),
    Promise(
        f"{_LOAD}: SIGHUP, 0.1 % changed",
        "at most 4 bare decodes",
        _beside_decode(loading.reload_name("0.1 %")),
        4,
        _times,
    ),
    Promise(f"{_LOAD}: start of the program", "at most 4 bare decodes", _beside_decode(loading.COLD), 4, _times),
    Promise(f"{_LOAD}, from the start", "under a third of StayRTR's time", _start_beside_stayrtr, 1 / 3, _times),
    Promise(
        "memory of the serving process at rest, one version's image in use",
        "at most 150 MB",
        _found(loading.MEMORY, loading.AT_REST_ONE),
        150e6 / 1024,
        _megabytes,
    ),
    Promise(
        "memory of the serving process at rest, three versions' images in use",
        "at most 150 MB",
        _found(loading.MEMORY, loading.AT_REST),
        150e6 / 1024,
        _megabytes,
    ),
    Promise("memory, peak of all processes", "under StayRTR's", _peak_beside_stayrtr, 1, _times),
    Promise("event loop while reloading", "no pause over 20 ms", _found(loading.PAUSE, loading.INSIDE), 0.02, _seconds),
    *(
        Promise(
            f"{_UPDATE}, version {version.value}",
            "the last End of Data within 1 s of publishing",
            _found(fleet.UPDATE_FIGURE, fleet.update_name(version)),
            1,
            _seconds,
        )
        for version in (Version.V1, Version.V2)
    ),
    Promise(
        "full table to one router, while `vrps` is streamed and 200 routes are validated a second",
        "under 1.5 times the usual",
        lambda run: _ratio(run.find(api.API, api.UNDER_LOAD), run.find(api.API, api.AT_REST)),
        1.5,
        _times,
    ),
    Promise("10,000 idle routers", "at most 16 KiB each", _found(fleet.IDLE_FIGURE, fleet.IDLE_EACH), 16, _kib),
    Promise(
        "restart, a reconnecting router is answered",
        "within 1 s of the start of the process",
        _found(recovery.RESTART, recovery.TO_ANSWER),
        1,
        _seconds,
    ),
    Promise("3 million VRPs", "no figure grows faster than the table (1.0)", _growth, 1, _times),
)


def verdicts(run: Run) -> Iterator[Verdict]:
    """Each promise beside what was measured; of what has to stay below, the worst."""
    for promise in PROMISES:
        value = promise.read(run)
        if value is None:
            yield Verdict(promise.what, promise.target, "not measured", None)
        else:
            met = value >= promise.limit if promise.is_least else value <= promise.limit
            yield Verdict(promise.what, promise.target, promise.write(value), met)
