"""The shared stream in NATS JetStream, which replicates it by Raft.

    stream        pyrtr-NAME, subject pyrtr.NAME.generation: the records
    key-value     pyrtr-NAME-duty, each entry for `DUTY_S`: `duty`, and `member.ID` for each member
    object store  pyrtr-NAME-tables: a table file
    subject       pyrtr.NAME.word: what members tell each other, not kept

A record is published with the sequence number that it expects to be the last: the server takes one of several that
expect the same.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, Header, KeyValueConfig, ObjectInfo, ObjectStoreConfig, StorageType, StreamConfig
from nats.js.errors import APIError, BucketNotFoundError, KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue
from nats.js.object_store import ObjectStore

from pyrtr.errors import FleetError, SupersededError
from pyrtr.fleet import record as records
from pyrtr.fleet.record import Duty, Record
from pyrtr.fleet.stream import DUTY_S
from pyrtr.sources.fetch.connection import words

CONNECT_S = 5.0
# An election of another leader takes a few seconds, within which nothing is answered.
ANSWER_S = 5.0
TABLE_S = 120.0
# A server that is cut off without a word is given up after twice this.
PING_S = 3
# Copies of everything, where the servers are a cluster.
REPLICAS = 3
# What the records may take on the servers, in octets; the oldest go first.
MAX_STREAM_BYTES = 2**30
_WRONG_LAST_SEQUENCE = {10071, 10164}
_DUTY = "duty"
_MEMBER = "member."

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _translated(
    method: Callable[Parameters, Coroutine[Any, Any, Result]],
) -> Callable[Parameters, Coroutine[Any, Any, Result]]:
    """Raise FleetError for whatever NATS, the network or the clock raise."""

    @functools.wraps(method)
    async def translated(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return await method(*args, **kwargs)
        except FleetError:
            raise
        except TimeoutError as error:
            raise FleetError("the fleet's servers do not answer in time") from error
        except (NatsError, OSError, ValueError, msgspec.MsgspecError) as error:
            raise FleetError(f"the fleet's servers can't be used: {str(error) or type(error).__name__}") from error

    return translated


class _Client(Client):
    """Lets nobody have it without TLS, where that is wanted, and knows why it has no connection.

    Args:
        is_secret: whether TLS is wanted. The library speaks it to those servers that ask for it, and tells the password
            to whoever stands there and does not.

    Attributes:
        refusals: what went wrong last with each server since there was a connection.
    """

    def __init__(self, *, is_secret: bool) -> None:
        super().__init__()
        self.refusals: dict[str, str] = {}
        self._is_secret = is_secret
        self._asked = ""

    async def refused(self, error: Exception) -> None:
        """A connection was lost, or could not be had."""
        self.refusals[self._asked] = words(error).removeprefix("nats: ").strip("'")

    async def lost(self) -> None:
        """There was a connection."""
        self.refusals.clear()

    async def _connect_to_server(self, s: Srv) -> None:
        self._asked = s.uri.netloc.rpartition("@")[2]
        await super()._connect_to_server(s)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and self._is_secret and not info.get("tls_required"):
            raise NatsError("it does not ask for TLS, which a URL of FLEET wants")
        await super()._process_info(info, initial_connection)


class NatsStream:
    """The shared stream (see `fleet.stream.Stream`).

    Args:
        servers: URLs of the NATS servers, which may hold a password.
        name: of the fleet.
        member: our own name, another one for each process.
        max_records: how many records are kept.
        tls: how TLS is spoken with all of them; None if a server may do without, and then as the system has it.
    """

    def __init__(
        self, servers: list[str], name: str, member: str, *, max_records: int, tls: ssl.SSLContext | None
    ) -> None:
        self.changed = asyncio.Event()
        self._servers = servers
        self._stream = f"pyrtr-{name}"
        self._subject = f"pyrtr.{name}.generation"
        self._bucket = f"pyrtr-{name}-duty"
        self._tables = f"pyrtr-{name}-tables"
        self._word = f"pyrtr.{name}.word"
        self._member = member
        self._max_records = max_records
        self._tls = tls
        self._client: _Client | None = None
        self._jetstream: JetStreamContext
        self._entries: KeyValue
        self._objects: ObjectStore
        self._duty_revision = 0
        self._replicas = 1

    @_translated
    async def open(self, on_word: Callable[[str], None]) -> None:
        """Connect, if that is not done yet, and make what is missing; `on_word` is told what `tell` says."""
        if self._client is not None and not self._client.is_closed:  # any error that a server sends closes it for good
            if not self._client.is_connected:
                raise _unreachable(self._client)
            return
        client = _Client(is_secret=self._tls is not None)
        options = _credentials(self._servers)
        if self._tls is not None:
            options["tls"] = self._tls
        connecting = client.connect(
            servers=self._servers,
            name=f"pyrtr {self._member}",
            connect_timeout=2,
            reconnect_time_wait=1,
            max_reconnect_attempts=-1,
            ping_interval=PING_S,
            max_outstanding_pings=2,
            error_cb=client.refused,
            disconnected_cb=client.lost,
            **options,
        )
        try:
            try:
                await asyncio.wait_for(connecting, CONNECT_S)
            except TimeoutError:
                raise _unreachable(client) from None
            self._jetstream = client.jetstream(timeout=ANSWER_S)
            self._replicas = REPLICAS if client._server_info.get("cluster") else 1
            await self._prepare()

            async def changed(_message: Msg) -> None:
                self.changed.set()

            async def heard(message: Msg) -> None:
                on_word(message.data.decode("utf-8", "replace"))

            await client.subscribe(self._subject, cb=changed)
            await client.subscribe(self._word, cb=heard)
        except BaseException:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.close(), CONNECT_S)
            raise
        self._client = client

    @_translated
    async def close(self) -> None:
        """Let go."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.wait_for(client.close(), CONNECT_S)

    @_translated
    async def end(self) -> tuple[str, int]:
        """What tells this stream from another that took its place, and the place of its last record: 0 without any."""
        try:
            info = await self._jetstream.stream_info(self._stream)
        except NotFoundError:  # all of it is lost
            await self._prepare()
            info = await self._jetstream.stream_info(self._stream)
        return str(info.created), info.state.last_seq

    @_translated
    async def record(self, sequence: int) -> Record | None:
        """One record; None if it is not there any more."""
        try:
            message = await self._jetstream.get_msg(self._stream, seq=sequence)
        except NotFoundError:
            return None
        return await asyncio.to_thread(records.decode, message.data or b"")

    @_translated
    async def append(self, record: Record, after: int) -> int:
        """Append a record behind the one with sequence number `after`; returns its own."""
        data = await asyncio.to_thread(records.encode, record)
        headers: dict[str, Any] = {Header.EXPECTED_LAST_SEQUENCE: str(after)}
        try:
            done = await self._jetstream.publish(self._subject, data, stream=self._stream, headers=headers)
        except APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise SupersededError("another replica was first") from error
            raise
        return done.seq

    @property
    def max_record_bytes(self) -> int:
        """How large a record may be."""
        return 2**20 if self._client is None else self._client.max_payload

    @_translated
    async def put_table(self, name: str, path: Path) -> None:
        """Keep a file, and let go of older ones."""
        with path.open("rb") as file:
            info = await asyncio.wait_for(self._objects.put(name, file), TABLE_S)
        kept = {self._about(name), self._chunks(info)}
        store = f"OBJ_{self._tables}"
        for subject in await self._subjects(store, f"$O.{self._tables}.>"):
            if subject not in kept:
                await self._jetstream.purge_stream(store, subject=subject)

    @_translated
    async def get_table(self, name: str, path: Path) -> bool:
        """Write a file that is kept to `path`; False if it is not kept (any more).

        It is asked for chunk by chunk: where a server dies within, a consumer would go on waiting.
        """
        store, sequence = f"OBJ_{self._tables}", 0
        try:
            async with asyncio.timeout(TABLE_S):
                info = await self._objects.get_info(name)
                with path.open("wb") as file:
                    for _ in range(info.chunks or 0):
                        chunk = await self._jetstream.get_msg(store, sequence + 1, self._chunks(info), next=True)
                        sequence = chunk.seq or 0
                        await asyncio.to_thread(file.write, chunk.data or b"")
        except NotFoundError:
            return False
        return True

    @_translated
    async def has_table(self, name: str) -> bool:
        """Whether a file is kept, and all of it: who gives one lets go of what another is giving at the same time."""
        try:
            info = await self._objects.get_info(name)
        except NotFoundError:  # deleted ones, too
            return False
        chunks = self._chunks(info)
        return (await self._subjects(f"OBJ_{self._tables}", chunks)).get(chunks, 0) == info.chunks

    @_translated
    async def tables(self) -> list[str]:
        """Names of the files that are kept."""
        prefix = self._about("")
        subjects = await self._subjects(f"OBJ_{self._tables}", prefix + "*")
        return [base64.urlsafe_b64decode(subject.removeprefix(prefix)).decode() for subject in subjects]

    @_translated
    async def on_duty(self) -> Duty | None:
        """Who is on duty."""
        entry = await self._entry(_DUTY)
        return None if entry is None else msgspec.msgpack.decode(entry, type=Duty)

    @_translated
    async def take_duty(self, duty: Duty) -> bool:
        """Be on duty for the next `DUTY_S` seconds, or go on being; False if another is."""
        value = msgspec.msgpack.encode(duty)
        try:
            if self._duty_revision:
                self._duty_revision = await self._entries.update(_DUTY, value, last=self._duty_revision)
            else:
                self._duty_revision = await self._entries.create(_DUTY, value)
        except KeyWrongLastSequenceError:
            self._duty_revision = 0
            return False
        except (TimeoutError, NatsError):
            self._duty_revision = 0  # whether it was taken is not known; if so, it ends by itself
            raise
        return True

    @_translated
    async def leave_duty(self) -> None:
        """Let another be on duty."""
        revision, self._duty_revision = self._duty_revision, 0
        if revision:
            with contextlib.suppress(KeyWrongLastSequenceError):
                await self._entries.delete(_DUTY, last=revision)

    @_translated
    async def attend(self, settings: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Be there for the next `DUTY_S` seconds; returns who is, ourselves included, with their settings."""
        await self._entries.put(_MEMBER + self._member, msgspec.json.encode(settings))
        prefix = f"$KV.{self._bucket}.{_MEMBER}"
        members = {}
        for subject in await self._subjects(f"KV_{self._bucket}", prefix + ">"):
            name = subject.removeprefix(prefix)
            if (value := await self._entry(_MEMBER + name)) is not None:
                members[name] = msgspec.json.decode(value, type=dict[str, str])
        return members

    @_translated
    async def leave(self) -> None:
        """Be on duty no more, and not be there."""
        if self._client is not None:
            await self.leave_duty()
            await self._entries.delete(_MEMBER + self._member)

    @_translated
    async def tell(self, word: str) -> None:
        """Say a word to all members."""
        if self._client is None:
            raise FleetError("no server of the fleet was reached yet")
        await self._client.publish(self._word, word.encode())

    async def _entry(self, key: str) -> bytes | None:
        try:
            return (await self._entries.get(key)).value
        except KeyNotFoundError:  # deleted ones, too
            return None

    async def _subjects(self, stream: str, pattern: str) -> dict[str, int]:
        """Subjects of messages that a stream has, and how many of each."""
        info = await self._jetstream.stream_info(stream, subjects_filter=pattern)
        return info.state.subjects or {}

    def _about(self, name: str) -> str:
        """The subject of what the object store knows of a file."""
        return f"$O.{self._tables}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    def _chunks(self, info: ObjectInfo) -> str:
        """The subject of a file's pieces."""
        return f"$O.{self._tables}.C.{info.nuid}"

    async def _prepare(self) -> None:
        """Make what is missing."""
        jetstream, replicas = self._jetstream, self._replicas
        try:
            info = await jetstream.stream_info(self._stream)
            if info.config.max_msgs != self._max_records:  # HISTORY was another one
                await jetstream.update_stream(info.config.evolve(max_msgs=self._max_records))
        except NotFoundError:
            await jetstream.add_stream(
                StreamConfig(
                    name=self._stream,
                    subjects=[self._subject],
                    storage=StorageType.FILE,
                    num_replicas=replicas,
                    max_msgs=self._max_records,
                    max_bytes=MAX_STREAM_BYTES,
                    discard=DiscardPolicy.OLD,
                    deny_delete=True,
                )
            )
        duty = KeyValueConfig(bucket=self._bucket, ttl=DUTY_S, storage=StorageType.FILE, replicas=replicas)
        self._entries = await _found_or(jetstream.key_value(self._bucket), lambda: jetstream.create_key_value(duty))
        name = self._tables
        tables = ObjectStoreConfig(bucket=name, storage=StorageType.FILE, replicas=replicas)
        self._objects = await _found_or(
            jetstream.object_store(name), lambda: jetstream.create_object_store(name, tables)
        )


def _credentials(servers: list[str]) -> dict[str, Any]:
    """The user and password in the URLs, where they are the same in all that have some.

    The client would take them as they are written, and for servers that it hears of from others it would have none.
    """
    urls = [urlsplit(server) for server in servers]
    found = {(unquote(url.username), unquote(url.password)) for url in urls if url.username and url.password}
    if len(found) != 1:
        return {}
    ((user, password),) = found
    return {"user": user, "password": password}


async def _found_or(found: Awaitable[Result], make: Callable[[], Awaitable[Result]]) -> Result:
    try:
        return await found
    except (BucketNotFoundError, NotFoundError):
        return await make()


def _unreachable(client: _Client) -> FleetError:
    reasons = [f"{server}: {reason}" for server, reason in sorted(client.refusals.items())]
    return FleetError(": ".join(filter(None, ("no server of the fleet can be reached", "; ".join(reasons)))))
