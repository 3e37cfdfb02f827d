"""`pyrtr watch HOST:PORT ...`: follows RTR caches, and shows who does not answer, and who differs from most of them."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

import msgspec

from pyrtr.cli.arguments import ASK_S, BAD, GOOD, NO_ANSWER, USAGE_ERROR, Ended
from pyrtr.cli.caches import Access, Cache, ask
from pyrtr.cli.followed import Event, Fleet, Followed
from pyrtr.cli.output import print_json, print_problems, print_result
from pyrtr.cli.sets import worded
from pyrtr.errors import SourceError
from pyrtr.logs import printable
from pyrtr.session.router import Confirmed, RouterAction
from pyrtr.sources.upstream.conversation import converse
from pyrtr.sources.upstream.follower import JITTER

# A cache may wish to be asked more often; this is as often as it is.
_SHORTEST_S = 10.0

Tell = Callable[[Iterable[Event]], None]


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Watch caches; returns the exit status."""
    access = Access.of(options, environ)
    try:
        caches = {cache.name: cache for text in options.caches for cache in [Cache.of(text, options, access)]}
    except SourceError as error:
        print_problems([f"pyrtr watch: {error}"])
        return USAGE_ERROR
    if (clash := _clash(options)) is not None:
        print_problems([f"pyrtr watch: {clash}"])
        return USAGE_ERROR
    fleet = Fleet(caches.values(), longest_s=options.interval, shortest_s=_SHORTEST_S, limit=options.limit)
    if options.once:
        asyncio.run(_ask_all(fleet, options.timeout or ASK_S))
        return _report(fleet, options)
    if options.metrics is not None:
        from pyrtr.cli.watch_metrics import serve

        try:
            port = serve(fleet, options.metrics_host, options.metrics)
        except OSError as error:
            place = f"{options.metrics_host}:{options.metrics}"
            print_problems([f"pyrtr watch: --metrics: {place}: {error.strerror or error}"])
            return NO_ANSWER
        print_problems([f"metrics at http://{options.metrics_host}:{port}/metrics"])
    _follow_all(fleet, options)
    return GOOD


def _clash(options: Namespace) -> str | None:
    """Which option would not be heeded, and why."""
    if options.timeout is not None and not options.once:
        return "--timeout counts with --once only: a cache that is followed may pause for 60 s, and answer for 600"
    if options.metrics is not None and options.once:
        return "--metrics counts without --once only: nobody could ask for them in time"
    return None


def _follow_all(fleet: Fleet, options: Namespace) -> None:
    """Follow them until that is interrupted."""
    if options.json or not sys.stdout.isatty():
        asyncio.run(_following(fleet, lambda events: _print_events(events, as_json=options.json)))
        return
    from pyrtr.cli.watch_table import shown

    with shown(fleet):
        asyncio.run(_following(fleet, lambda _events: None))


async def _following(fleet: Fleet, tell: Tell) -> None:
    await asyncio.gather(*(_follow(fleet, member, tell) for member in fleet.members))


async def _follow(fleet: Fleet, member: Followed, tell: Tell) -> None:
    """Follow one cache for ever."""

    def do(actions: Iterable[RouterAction]) -> None:
        tell(fleet.heard(member, actions, time.time()))

    while True:
        pause_s = max(0.0, member.session.connect_at - time.monotonic()) * (1 + JITTER * random.random())
        await asyncio.sleep(pause_s)
        await converse(member.session, member.cache.peer, do)
        tell(fleet.looked(member, time.time()))


async def _ask_all(fleet: Fleet, timeout_s: float) -> None:
    """Ask each once."""

    async def ask_one(member: Followed) -> None:
        def warn(text: str) -> None:
            print_problems([f"warning: {member.cache.name}: {text}"])

        try:
            held = await ask(member.cache, member.session, timeout_s=timeout_s, tell=warn)
        except SourceError as error:
            fleet.lost(member, str(error), time.time())
        else:
            fleet.heard(member, [Confirmed(held, is_changed=True)], time.time())

    await asyncio.gather(*map(ask_one, fleet.members))


def _report(fleet: Fleet, options: Namespace) -> int:
    """Print how they do, once."""
    now = time.time()
    if options.json:
        caches = [member.describe(now, options.limit) for member in fleet.members]
        written = print_json({"same": fleet.are_same, "caches": caches})
    else:
        written = print_result("\n".join(line for member in fleet.members for line in _lines(member, options.limit)))
    return GOOD if written == GOOD and fleet.are_same else BAD


def _lines(member: Followed, limit: int) -> list[str]:
    name, held, difference = printable(member.cache.name), member.held, member.difference
    if held is None or member.trouble is not None:
        return [f"{name}: no answer: {printable(member.trouble or '')}"]
    what = f"{held.version.name}, serial {held.state.serial}, {held.table.vrp_count} VRPs"
    if difference is None:
        return [f"{name}: {what}"]
    lines = [f"{name}: {what}; {len(difference.delta)} differences from {printable(difference.old.name)}:"]
    return lines + [f"  {printable(worded(change))}" for change in islice(difference.changes(), limit)]


def _print_events(events: Iterable[Event], *, as_json: bool) -> None:
    """A line for each.

    Raises:
        Ended: nobody reads them any more.
    """
    for event in events:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if as_json:
            record = {"time": moment, "event": event.name, "cache": event.cache, **event.fields}
            line = msgspec.json.encode(record).decode()
        else:
            line = printable(f"{moment} {event.cache} {event.name} {' '.join(_words(event.fields))}")
        if (status := print_result(line)) != GOOD:
            raise Ended(status)


def _words(fields: Mapping[str, object]) -> Iterator[str]:
    for name, value in fields.items():
        match value:
            case dict():
                yield f"{name}: {', '.join(f'{count} {kind}' for kind, count in value.items())};"
            case list():
                if value:
                    yield f"{name}: {', '.join(worded(item) if isinstance(item, dict) else item for item in value)};"
            case _:
                yield f"{name}={value}"
