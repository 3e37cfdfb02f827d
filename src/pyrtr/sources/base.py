"""What a datasource offers, and what the rest of the program knows of it.

A datasource is one module beside this one, and offers one of two things:

    read(body, *, now)              the octets of a document into payload; files and URLs are fetched for it
    SCHEMES, feed(location, …)      a protocol of its own: the schemes of its locations, and what follows one of them

`pyrtr` alone offers SCHEMES without a feed: it follows whole generations, not payload (see `compiler.follower`), and
the settings and the supervisor know it by name. A further one has to be named nowhere: `kinds` finds the modules,
`reader` and `protocol` load one when it is needed.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from pyrtr import sources

if TYPE_CHECKING:
    from pyrtr.payload.table import Facts, PayloadTable
    from pyrtr.settings import Settings
    from pyrtr.sources.location import Location

DOCUMENT_SCHEMES = ("file", "http", "https")

Validators = Mapping[str, str]
"""What tells that a source has not changed since: ETag and Last-Modified, or the signature of a file."""


class Loaded(msgspec.Struct, frozen=True):
    """What a document holds.

    Attributes:
        table: the usable payload.
        facts: when each entry of it ends, and which trust anchor it comes from.
        metadata: the document's own.
        build_time: when the validator wrote it (Unix seconds), None where it does not say.
        records: how many entries there were, by kind: vrps, router_keys, aspas.
        dropped: how many were not used, by reason.
    """

    table: PayloadTable
    facts: Facts
    metadata: dict[str, Any]
    build_time: float | None
    records: dict[str, int]
    dropped: dict[str, int]


class SourceReport(msgspec.Struct, frozen=True):
    """What an operator is told of a document.

    Attributes:
        metadata, records, dropped: as `Loaded` has them.
        built_at: Unix time from which the age of the data is counted: when the validator wrote it, as it says itself,
            or else when the source was last written to.
    """

    metadata: dict[str, Any]
    records: dict[str, int]
    dropped: dict[str, int]
    built_at: float


class Reader(Protocol):
    """Reads a document."""

    def __call__(self, body: bytes, *, now: float) -> Loaded:
        """Read a document. `now` is Unix time: records that have expired by then are dropped.

        Raises:
            SourceError: the document is refused whole.
        """


@dataclass(frozen=True, slots=True)
class Found:
    """What one look found at a location.

    Attributes:
        path: a local file.
        is_table: whether it is a table file (see `store.table_file`), or else a document to be read.
        is_temporary: whether it is ours to remove when it is read.
        modified: when it was last written, as far as the source says (Unix seconds).
        validators: what to look with next time, once this was accepted.
        max_age_s: seconds after `modified` from which the source itself holds the data to be stale, if it says so.
    """

    path: Path
    is_table: bool
    is_temporary: bool
    modified: float
    validators: Validators
    max_age_s: float | None = None


class Feed(Protocol):
    """One location that is followed."""

    @property
    def confirmed_at(self) -> float | None:
        """Unix time at which the source last said that what it gave before still holds.

        None where no protocol says so: a document is as old as it says itself.
        """

    @property
    def expires_at(self) -> float | None:
        """Until when what it gave may be used (Unix seconds), where a protocol says so and may change its mind."""

    def details(self) -> Mapping[str, int | float | str | None]:
        """What an operator is told of it besides, by name: numbers become metrics, too."""

    async def look(self, known: Validators | None) -> Found | None:
        """Look at the location once.

        Args:
            known: the validators of what was accepted last; None for a look at the whole of it, come what may.

        Returns:
            What there is; None if it is what `known` names.

        Raises:
            SourceError: nothing can be had.
        """

    async def watch(self, trigger: Callable[[], None]) -> None:
        """Run beside the looks, for ever, and call `trigger` whenever a look may find something new."""


class Follows(Protocol):
    """What a module with a protocol of its own offers.

    Attributes:
        SCHEMES: of its locations.
    """

    SCHEMES: Sequence[str]

    def feed(self, location: Location, folder: Path, options: Settings) -> Feed:
        """What follows one location. Nothing is begun by this: settings are checked by it, too.

        Args:
            location: of one of the schemes.
            folder: where it writes what it finds.
            options: the settings.

        Raises:
            SourceError: there can be no such location, or settings are missing for it.
        """


@cache
def kinds() -> Mapping[str, str]:
    """The module of every kind of datasource, by its name in DATASOURCE."""
    modules = pkgutil.iter_modules(sources.__path__)
    names = [module.name for module in modules if not module.ispkg and module.name not in ("base", "location")]
    return {name.replace("_", "").upper(): f"{sources.__name__}.{name}" for name in names}


def reader(kind: str) -> Reader:
    """The reader of a kind whose documents are fetched from files and URLs."""
    return cast("Reader", importlib.import_module(kinds()[kind]).read)


def protocol(kind: str) -> Follows | None:
    """The module of a kind that is a protocol of its own; None for a kind of documents."""
    module = importlib.import_module(kinds()[kind])
    return cast("Follows", module) if hasattr(module, "feed") else None


def schemes(kind: str) -> Sequence[str]:
    """The schemes that a location of this kind may have; `file` is that of a local path."""
    module = importlib.import_module(kinds()[kind])
    return cast("Sequence[str]", getattr(module, "SCHEMES", DOCUMENT_SCHEMES))
