"""What the archive of a state folder tells, as plain values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.inputs import Payload

from pyrtr.store.archive_search import Reader
from pyrtr.web.lookup import history
from pyrtr.web.lookup.listing import Answer
from pyrtr.web.lookup.messages import ChangesOf, DiffOf, GenerationOf, GenerationsOf

Change = tuple[str, Payload]  # what became of payload: "announce", "withdraw" or "replace"


def whole(answer: Answer) -> Any:
    """An answer of all its pieces."""
    octets, at = answer.piece(())
    while at is not None:
        more, at = answer.piece(at)
        octets += more
    return json.loads(octets)


class Archived:
    """Asks the archive of a folder, as the lookup process does."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "archive.db")
        self.reader = Reader(Path(self.path))

    def generations(self, **asked: Any) -> Any:
        return whole(history.Generations(self.reader, GenerationsOf(archive=self.path, **asked)))

    def generation(self, serial: int, **asked: Any) -> Any:
        return whole(history.Generation(self.reader, GenerationOf(archive=self.path, serial=serial, **asked)))

    def changes(self, **asked: Any) -> Any:
        return whole(history.Changes(self.reader, ChangesOf(archive=self.path, **asked)))

    def diff(self, first: int, last: int) -> Any:
        return whole(history.Diff(self.reader, DiffOf(archive=self.path, first=first, last=last)))


def payload_of(item: dict[str, Any]) -> Payload:
    """What a change is about; of an ASPA the providers that it has, or had."""
    match item["kind"]:
        case "vrp":
            return ("vrp", item["prefix"], item["max_length"], item["asn"])
        case "router_key":
            return ("key", bytes.fromhex(item["ski"]), item["asn"])
        case _:
            providers = item["new_provider_asns"] or item["old_provider_asns"]
            return ("aspa", item["customer_asn"], tuple(providers))


def short(payload: Payload) -> Payload:
    """The same of payload as tests write it: changes tell no SPKI."""
    return payload[:3] if payload[0] == "key" else payload


def change_set(before: frozenset[Payload], after: frozenset[Payload]) -> set[Change]:
    """What leads from one set to another, worked out with sets."""
    customers_before = {value[1] for value in before if value[0] == "aspa"}
    customers_after = {value[1] for value in after if value[0] == "aspa"}
    changes: set[Change] = set()
    for value in after - before:
        is_replaced = value[0] == "aspa" and value[1] in customers_before
        changes.add(("replace" if is_replaced else "announce", short(value)))
    for value in before - after:
        if value[0] != "aspa" or value[1] not in customers_after:
            changes.add(("withdraw", short(value)))
    return changes


def told(items: list[dict[str, Any]]) -> set[Change]:
    """The changes of a list, each of which stands there once."""
    changes = [(item["action"], payload_of(item)) for item in items]
    assert len(set(changes)) == len(changes)
    return set(changes)


def net(difference: dict[str, Any]) -> set[Change]:
    """The changes of a diff."""
    actions = {"announced": "announce", "withdrawn": "withdraw", "replaced": "replace"}
    changes = [(action, payload_of(item)) for member, action in actions.items() for item in difference[member]]
    assert difference["total"] == len(changes) == len(set(changes))
    return set(changes)
