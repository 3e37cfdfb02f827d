"""What the endpoints read; all of it is somebody else's, and none of it is changed here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyrtr.compiler.updater import Updater
from pyrtr.pulse import Pulse
from pyrtr.server.doors import Doors
from pyrtr.server.publisher import Publisher
from pyrtr.server.registry import Registry
from pyrtr.server.tcp import Listener
from pyrtr.settings import Settings
from pyrtr.web.lookup.client import Lookup
from pyrtr.wire.enums import Version

if TYPE_CHECKING:
    from pyrtr.store.archive import Archive
    from pyrtr.web.tls import HttpTls


@dataclass(frozen=True, slots=True)
class Context:
    """The running program.

    Attributes:
        publisher: what is served.
        registry: who is connected.
        loader: how the source is.
        settings: in force.
        rtr_addresses, http_addresses: "ADDR:PORT" of everything that is bound.
        listener: accepts routers; None where there is no RTR server.
        doors: by which transports they come in; None as above.
        started_at: Unix time.
        http_tls: the certificate of the HTTP server; None without.
        pulse: how late the event loop is.
        lookup: makes heavy answers.
        archive: the history for people; None where none is kept.
    """

    publisher: Publisher
    registry: Registry
    loader: Updater
    settings: Settings
    rtr_addresses: tuple[str, ...]
    http_addresses: tuple[str, ...]
    listener: Listener | None
    started_at: float
    doors: Doors | None = None
    http_tls: HttpTls | None = None
    pulse: Pulse = field(default_factory=Pulse)
    lookup: Lookup = field(default_factory=Lookup)
    archive: Archive | None = None

    @property
    def versions(self) -> tuple[Version, ...]:
        """The versions that are served, ascending."""
        return tuple(Version(number) for number in range(self.settings.min_version, self.settings.max_version + 1))
