"""`pyrtr diff A B`: what only the one and what only the other has, of documents and caches in any mix."""

from __future__ import annotations

import asyncio
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec

from pyrtr import processes
from pyrtr.cli.arguments import BAD, GOOD, NO_ANSWER, USAGE_ERROR
from pyrtr.cli.caches import Access, Cache
from pyrtr.cli.dump import fetch as fetch_cache
from pyrtr.cli.output import print_problems, write_pieces
from pyrtr.cli.progress import progress
from pyrtr.cli.sets import Comparison, Side, worded
from pyrtr.errors import SourceError
from pyrtr.logs import printable
from pyrtr.sources.base import reader
from pyrtr.sources.fetch import file
from pyrtr.sources.fetch.request import Limits, Reply, Request, SourceTls
from pyrtr.sources.location import Location, reason_at
from pyrtr.sources.rtr import SCHEMES

_WORDS = {"router_keys": "router keys", "aspas": "ASPAs"}
_BATCH = 1000  # differences that are printed at once

Place = Location | Cache


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Compare two sets; returns the exit status."""
    access = Access.of(options, environ)
    try:
        places = [_place(text, options, access) for text in (options.a, options.b)]
    except (SourceError, ValueError) as error:
        print_problems([f"pyrtr diff: {error}"])
        return USAGE_ERROR
    # A cache takes records back when they expire, so a document is read as of now beside one. Of two documents the
    # older one would be next to empty then: most records of yesterday have expired.
    now = time.time() if any(isinstance(place, Cache) for place in places) else 0.0
    try:
        old, new = (_side(place, access, options.timeout, now) for place in places)
    except SourceError as error:
        print_problems([f"pyrtr diff: {printable(str(error))}"])
        return NO_ANSWER
    comparison = Comparison(old, new)
    pieces = _json(comparison, options) if options.json else _text(comparison, options)
    written = write_pieces(pieces)
    return BAD if written != GOOD or len(comparison.delta) else GOOD


def read_document(location: Location, tls: SourceTls, timeout_s: float, now: float) -> Side:
    """What a file or a URL holds at Unix time `now`.

    Raises:
        SourceError: it can't be had, or is refused.
    """
    name = str(location)
    with progress(f"reading {name}", "records") as show:
        try:
            loaded = reader("AUTO")(_body(location, tls, timeout_s), now=now)
        except SourceError as error:
            raise SourceError(reason_at(name, error)) from None
        show(len(loaded.table))
    return Side(name, loaded.table, loaded.facts)


def _place(text: str, options: Namespace, access: Access) -> Place:
    location = Location.parse(text)
    if location.scheme in SCHEMES:
        return Cache.of(text, options, access)
    if location.scheme not in ("file", "http", "https"):
        raise SourceError(f"{location}: expected a file, http://, https://, {', '.join(f'{s}://' for s in SCHEMES)}")
    return location


def _side(place: Place, access: Access, timeout_s: float, now: float) -> Side:
    if isinstance(place, Location):
        return read_document(place, access.tls, timeout_s, now)
    held = fetch_cache(place, timeout_s)
    return Side(place.name, held.table, held=held)


def _body(location: Location, tls: SourceTls, timeout_s: float) -> bytes:
    if location.is_local:
        return file.fetch(location.path).take()
    with tempfile.TemporaryDirectory(prefix="pyrtr-") as folder:
        path = Path(folder, "body")
        limits = Limits(connect_s=timeout_s, silence_s=timeout_s, whole_s=timeout_s)
        request, answer = Request(location.text, {}, str(path), tls, limits), processes.Answer[Reply]
        # In a process that can be ended, since a server may send an octet now and then.
        reply = asyncio.run(
            processes.run("pyrtr.sources.fetch.worker", "fetch", request, answer, timeout_s=limits.whole_s)
        )
        if reply.status != 200:
            raise SourceError(f"HTTP status {reply.status}")
        return file.fetch(path).take()


def _text(comparison: Comparison, options: Namespace) -> Iterator[str]:
    for sign, side in (("---", comparison.old), ("+++", comparison.new)):
        yield f"{sign} {printable(side.name)}: {_described(side)}\n"
    if comparison.left_out:
        kinds = " and ".join(_WORDS[kind] for kind in comparison.left_out)
        yield f"not compared: {kinds}, which an RTR version here does not have\n"
    yield from _differences(comparison, options)
    yield _summary(comparison)


def _differences(comparison: Comparison, options: Namespace) -> Iterator[str]:
    limit = 0 if options.summary else options.limit
    changes = islice(comparison.changes(), limit)
    while batch := [*islice(changes, _BATCH)]:
        yield "".join(f"{printable(worded(change))}\n" for change in batch)
    if not options.summary and limit is not None and (more := len(comparison.delta) - limit) > 0:
        yield f"and {more} more\n"


def _summary(comparison: Comparison) -> str:
    if not len(comparison.delta):
        return "the same\n"
    counts = comparison.counts
    lines = [
        f"withdrawn: {_counted(counts['withdrawn'])}",
        f"announced: {_counted(counts['announced'])}",
        f"replaced: {_counted(counts['replaced'])}",
    ]
    for anchor, by_action in comparison.counts_by_anchor.items():
        lines.append(
            f"VRPs of {printable(anchor)}: {by_action['withdrawn']} withdrawn, {by_action['announced']} announced"
        )
    return "".join(f"{line}\n" for line in lines)


def _described(side: Side) -> str:
    table, held = side.table, side.held
    counts = {"vrps": table.vrp_count, "router_keys": len(table.router_keys), "aspas": len(table.aspas)}
    told = _counted({kind: count for kind, count in counts.items() if kind not in side.lacks})
    if held is not None:
        told += f"; {held.version.name}, session {held.state.session_id}, serial {held.state.serial}"
    return told


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {_WORDS.get(kind, 'VRPs')}" for kind, count in counts.items())


def _json(comparison: Comparison, options: Namespace) -> Iterator[str]:
    head = {
        "same": not len(comparison.delta),
        "a": comparison.old.describe(),
        "b": comparison.new.describe(),
        "not_compared": comparison.left_out,
        **comparison.counts,
        "vrps_by_ta": comparison.counts_by_anchor,
    }
    encode = msgspec.json.encode
    yield encode(head).decode().removesuffix("}")
    if not options.summary:
        changes = islice(comparison.changes(), options.limit)
        separator = ',"changes":['
        while batch := [*islice(changes, _BATCH)]:
            yield separator + ",\n".join(encode(change).decode() for change in batch)
            separator = ",\n"
        yield "]" if separator == ",\n" else separator + "]"
    yield "}\n"
