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
        self.agenda = agenda
        self.places = places
        self.slurm = slurm
        self._ledger = ledger
        self._gate = gate
        self._clock = clock
        self._wanted = asyncio.Event()
        self._log = get_logger()

    def trigger(self) -> None:
        """Look as soon as what is under way, if anything, has ended; however often this is called meanwhile."""
        self._wanted.set()

    def accept(self) -> str:
        """An operator accepts the load that is held back; returns what that means, in words."""
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

    async def _recovered(self, upstream: str = "") -> Generation | None:
        """What the last run left (see `Ledger.recover`)."""
        try:
            return await self._ledger.recover(upstream)
        except StoreError as error:
            self.status.storage_error = str(error)
            self._log.error("state can't be stored", reason=str(error))
            return self._ledger.current

    def _note_recovered(self, generation: Generation) -> None:
        steps, vrps = len(generation.history.steps), generation.stored.table.vrp_count
        self._log.info("recovered", serial=generation.serial, vrps=vrps, steps=steps, is_stale=self._ledger.is_silent)

    def _missed(self, error: PyrtrError) -> None:
        """A look came to nothing."""
        status = self.status
        status.error = str(error)
        status.failure_count += 1
        self._ledger.store.discard_new()
        if isinstance(error, StoreError):
            status.storage_error = status.error
            self._log.error("state can't be stored", reason=status.error)
        else:
            self._log.error("source refused", source=status.location, reason=status.error)

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
        self._gate(not self._is_closed(now))

    def _is_closed(self, now: float) -> bool:
        """Whether no router is served."""
        return self.agenda.policy.on_stale is OnStale.CLOSE and self.agenda.is_stale(now)

    def _let_in_or_out(self, now: float) -> None:
        """Control the gate beside everything else."""
        try:
            self._control_gate(now)
        except OSError as error:  # another program took the port while it was closed
            self._log.error("routers can't be let in again", reason=error.strerror)
