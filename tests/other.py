"""Another pyRTR as those who follow it see it: says whatever a test wants, true or not, and never waits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgpack  # type: ignore[import-untyped]  # it has none
from tests.examples import Payload
from tests.http_server import Answer, HttpServer, response

from pyrtr.payload.delta import Delta, difference
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import RouterKey
from pyrtr.store.table_file import content_digest

PUBLISHED_AT = 1_795_404_155.25
FIRST_SERIAL = 2**32 - 2

Spoil = Callable[[list[Any]], object]  # changes what was going to be said


class Other:
    """Its tables one after another, the last of them current.

    Attributes:
        sessions: what it calls them.
        serial: the current one.
        built_at: when its validator wrote the data.
        spoil_steps, spoil_table: applied to each answer before it is sent.
        steps_answer, table_answer: what is sent in place of it.
    """

    def __init__(self, server: HttpServer, *tables: Iterable[Payload]) -> None:
        self.sessions: dict[str, list[int]] = {"V0": [10], "V1": [11], "V2": [12]}
        self.serial = FIRST_SERIAL - 1
        self.built_at: float | None = PUBLISHED_AT - 60
        self.healthy = True
        self.spoil_steps: Spoil = id
        self.spoil_table: Spoil = id
        self.steps_answer: Answer | None = None
        self.table_answer: Answer | None = None
        self.steps: list[list[Any]] = []
        self.table = PayloadTable.of()
        self._server = server
        self._is_first = True
        server.answers = _Answers(self)
        for table in tables:
            self.publish(table)

    @property
    def url(self) -> str:
        return self._server.url("")

    @property
    def asked(self) -> list[str]:
        """The paths of all requests."""
        return [urlsplit(asked.target).path for asked in self._server.asked]

    def publish(self, payload: Iterable[Payload]) -> None:
        """The next serial."""
        table = PayloadTable.of(payload)
        if not self._is_first:
            self.steps.append([self.serial, content_digest(self.table), _plain(difference(self.table, table))])
        self._is_first = False
        self.table = table
        self.serial = (self.serial + 1) % 2**32

    def standing(self) -> dict[str, Any]:
        content = content_digest(self.table).hex()
        return {
            "tag": f"{self.sessions} {self.serial} {content}"[-64:],
            "sessions": self.sessions,
            "serial": self.serial,
            "content": content,
            "published_at": PUBLISHED_AT,
            "built_at": self.built_at,
            "metadata": {"buildmachine": "tests"},
            "healthy": self.healthy,
        }

    def answer(self, target: str) -> Answer:
        parts = urlsplit(target)
        if parts.path == "/generation/table":
            if self.table_answer is not None:
                return self.table_answer
            table = self.table
            aspas = [[aspa.customer_asn, list(aspa.provider_asns)] for aspa in table.aspas]
            rows = [table.ipv4.tobytes(), table.ipv6.tobytes()]
            return _answer([self.standing(), [*rows, _keys(table.router_keys), aspas], self.steps], self.spoil_table)
        if self.steps_answer is not None:
            return self.steps_answer
        query = parse_qs(parts.query)
        position = int(query["from"][0]), bytes.fromhex(query["content"][0])
        ends = [*((step[0], step[1]) for step in self.steps), (self.serial, content_digest(self.table))]
        if position not in ends:
            return response(b'{"error": "it is not retained"}', 404, Connection="close")
        return _answer([self.standing(), self.steps[ends.index(position) :]], self.spoil_steps)


class _Answers(dict[str, Answer]):
    def __init__(self, other: Other) -> None:
        self._other = other

    def get(self, target: str, _default: object = None) -> Answer:
        return self._other.answer(target)


def _answer(value: list[Any], spoil: Spoil) -> bytes:
    value = msgpack.unpackb(msgpack.packb(value))  # a copy, to be spoilt
    spoil(value)
    return response(msgpack.packb(value), Connection="close")


def _plain(delta: Delta) -> list[Any]:
    rows = (delta.ipv4.announce, delta.ipv4.withdraw, delta.ipv6.announce, delta.ipv6.withdraw)
    aspas = [[each.customer_asn, list(each.old_provider_asns), list(each.new_provider_asns)] for each in delta.aspas]
    keys = delta.router_keys
    return [*(column.tobytes() for column in rows), _keys(keys.announce), _keys(keys.withdraw), aspas]


def _keys(keys: Iterable[RouterKey]) -> list[Any]:
    return [[key.ski, key.asn, key.spki] for key in keys]
