"""`/generation`: what another pyRTR needs to serve exactly what is served here (DATASOURCE=PYRTR).

    /generation          JSON: STANDING, and the serials that are retained
    /generation/steps    MessagePack: [STANDING, [STEP, …]], from a serial to the current one
    /generation/table    MessagePack: [STANDING, TABLE, [STEP, …]], all that there is

    STANDING = {"tag", "sessions", "serial", "content", "published_at", "built_at", "metadata", "healthy"}
    TABLE = [ipv4 rows, ipv6 rows, [KEY, …], [[customer, [provider, …]], …]]
    STEP = [from serial, content, [ipv4 rows that come, ipv4 rows that go, ipv6 …, ipv6 …, [KEY, …], [KEY, …],
            [[customer, [old provider, …], [new provider, …]], …]]]
    KEY = [ski, asn, spki]

Rows are those of `payload.order`, one after another. `content` is the digest of a table (see `store.table_file`), that
of a step the one of the table that it leads from. Each answer is made of one published record. `tag` names that; who
says which he has, and how long he would wait, is answered when there is another one.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import msgspec
from fastapi import APIRouter, Request, Response

from pyrtr.logs import printable
from pyrtr.payload.history import Step
from pyrtr.payload.order import Rows, octets
from pyrtr.payload.serial import SERIAL_MODULUS
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import Aspa, RouterKey
from pyrtr.server.publisher import Published, Publisher
from pyrtr.web.context import Context
from pyrtr.web.copies import MEDIA_TYPE, SLICE, portable
from pyrtr.web.messagepack import array_head, frame_octets, in_chunks
from pyrtr.web.replies import METHODS, json_reply, stream
from pyrtr.web.verdict import condition, judge

# Proxies that find a connection idle give up after 30 seconds or more.
MAX_WAIT_S = 25.0
# So many may wait at once; who comes after them is answered without waiting. As many answers again are left for others
# (see `limits.MAX_UNDER_WAY`).
MAX_WAITERS = 32

_TAG_BYTES = 16
_pack = msgspec.msgpack.encode


def routes(context: Context) -> APIRouter:
    """The endpoints."""
    router = APIRouter()
    waiters = _Waiters(context.publisher)

    async def published_for(request: Request) -> Published:
        await waiters.wait(request)
        return context.publisher.current

    @router.api_route("/generation", methods=METHODS)
    async def generation(request: Request) -> Response:
        published = await published_for(request)
        if not published.is_ready:
            return _no_data()
        return json_reply({**_standing(context, published), "history": _history(published)})

    @router.api_route("/generation/steps", methods=METHODS)
    async def steps(request: Request) -> Response:
        position = request.query_params.get("from", ""), request.query_params.get("content", "")
        if not re.fullmatch("[0-9]{1,10}", position[0]) or not re.fullmatch("[0-9a-f]{64}", position[1]):
            given = " and ".join(map(printable, position))
            text = f"from and content are {given}: expected a serial below {SERIAL_MODULUS} and 64 hexadecimal digits"
            return json_reply({"error": text}, 400)
        published = await published_for(request)
        if not published.is_ready:
            return _no_data()
        found = _steps_from(published, int(position[0]), bytes.fromhex(position[1]))
        if found is None:
            text = f"serial {position[0]} with this content is not retained: ask for /generation/table"
            return json_reply({"error": text}, 404)
        standing = _pack(_standing(context, published))
        return stream(request, in_chunks(chain([array_head(2), standing], _steps(found))), MEDIA_TYPE)

    @router.api_route("/generation/table", methods=METHODS)
    async def table(request: Request) -> Response:
        published = context.publisher.current
        if published.table is None:
            return _no_data()
        standing = _pack(_standing(context, published))
        return stream(request, in_chunks(_whole(standing, published.table, _retained(published))), MEDIA_TYPE)

    return router


class _Waiters:
    """Those who wait for another publication."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._changed = asyncio.Event()
        self._count = 0
        publisher.subscribe(self._wake)

    async def wait(self, request: Request) -> None:
        """Wait until something else is published than what the request's `after` names.

        At most for so many seconds as its `wait` says, and not for one who is gone.
        """
        after = request.query_params.get("after")
        wait_s = _seconds(request.query_params.get("wait", ""))
        if self._count == MAX_WAITERS or request.method == "HEAD" or not wait_s:
            return
        self._count += 1
        gone = asyncio.create_task(_gone(request))
        deadline = asyncio.get_running_loop().time() + wait_s
        try:
            while tag(self._publisher.current) == after and not gone.done():
                left_s = deadline - asyncio.get_running_loop().time()
                if left_s <= 0:
                    return
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait({changed, gone}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        finally:
            gone.cancel()
            self._count -= 1

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _seconds(text: str) -> float:
    """How long to wait; what is no number is no time."""
    return min(float(text), MAX_WAIT_S) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else 0.0


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def tag(published: Published) -> str:
    """Names what is published, sessions included; two that differ in it have to be told apart."""
    sessions = sorted((int(version), ids) for version, ids in published.session_ids.items())
    named = msgspec.msgpack.encode((sessions, published.serial, published.content, published.is_ready))
    return hashlib.blake2b(named, digest_size=_TAG_BYTES).hexdigest()


def _standing(context: Context, published: Published) -> dict[str, object]:
    """Where we stand. Times are Unix seconds, since programs read them."""
    return {
        "tag": tag(published),
        "sessions": {version.name: ids for version, ids in published.session_ids.items()},
        "serial": published.serial,
        "content": published.content.hex(),
        "published_at": published.published_at,
        "built_at": context.loader.agenda.built_at,
        "metadata": portable(published.metadata),
        "healthy": judge(condition(context, time.time())).is_healthy,
    }


def _no_data() -> Response:
    return json_reply({"error": "there is no data to serve yet"}, 503)


def _history(published: Published) -> list[dict[str, object]]:
    return [{"serial": step.from_serial, "content": step.content.hex()} for step in _retained(published)]


def _retained(published: Published) -> Sequence[Step]:
    """The steps that can be checked: earlier releases did not keep what each leads from."""
    steps = published.history.steps
    unknown = [number for number, step in enumerate(steps, 1) if not step.content]
    return steps[unknown[-1] if unknown else 0 :]


def _steps_from(published: Published, serial: int, content: bytes) -> Sequence[Step] | None:
    """The steps from a serial to the current one, if the table there was this one."""
    if (serial, content) == (published.serial, published.content):
        return ()
    steps = _retained(published)
    for number, step in enumerate(steps):
        if (step.from_serial, step.content) == (serial, content):
            return steps[number:]
    return None


def _whole(standing: bytes, table: PayloadTable, steps: Sequence[Step]) -> Iterator[bytes]:
    yield array_head(3) + standing + array_head(4)
    yield from _rows(table.ipv4)
    yield from _rows(table.ipv6)
    yield from _in_slices([_key(key) for key in table.router_keys])
    yield from _in_slices([_aspa(aspa) for aspa in table.aspas])
    yield from _steps(steps)


def _steps(steps: Sequence[Step]) -> Iterator[bytes]:
    yield array_head(len(steps))
    for step in steps:
        delta = step.delta
        yield array_head(3) + _pack(step.from_serial) + _pack(step.content) + array_head(7)
        for rows in (delta.ipv4.announce, delta.ipv4.withdraw, delta.ipv6.announce, delta.ipv6.withdraw):
            yield from _rows(rows)
        yield from _in_slices([_key(key) for key in delta.router_keys.announce])
        yield from _in_slices([_key(key) for key in delta.router_keys.withdraw])
        changes = [(change.customer_asn, change.old_provider_asns, change.new_provider_asns) for change in delta.aspas]
        yield from _in_slices(changes)


def _rows(rows: Rows) -> Iterable[bytes]:
    return frame_octets(octets(rows).reshape(-1).data)


def _in_slices(values: Sequence[object]) -> Iterator[bytes]:
    yield array_head(len(values))
    for start in range(0, len(values), SLICE):
        yield b"".join(map(_pack, values[start : start + SLICE]))


def _key(key: RouterKey) -> tuple[bytes, int, bytes]:
    return key.ski, key.asn, key.spki


def _aspa(aspa: Aspa) -> tuple[int, tuple[int, ...]]:
    return aspa.customer_asn, aspa.provider_asns
