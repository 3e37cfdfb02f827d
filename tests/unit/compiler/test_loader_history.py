"""What people are told of generations: every change of every serial, and what brought it about.

Loads of two locations, SLURM files, expiries, restarts and crashes come in any order. What there is to tell is worked
out with plain sets.
"""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from tests.archived import Archived, Change, change_set, net, payload_of, short, told
from tests.inputs import NEVER, Payload, aspa, router_key, rpki_client_json, vrp
from tests.unit.compiler.program import Start, replace

from pyrtr.settings import Merge
from pyrtr.store.archive import Archive

POOL = (
    *(vrp(f"192.0.2.{number * 32}/27", 64496 + number % 2) for number in range(4)),
    *(vrp(f"198.51.100.{number * 64}/26", 64496 + number % 2) for number in range(3)),
    *(vrp("2001:db8::/32", 64496, length) for length in (32, 40, 48)),
    *(router_key(number) for number in range(1, 4)),
)
ASPAS = (aspa(64496, 64497), aspa(64496, 64498, 64499), aspa(64500, 64501))
ALWAYS = aspa(64511, 64510)  # a load without any ASPA would be held back
Ends = dict[Payload, int]
By = tuple[str, str] | None


@dataclass
class Slurm:
    """A file: VRPs within a prefix are filtered, VRPs and router keys are asserted."""

    prefix: str = ""
    asn: int = 0  # of filtered router keys
    asserted: frozenset[Payload] = frozenset()

    def filters(self, value: Payload) -> bool:
        if value[0] == "vrp":
            inner = ip_network(str(value[1]))
            outer = ip_network(self.prefix or "203.0.113.0/24")
            return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
        return value[0] == "key" and value[2] == self.asn

    def body(self) -> bytes:
        text = rpki_client_json(self.asserted)
        keys = [
            {"asn": value[2], "SKI": _base64url(value[1]), "routerPublicKey": _base64url(value[3])}
            for value in self.asserted
            if value[0] == "key"
        ]
        prefixes = [
            {"asn": roa["asn"], "prefix": roa["prefix"], "maxPrefixLength": roa["maxLength"]}
            for roa in text["roas"]  # type: ignore[attr-defined]
        ]
        return json.dumps(
            {
                "slurmVersion": 1,
                "validationOutputFilters": {
                    "prefixFilters": [{"prefix": self.prefix}] if self.prefix else [],
                    "bgpsecFilters": [{"asn": self.asn}] if self.asn else [],
                },
                "locallyAddedAssertions": {"prefixAssertions": prefixes, "bgpsecAssertions": keys},
            }
        ).encode()


def _base64url(octets: object) -> str:
    assert isinstance(octets, bytes)
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


@dataclass
class State:
    """What a table is made of: what each location gave, with ends, and the SLURM files."""

    shares: dict[str, Ends]
    files: dict[str, Slurm]

    def live(self, now: float) -> State:
        shares = {name: {v: e for v, e in ends.items() if e > now} for name, ends in self.shares.items()}
        return State(shares, self.files)

    def giver(self, value: Payload) -> str | None:
        return next((name for name, ends in self.shares.items() if value in ends), None)

    def is_filtered(self, value: Payload) -> bool:
        return any(file.filters(value) for file in self.files.values())

    def is_validated(self, value: Payload) -> bool:
        return self.giver(value) is not None and not self.is_filtered(value)

    def asserter(self, value: Payload) -> str | None:
        return next((name for name, file in self.files.items() if value in file.asserted), None)

    def end(self, value: Payload) -> int:
        ends = [ends[value] for ends in self.shares.values() if value in ends]
        return NEVER if self.asserter(value) or not ends else max(ends)

    @property
    def table(self) -> frozenset[Payload]:
        given = {value for ends in self.shares.values() for value in ends}
        asserted = {value for file in self.files.values() for value in file.asserted}
        return frozenset({value for value in given if not self.is_filtered(value)} | asserted)

    def anchor(self, value: Payload) -> str | None:
        if value[0] != "vrp":
            return None
        return f"ta-{Path(str(self.giver(value))).name}" if self.is_validated(value) else "slurm"


def brought(value: Payload, before: State, after: State) -> By:
    if (name := after.asserter(value)) and not after.is_validated(value):
        return ("slurm-assertion", name)
    for name, file in before.files.items():
        if file.filters(value) and before.giver(value):
            return ("slurm-filter", name)
    return ("source", str(after.giver(value)))


def took(value: Payload, before: State, after: State, *, has_ended: bool) -> By:
    for name, file in after.files.items():
        if file.filters(value) and after.giver(value):
            return ("slurm-filter", name)
    if (name := before.asserter(value) or "") and not before.is_validated(value):
        return ("slurm-assertion", name)
    if has_ended:
        return ("expiry", "expired")
    return ("source", str(before.giver(value)))


@dataclass
class Expected:
    """A serial, what led to it, and of each change what brought it about and its trust anchor; None if that is lost."""

    serial: int
    table: frozenset[Payload]
    changes: set[Change] = field(default_factory=set)
    by: dict[Change, tuple[By, str | None]] | None = None


class World:
    """A program with two locations and two SLURM files, and what it has to tell."""

    def __init__(self, start: Start, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.files = [folder / "one.slurm", folder / "two.slurm"]
        self.slurm = {str(path): Slurm() for path in self.files}
        for path in self.files:
            replace(path, Slurm().body())
        self.program = start(
            others=1, merge=Merge.UNION, slurm=self.files, max_shrink=100.0, history_days=30, max_steps=1000
        )
        self.offered: dict[str, Ends] = {str(path): {} for path in self.program.sources}
        self.state = State({name: {} for name in self.offered}, self.slurm)
        self.expected: list[Expected] = []
        self.kinds: Counter[str] = Counter()
        for path in self.program.sources:
            self.offer(path)
        self.look()

    def offer(self, path: Path) -> None:
        """Another file at a location: a few entries other than before."""
        ends = dict(self.offered[str(path)])
        for value in self.random.sample(POOL, 5):
            if ends.pop(value, None) is None or self.random.random() < 0.3:
                ends[value] = self.random.choice((NEVER, int(self.program.now) + self.random.randrange(1, 5000)))
        if path == self.program.sources[0]:
            ends = {value: end for value, end in ends.items() if value[0] != "aspa"}
            chosen = [self.random.choice(ASPAS[:2]), *self.random.sample(ASPAS[2:], self.random.randrange(2))]
            ends |= dict.fromkeys((ALWAYS, *chosen), NEVER)
        self.offered[str(path)] = ends
        document: dict[str, object] = rpki_client_json(())
        for value, end in ends.items():
            for name, records in rpki_client_json((value,), expires=end).items():
                if isinstance(records, list):
                    for record in records:
                        record["ta"] = f"ta-{path.name}"
                    document[name] += records  # type: ignore[operator]
        moment = datetime.fromtimestamp(self.program.now, UTC)
        document["metadata"] = {"buildtime": moment.isoformat()}
        replace(path, json.dumps(document).encode())

    def look(self) -> None:
        self.program.loader.trigger()
        self.step(
            State(
                {name: {v: e for v, e in ends.items() if e > self.program.now} for name, ends in self.offered.items()},
                dict(self.slurm),
            ),
            is_look=True,
        )

    def other_slurm(self) -> None:
        prefix, path = self.random.choice((("192.0.2.0/24", self.files[0]), ("198.51.100.0/24", self.files[1])))
        asserted = [value for value in POOL if str(value[1]).startswith(prefix[:6])]
        if path == self.files[0]:
            asserted += [router_key(1), router_key(9)]
        self.slurm[str(path)] = Slurm(
            prefix if self.random.random() < 0.4 else "",
            64496 if path == self.files[0] and self.random.random() < 0.3 else 0,
            frozenset(self.random.sample(asserted, self.random.randrange(3))),
        )
        replace(path, self.slurm[str(path)].body())
        self.look()

    def pass_time(self) -> None:
        self.program.now += self.random.randrange(1, 2000)
        for _ in range(3):
            self.step(self.state.live(self.program.now))
            self.program.now += 1.0

    def step(self, after: State, *, is_look: bool = False) -> None:
        serial, before = self.program.serial, self.state
        self.program.step()
        is_changed = self.program.serial != serial
        if is_look or is_changed:
            self.state = after
        if not is_changed:
            return
        assert self.program.serial is not None
        table = after.table
        assert self.program.payload == set(table)
        entry = Expected(self.program.serial, table)
        if self.expected:
            entry.changes = change_set(before.table, table)
            entry.by = {}
            for value in {*before.table, *table}:
                self._note(entry, value, before, after)
        self.expected.append(entry)

    def _note(self, entry: Expected, value: Payload, before: State, after: State) -> None:
        now = self.program.now
        for change in {change for change in entry.changes if change[1] == short(value)}:
            match change[0]:
                case "announce":
                    found, anchor = brought(value, before.live(now), after), after.anchor(value)
                case "withdraw":
                    has_ended = before.end(value) <= now
                    found, anchor = took(value, before.live(now), after, has_ended=has_ended), before.anchor(value)
                case _:
                    found, anchor = ("source", str(after.giver(value))), None
            assert found is not None
            self.kinds[f"{change[0]} {found[0]}"] += 1
            assert entry.by is not None
            entry.by[change] = found, anchor

    def crash(self) -> None:
        """Between the commit that counts and the one for people; another change may come before the restart."""
        count = len(self.expected)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Archive, "add", lambda *_, **__: None)
            for _ in range(self.random.randrange(1, 3)):
                self.offer(self.program.sources[0])
                self.look()
        for entry in self.expected[count:]:
            entry.by = None
        self.restart()

    def restart(self) -> None:
        self.program.restart()
        self.program.store.catch_up()

    def check(self) -> None:
        archived = Archived(self.program.folder)
        generations = archived.generations()["items"]
        assert [each["serial"] for each in generations] == [entry.serial for entry in self.expected[::-1]]
        for each, entry in zip(generations[::-1], self.expected, strict=True):
            self._check_generation(archived, each, entry)
        items = [change for each in generations for change in archived.generation(each["serial"])["changes"]]
        assert archived.changes()["items"] == items
        for first in self.random.sample(self.expected, min(4, len(self.expected))):
            for last in self.expected:
                found = net(archived.diff(first.serial, last.serial))
                assert found == change_set(first.table, last.table)
        self._check_pages(archived, items)
        self._check_searches(archived, items)

    def _check_generation(self, archived: Archived, each: dict[str, Any], entry: Expected) -> None:
        counts = Counter(value[0] for value in entry.table)
        counted = each["counts"]
        assert counted["ipv4"] + counted["ipv6"] == counts["vrp"]
        assert (counted["router_keys"], counted["aspas"]) == (counts["key"], counts["aspa"])
        assert each["has_changes"] is (entry is not self.expected[0])
        answer = archived.generation(entry.serial)
        assert (answer["generation"], answer["next"]) == (each, None)
        changes = answer["changes"]
        assert told(changes) == entry.changes
        amounts = Counter(change["action"] for change in changes)
        names = {"announced": "announce", "withdrawn": "withdraw", "replaced": "replace"}
        assert {name: sum(each[name].values()) for name in names} == {
            name: amounts[action] for name, action in names.items()
        }
        for change in changes:
            by = None if change["by"] is None else (change["by"]["kind"], change["by"]["name"])
            wanted = (None, None) if entry.by is None else entry.by[change["action"], payload_of(change)]
            assert (by, change.get("ta")) == wanted, change

    def _check_pages(self, archived: Archived, items: list[dict[str, Any]]) -> None:
        limit, found = self.random.randrange(1, 9), []
        cursor: tuple[int, ...] = ()
        while True:
            page = archived.changes(limit=limit, cursor=cursor, url="/changes?")
            found += page["items"]
            if page["next"] is None:
                break
            assert len(page["items"]) == limit
            cursor = tuple(map(int, page["next"].removeprefix("/changes?cursor=").split("-")))
        assert found == items

    def _check_searches(self, archived: Archived, items: list[dict[str, Any]]) -> None:
        prefix = self.random.choice(("192.0.2.0/24", "192.0.2.32/27", "198.51.100.64/28", "2001:db8::/40", "0.0.0.0/0"))
        wanted = ip_network(prefix)

        def is_within(item: dict[str, Any], *, relation: str) -> bool:
            own = ip_network(item.get("prefix", "203.0.113.0/32"))
            if own.version != wanted.version or "prefix" not in item:
                return False
            covering, covered = wanted.subnet_of(own), own.subnet_of(wanted)  # type: ignore[arg-type]
            return {
                "exact": own == wanted,
                "covering": covering,
                "covered": covered,
                "related": covering or covered,
            }[relation]

        for relation in ("exact", "covering", "covered", "related"):
            found = archived.changes(prefix=prefix, relation=relation)["items"]
            assert found == [item for item in items if is_within(item, relation=relation)]
        for asn in (64496, 64497, 64500):
            found = archived.changes(asn=asn)["items"]
            assert found == [item for item in items if asn in (item.get("asn"), item.get("customer_asn"))]
        for kind in ("vrp", "router_key", "aspa"):
            assert archived.changes(kind=kind)["items"] == [item for item in items if item["kind"] == kind]
        serials = [entry.serial for entry in self.expected]
        first, last = sorted(self.random.sample(range(len(serials)), 2))
        between = set(serials[first + 1 : last + 1])
        found = archived.changes(since=serials[first], until=serials[last])["items"]
        assert found == [item for item in items if item["serial"] in between]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_it_is_told_as_it_was(seed, start, folder):
    world = World(start, folder, seed)
    for _ in range(60):
        choice = world.random.choices(("offer", "slurm", "time", "restart", "crash"), weights=(10, 8, 8, 2, 1))[0]
        match choice:
            case "offer":
                world.offer(world.random.choice(world.program.sources))
                world.look()
            case "slurm":
                world.other_slurm()
            case "time":
                world.pass_time()
            case "restart":
                world.restart()
            case _:
                world.crash()
    world.check()
    assert world.kinds.keys() >= {
        *("announce source", "announce slurm-filter", "announce slurm-assertion", "replace source"),
        *("withdraw source", "withdraw slurm-filter", "withdraw slurm-assertion", "withdraw expiry"),
    }
