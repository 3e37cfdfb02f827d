"""Whether what is served may be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyrtr.logs import printable
from pyrtr.sources.location import reason_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrtr.compiler.updater import Located
    from pyrtr.web.context import Context


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `/healthz` says.

    Attributes:
        reasons: why what is served may not be trusted; empty where it may.
        warnings: what else an operator should look at.
    """

    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether what is served may be trusted."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Condition:
    """What there is to judge by.

    Attributes:
        is_ready: whether there is data to serve.
        source_error: why the last look at the source came to nothing.
        expiry_error: why what has expired could not be taken away.
        storage_error: why the last new generation could not be stored, and so not published.
        state_error: why the state folder is not used.
        history_error: why the last generation is not in the history for people.
        age_s, max_age_s: how old the data is, and from when on it is stale.
        is_withdrawn: whether stale data was taken away from the routers.
        divergence: how the pyRTR that is followed, or the fleet, contradicts itself.
        fleet_error: why the fleet can't be heard.
        slurm_error: why the SLURM files that were found last are not used, and those from before are.
        failing: the locations, of several, whose last look came to nothing, and why.
        held: why a load waits for an operator's word, with the figures.
        held_for_s: how much longer it waits.
    """

    is_ready: bool
    source_error: str | None
    expiry_error: str | None
    storage_error: str | None
    state_error: str | None
    history_error: str | None
    age_s: float | None
    max_age_s: float
    is_withdrawn: bool
    divergence: str | None
    fleet_error: str | None
    slurm_error: str | None
    failing: tuple[str, ...]
    held: tuple[str, ...]
    held_for_s: float


def condition(context: Context, now: float) -> Condition:
    """What there is to judge by at Unix time `now`."""
    loader = context.loader
    status, agenda = loader.status, loader.agenda
    held_since = now if status.held is None else status.held.since
    return Condition(
        is_ready=context.publisher.current.is_ready,
        source_error=None if status.error is None else printable(status.error),
        expiry_error=None if status.expiry_error is None else printable(status.expiry_error),
        storage_error=None if status.storage_error is None else printable(status.storage_error),
        state_error=None if status.state_error is None else printable(status.state_error),
        history_error=None if loader.history_error is None else printable(loader.history_error),
        age_s=agenda.age_s(now),
        max_age_s=agenda.max_age_s,
        is_withdrawn=agenda.is_withdrawn,
        divergence=None if status.divergence is None else printable(status.divergence),
        fleet_error=None if loader.fleet is None or loader.fleet.error is None else printable(loader.fleet.error),
        slurm_error=None if loader.slurm.status.error is None else printable(loader.slurm.status.error),
        failing=_failing(loader.places),
        held=() if status.held is None else tuple(map(printable, status.held.reasons)),
        held_for_s=max(0.0, held_since + agenda.policy.hold_s - now),
    )


def _failing(places: Sequence[Located]) -> tuple[str, ...]:
    statuses = [place.status for place in places] if len(places) > 1 else []
    return tuple(printable(reason_at(each.location, each.error)) for each in statuses if each.error is not None)


def judge(condition: Condition) -> Verdict:
    """Judge the state of the program."""
    reasons, warnings = [], []
    error, age_s = condition.source_error, condition.age_s
    if not condition.is_ready:
        reasons.append(f"no data to serve: {error or 'the first look at the source has not ended'}")
    elif condition.divergence is not None:
        reasons.append(f"no router is served, since what is followed contradicts itself: {condition.divergence}")
    elif error is not None:
        warnings.append(f"the last look at the source failed, and the data before it is served on: {error}")
    else:
        warnings += [f"a location failed: {failure}" for failure in condition.failing]
    if condition.fleet_error is not None:
        warnings.append(f"the fleet is not heard, and nothing new is published: {condition.fleet_error}")
    if condition.slurm_error is not None and condition.is_ready:
        reasons.append(f"the SLURM files can't be used, and those before them are: {condition.slurm_error}")
    if condition.state_error is not None:
        warnings.append(f"a restart will lose the routers' place: {condition.state_error}")
    if condition.history_error is not None:
        warnings.append(f"what changes is not in the history for people: {condition.history_error}")
    if condition.expiry_error is not None:
        reasons.append(f"what has expired is still served: {condition.expiry_error}")
    if condition.storage_error is not None:
        reasons.append(f"nothing new is published, since it can't be stored: {condition.storage_error}")
    if condition.held:
        reasons.append(
            f"a load is held back for another {condition.held_for_s:.0f} s, or until `pyrtr accept`, because it "
            + "; it ".join(condition.held)
        )
    if condition.is_withdrawn:
        reasons.append(f"the data was stale and is withdrawn; its limit is {condition.max_age_s:.0f} s")
    elif age_s is not None and age_s > condition.max_age_s:
        reasons.append(f"the data is stale: {age_s:.0f} s old, at most {condition.max_age_s:.0f} s are trusted")
    return Verdict(tuple(reasons), tuple(warnings))
