"""Octets of a source: every kind of document."""

from __future__ import annotations

from functools import partial

from tests.model_pdus import parse, pdu_length

from pyrtr.errors import SourceError
from pyrtr.payload.table import Facts, PayloadTable
from pyrtr.sources.base import Reader, kinds, reader
from pyrtr.wire.enums import Version
from pyrtr.wire.image import encode_snapshot

NOW = 1_000.0


def readers() -> dict[str, partial[None]]:
    """A target for every kind whose documents are read, by its name in lower case."""
    found = {}
    for kind in kinds():
        try:
            found[kind.lower()] = partial(document, reader(kind))
        except AttributeError:  # a protocol of its own
            continue
    return found


def document(read: Reader, data: bytes) -> None:
    """A document is refused whole, or gives a table."""
    try:
        loaded = read(data, now=NOW)
    except SourceError:
        return
    judge(loaded.table, loaded.facts)


def judge(table: PayloadTable, facts: Facts) -> None:
    """Whatever is known of the entries is known of each, and none of them has ended."""
    assert len(facts.ipv4_expires) == len(facts.ipv4_anchors) == len(table.ipv4)
    assert len(facts.ipv6_expires) == len(facts.ipv6_anchors) == len(table.ipv6)
    assert len(facts.router_keys_expires) == len(table.router_keys)
    assert len(facts.aspas_expires) == len(table.aspas)
    assert not len(table) or facts.next_expiry > NOW
    judge_table(table)


def judge_table(table: PayloadTable) -> None:
    """Every router can be told of a table, in the draft's order."""
    for version in Version:
        body = bytes(encode_snapshot(version, table).body)
        at, last = 0, None
        while at < len(body):
            length = pdu_length(body[at : at + 8])
            pdu = parse(body[at : at + length])
            assert last is None or last.order < pdu.order
            at, last = at + length, pdu
