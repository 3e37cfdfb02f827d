"""`pyrtr dump HOST:PORT`: what an RTR cache has, as a document."""

from __future__ import annotations

import asyncio
import contextlib
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from pyrtr.cli.arguments import BAD, GOOD, NO_ANSWER, USAGE_ERROR
from pyrtr.cli.caches import Access, Cache, ask, ended_at
from pyrtr.cli.output import print_problems, write_file, write_pieces
from pyrtr.cli.progress import Show, counted, progress
from pyrtr.cli.writers import csv, rpki_client_json
from pyrtr.errors import SourceError
from pyrtr.session.router import Held, RouterSession
from pyrtr.sources.location import reason_at
from pyrtr.sources.upstream.follower import TRUST_ANCHOR

_LOOK_S = 0.1  # how often it is looked how much has come


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Dump one cache; returns the exit status."""
    try:
        cache = Cache.of(options.cache, options, Access.of(options, environ))
    except SourceError as error:
        print_problems([f"pyrtr dump: {error}"])
        return USAGE_ERROR
    try:
        held = fetch(cache, options.timeout)
    except SourceError as error:
        print_problems([f"pyrtr dump: {error}"])
        return NO_ANSWER
    return _write(held, cache, options)


def fetch(cache: Cache, timeout_s: float) -> Held:
    """What a cache has; what is wrong with it besides goes to standard error.

    Raises:
        SourceError: there is no whole answer.
    """
    with progress(f"asking {cache.name}", "octets") as show:
        return asyncio.run(_fetch(cache, timeout_s, show))


async def _fetch(cache: Cache, timeout_s: float, show: Show) -> Held:
    def warn(text: str) -> None:
        print_problems([f"warning: {cache.name}: {text}"])

    session = cache.session()
    async with _shown(session, show):
        try:
            return await ask(cache, session, timeout_s=timeout_s, tell=warn)
        except SourceError as error:
            raise SourceError(reason_at(cache.name, error)) from None


@contextlib.asynccontextmanager
async def _shown(session: RouterSession, show: Show) -> AsyncIterator[None]:
    """Show how much has come."""

    async def look() -> None:
        while True:
            show(session.response_bytes)
            await asyncio.sleep(_LOOK_S)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()


def _write(held: Held, cache: Cache, options: Namespace) -> int:
    table = held.table
    if options.format == "csv":
        if left_out := len(table) - table.vrp_count:
            print_problems([f"warning: {left_out} router keys and ASPAs are not in CSV"])
        pieces = csv(table, TRUST_ANCHOR)
    else:
        metadata = {
            "buildtime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ended_at(held))),
            "source": cache.name,
            "rtr_version": int(held.version),
            "session_id": held.state.session_id,
            "serial": held.state.serial,
            "vrps": table.vrp_count,
            "bgpsec_pubkeys": len(table.router_keys),
            "vaps": len(table.aspas),
        }
        pieces = rpki_client_json(table, metadata, TRUST_ANCHOR)
    with progress("writing", "records", len(table)) as show:
        texts = counted(pieces, show)
        if options.output is None:
            return write_pieces(texts)
        try:
            write_file(Path(options.output), texts)
        except OSError as error:
            print_problems([f"pyrtr dump: {options.output} can't be written: {error.strerror}"])
            return BAD
    return GOOD
