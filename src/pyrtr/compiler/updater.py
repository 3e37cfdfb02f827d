"""What brings the published payload up to date, whatever that is made of: what others see of it, and its last steps."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pyrtr.compiler.agenda import Agenda
from pyrtr.compiler.ledger import Ledger
from pyrtr.compiler.place import PlaceStatus
from pyrtr.compiler.slurm import SlurmPlaces
from pyrtr.compiler.status import SourceStatus
from pyrtr.errors import PyrtrError, StoreError
from pyrtr.fleet.status import FleetStatus
from pyrtr.logs import get_logger
from pyrtr.settings import OnStale
from pyrtr.store.database import ShareRecord
from pyrtr.store.state import Generation


class Located(Protocol):
    """What an operator is told of one location."""

    @property
    def status(self) -> PlaceStatus:
        """How it has done."""

    @property
    def share(self) -> ShareRecord | None:
        """What was accepted from it last, where it was one of several or a document."""

    @property
    def built_at(self) -> float | None:
        """Unix time from which the age of what was accepted counts."""

    def details(self) -> Mapping[str, int | float | str | None]:
        """What there is to tell besides, by name: numbers become metrics, too."""


class Updater(ABC):
    """Brings the published payload up to date.

    Args:
        places: the locations, in the order of the setting.
        slurm: the locations of SLURM files.
        ledger: where generations are committed and published.
        agenda: what is done when.
        gate: called with whether routers may be served at all.
        clock: Unix time.

    Attributes:
        status: of the source as a whole.
        fleet: of the replicas that serve as one; None for one that serves alone.
        agenda, places, slurm: as given.
    """

    def __init__(
        self,
        places: Sequence[Located],
        slurm: SlurmPlaces,
        ledger: Ledger,
        agenda: Agenda,
        gate: Callable[[bool], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.status = SourceStatus(", ".join(place.status.location for place in places))
        self.fleet: FleetStatus | None = None
        self.agenda = agenda
        self.places = places
        self.slurm = slurm
        self._ledger = ledger
        self._gate = gate
        self._clock = clock
        self._wanted = asyncio.Event()
        self._was_stale = False
        self._was_closed = False
        self._log = get_logger()

    def trigger(self) -> None:
        """Look as soon as what is under way, if anything, has ended; however often this is called meanwhile."""
        self._wanted.set()

    def accept(self) -> str:
        """An operator accepts the load that is held back; returns what that means, in words."""
        self._log.info("nothing to accept")
        return "nothing is held back"

    @property
    def history_error(self) -> str | None:
        """Why the last generation is not in the history for people; None if it is, or none is kept."""
        archive = self._ledger.store.archive
        return None if archive is None else archive.error

    @abstractmethod
    async def recover(self) -> None:
        """Go on from where the last run ended."""

    @abstractmethod
    async def run(self) -> None:
        """Do what is due, for ever."""

    @abstractmethod
    async def watch(self) -> None:
        """Call `trigger` whenever a look may find something new, for ever."""

    async def _recovered(self) -> Generation | None:
        """What the last run left (see `Ledger.recover`)."""
        left = self._ledger.store.recovered
        try:
            generation = await self._ledger.recover()
            if generation is None and left is not None:
                self._log.warning("state of another source is not used", serial=left.serial)
            return generation
        except StoreError as error:
            self.status.storage_error = str(error)
            self._log.error("state can't be stored", reason=str(error))
            return self._ledger.current

    def _note_recovered(self, generation: Generation) -> None:
        steps, vrps = len(generation.history.steps), generation.stored.table.vrp_count
        self._log.info("recovered", serial=generation.serial, vrps=vrps, steps=steps, is_stale=self._ledger.is_silent)

    async def _missed(self, error: PyrtrError) -> None:
        """A look came to nothing."""
        reason = str(error)
        self.status.failed(reason)
        await asyncio.to_thread(self._ledger.store.discard_new)
        if isinstance(error, StoreError):
            self.status.storage_error = reason
            self._log.error("state can't be stored", reason=reason)
        else:
            self._log.error("source refused", source=self.status.location, reason=reason)

    def _stored(self) -> None:
        """A generation could be stored."""
        if self.status.storage_error is not None:
            self._log.info("state is stored again")
        self.status.storage_error = None

    def _succeeded(self, now: float) -> None:
        """A look came to something."""
        if self.status.error is not None:
            self._log.info("source is back", source=self.status.location)
        self.status.succeeded(now)

    def _adopt(self, generation: Generation) -> None:
        next_expiry = generation.next_expiry
        self.agenda.next_expiry = generation.stored.facts.next_expiry if next_expiry is None else next_expiry
        self.agenda.built_at = generation.built_at
        self.agenda.max_age_s = self.agenda.policy.limit_s(generation.max_age_s)
        self.agenda.is_withdrawn = generation.is_withdrawn

    def _publish(self) -> None:
        self._let_in_or_out(self._clock())  # what is committed is published, whether the port can be had or not
        self._ledger.publish()

    def _control_gate(self, now: float) -> None:
        is_closed = self._is_closed(now)
        self._gate(not is_closed)
        if is_closed and not self._was_closed:
            self._log.warning("no router is served", reason=self.status.divergence or "the data is stale")
        elif self._was_closed and not is_closed:
            self._log.info("routers are served again")
        self._was_closed = is_closed

    def _note_age(self, now: float) -> None:
        agenda, is_stale = self.agenda, self.agenda.is_stale(now)
        if is_stale and not self._was_stale:
            self._log.warning("data is stale", max_age_s=agenda.max_age_s, on_stale=agenda.policy.on_stale)
        elif self._was_stale and not is_stale:
            self._log.info("data is fresh again", max_age_s=agenda.max_age_s)
        self._was_stale = is_stale

    def _is_closed(self, now: float) -> bool:
        """Whether no router is served."""
        if self.status.divergence is not None:
            return True
        return self.agenda.policy.on_stale is OnStale.CLOSE and self.agenda.is_stale(now)

    def _let_in_or_out(self, now: float) -> None:
        """Control the gate beside everything else."""
        self._note_age(now)
        try:
            self._control_gate(now)
        except OSError as error:  # another program took the port while it was closed
            self._log.error("routers can't be let in again", reason=error.strerror)
