"""The real program, killed again and again at random moments, under churn, with routers that keep their place."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.inputs import Payload, aspa, router_key, visible, vrp
from tests.model_core import RouterCore, Sync
from tests.model_pdus import SERIAL_NOTIFY
from tests.program import Program

SEED = 20261123
LANES = (2, 1, 2)  # programs side by side, and the version of the router of each
ROUNDS_A_LANE = 68
SPREAD = 1.3  # kills come within so many times what it takes until the router has a change
MEASURE_EVERY = 17  # rounds
ASK_EVERY_S = 0.01
ROUND_S = 30.0  # what a busy machine may need, at most, to start the program and answer


class Churn:
    """Sets that differ in a few entries from one to the next; one VRP tells each from all others."""

    def __init__(self, chance: random.Random, version: int) -> None:
        self.numbers: dict[frozenset[Payload], int] = {}  # the place of every set that ever was, as the router sees it
        self.last: frozenset[Payload] = frozenset()
        self._chance = chance
        self._version = version
        self._pool = [
            *(vrp(f"198.51.100.{number}/32", 64496 + number % 3) for number in range(200)),
            *(router_key(number) for number in range(1, 9)),
        ]
        self._held = set(self._pool[::2])
        self._providers = {64496 + number: 64500 + number for number in range(8)}

    def next(self) -> set[Payload]:
        """Another set."""
        self._held ^= set(self._chance.sample(self._pool, 5))
        self._providers[self._chance.choice(list(self._providers))] = self._chance.randrange(65536, 65552)
        aspas = {aspa(customer, provider) for customer, provider in self._providers.items()}
        mark = vrp(f"2001:db8:{len(self.numbers) + 1:x}::/48")
        payload = {*self._held, *aspas, mark}
        self.last = frozenset(visible(self._version, payload))
        self.numbers[self.last] = len(self.numbers)
        return payload


@dataclass
class Lane:
    """One program and its router: what happens in its rounds.

    Attributes:
        folder, version, chance: of the program, of the router, and behind all that is random here.
        problems: what must not be.
        seen, measured: the sets that the router has held, by number, and those of them that nobody was killed over.
        syncs: answers that ended well.
        kills_unserved: kills that came before the first answer.
        start_s, load_s: how long a change takes to reach the router, with a start before it and without.
    """

    folder: Path
    version: int
    chance: random.Random
    problems: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    measured: set[int] = field(default_factory=set)
    syncs: int = 0
    kills_unserved: int = 0
    start_s: float = 0.0
    load_s: float = 0.0

    def run(self) -> None:
        self.churn = Churn(self.chance, self.version)
        self.router = RouterCore(self.version)
        self.program = Program(self.folder, self.churn.next(), HTTP_PORT=False, MAX_SHRINK=100, RELOAD=86400)
        with self.program:
            self.follow(lambda: self.syncs > 0)
            self.program.kill()
            for number in range(ROUNDS_A_LANE):
                if number % MEASURE_EVERY == 0:  # a busy machine may be another one a minute later
                    self.measure()
                self.round()
            self.program.start()
            self.follow(lambda: self.router.payload == self.churn.last)
            assert self.program.stop() == 0
        self.problems += [str(event) for event in self.program.events() if event["level"] in ("error", "critical")]

    def measure(self) -> None:
        """How long it takes, with the other lanes beside us, until the router has a change."""
        started = time.monotonic()
        self.program.load(self.churn.next())
        self.program.launch()
        self.follow(lambda: self.router.payload == self.churn.last)
        self.start_s = time.monotonic() - started
        self.measured.add(self.churn.numbers[self.churn.last])
        self.program.load(self.churn.next())
        self.follow(lambda: self.router.payload == self.churn.last)
        self.load_s = time.monotonic() - started - self.start_s
        self.measured.add(self.churn.numbers[self.churn.last])
        self.program.kill()

    def round(self) -> None:
        """The source changes, the program is up for a while, and is killed."""
        syncs = self.syncs
        if self.chance.random() < 0.5:
            self.program.load(self.churn.next())
            self.program.launch()
            up_s = self.chance.uniform(0, SPREAD) * self.start_s
        else:
            self.program.launch()
            self.follow(lambda: self.syncs > syncs)
            self.program.load(self.churn.next())
            up_s = self.chance.uniform(0, SPREAD) * self.load_s
        killer = threading.Timer(up_s, self.kill)
        killer.start()
        self.follow(lambda: not killer.is_alive())
        self.kills_unserved += self.syncs == syncs

    def kill(self) -> None:
        if not self.program.is_running:
            self.problems.append("the program ended by itself")
        self.program.kill()

    def follow(self, is_over: Callable[[], bool]) -> None:
        """Be the router, through all losses of the connection, until something has come to pass."""
        deadline = time.monotonic() + ROUND_S
        while not is_over():
            assert time.monotonic() < deadline, f"{self.problems}, {self.program.log.read_text()[-3000:]}"
            try:
                with socket.create_connection(self.program.rtr, ROUND_S) as sock:
                    self.router.reconnected()
                    self.converse(sock, is_over)
            except ConnectionError:
                time.sleep(ASK_EVERY_S)

    def converse(self, sock: socket.socket, is_over: Callable[[], bool]) -> None:
        while not is_over():
            sock.sendall(self.router.send(self.router.query()))
            while self.router.awaits_answer:
                data = sock.recv(65536)
                if not data:
                    return
                for event in self.router.feed(data, time.monotonic()):
                    if isinstance(event, Sync):
                        self.check(event)
                    elif event.type != SERIAL_NOTIFY:
                        self.problems.append(str(event))
            time.sleep(ASK_EVERY_S)

    def check(self, sync: Sync) -> None:
        """What is held now is a set that the source had, and none older than what was held before."""
        self.syncs += 1
        number = None if sync.payload is None else self.churn.numbers.get(frozenset(sync.payload))
        if number is None or number < max(self.seen, default=0):
            self.problems.append(f"serial {sync.serial} is no set of the source, or an older one: {number}")
        else:
            self.seen.add(number)


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """B27, B40, R4: no serial ever names two sets, no router ever starts anew, and no start is refused.

    The router itself complains if a state that it was told before means something else now.
    """
    lanes = []
    for number, version in enumerate(LANES):
        folder = tmp_path / str(number)
        folder.mkdir()
        lanes.append(Lane(folder, version, random.Random(SEED + number)))
    with ThreadPoolExecutor(len(lanes)) as pool:
        for future in [pool.submit(partial(Lane.run, lane)) for lane in lanes]:
            future.result()
    for lane in lanes:
        seen, unserved = len(lane.seen), lane.kills_unserved
        print(f"{ROUNDS_A_LANE} kills, {unserved} before the first answer; {lane.syncs} answers with {seen} sets")
        assert lane.problems == []
        assert (lane.router.full_syncs, lane.router.cache_resets) == (1, 0)
        assert len(lane.seen - lane.measured) > ROUNDS_A_LANE / 10, "kills came too soon for anything to be committed"
    assert len(lanes) * ROUNDS_A_LANE >= 200
