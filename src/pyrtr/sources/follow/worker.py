"""The follow process: it waits for what the other pyRTR publishes, and makes a proved copy of it.

It lives as long as the serving process, has the table in memory, and writes it to where it is told. What it knows it is
told with each order, so that nothing is lost with it but the time to read the table again.
"""

from __future__ import annotations

import time
from pathlib import Path

from pyrtr import processes
from pyrtr.errors import DeltaError, SourceError, StoreError
from pyrtr.payload.table import PayloadTable, endless
from pyrtr.sources.follow.client import Client
from pyrtr.sources.follow.copy import forward, proved
from pyrtr.sources.follow.exchange import RawStep, keep_steps, read_steps, read_table, steps_of
from pyrtr.sources.follow.messages import Followed, Order, Position, Standing
from pyrtr.store import table_file

# The steps of a first copy are proved one by one, which takes some 30 ms for each with a million VRPs. There are mostly
# few of them; what is not proved in this time is not served, and a router that is as far behind takes the whole table.
PROOF_S = 30.0


class Copyist:
    """Carries out orders."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._table: tuple[bytes, PayloadTable] | None = None  # and the digest of its payload
        self._mismatch: str | None = None

    def follow(self, order: Order) -> Followed:
        """Find out what there is, and write it to the order's paths if it is new.

        Raises:
            SourceError: there is nothing to be had now, or nothing that can be used.
            StoreError: it can't be written.
        """
        if self._client is None:
            self._client = Client(order.url, order.tls, order.limits)
        self._client.received_bytes = 0
        self._mismatch = None
        try:
            return (self._onward(order, order.known) if order.known is not None else None) or self._whole(order)
        except SourceError:
            self.close()  # whatever is still to come belongs to nothing
            raise

    def close(self) -> None:
        """End the connection; the next order makes another."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _onward(self, order: Order, known: Position) -> Followed | None:
        """Go on from what is known; None if that can't be done, and all has to be copied anew."""
        assert self._client is not None
        table = self._known_table(known)
        if table is None or (body := self._client.steps(known, order.wait_s)) is None:
            return None
        started = time.perf_counter()
        standing, raw_steps = read_steps(body)
        if not standing.sessions.continues(known.sessions):
            return None
        end = standing.serial, bytes.fromhex(standing.content)
        if (known.serial, known.content) == end and not raw_steps:
            return Followed(standing, received_bytes=self._client.received_bytes)
        try:
            table = forward(table, (known.serial, known.content), steps_of(raw_steps), end)
        except DeltaError as error:
            self._mismatch = str(error)
            return None
        return self._written(order, standing, table, raw_steps, started, is_whole=False)

    def _known_table(self, known: Position) -> PayloadTable | None:
        if self._table is not None and self._table[0] == known.content:
            return self._table[1]
        try:
            table = table_file.read_table(Path(known.table)).table
        except StoreError:  # the file is damaged or gone; a copy is to be had
            return None
        return table if table_file.content_digest(table) == known.content else None

    def _whole(self, order: Order) -> Followed:
        assert self._client is not None
        body = self._client.table()
        started = time.perf_counter()
        standing, table, raw_steps = read_table(body)
        if table_file.content_digest(table) != bytes.fromhex(standing.content):
            return Followed(None, f"serial {standing.serial} differs from what it says it is", self._mismatch)
        try:
            steps = proved(table, standing.serial, steps_of(raw_steps), lambda: time.perf_counter() > started + PROOF_S)
        except DeltaError as error:
            return Followed(None, str(error), self._mismatch)
        return self._written(order, standing, table, raw_steps[len(raw_steps) - len(steps) :], started, is_whole=True)

    def _written(
        self,
        order: Order,
        standing: Standing,
        table: PayloadTable,
        raw_steps: list[RawStep],
        started: float,
        *,
        is_whole: bool,
    ) -> Followed:
        assert self._client is not None
        digest = table_file.write_table(Path(order.table), table, endless(table, "unknown"))
        keep_steps(Path(order.steps), raw_steps)
        self._table = bytes.fromhex(standing.content), table
        return Followed(
            standing,
            mismatch=self._mismatch,
            is_whole=is_whole,
            digest=digest,
            change_count=len(table) if is_whole else sum(len(step.delta) for step in steps_of(raw_steps)),
            received_bytes=self._client.received_bytes,
            seconds=time.perf_counter() - started,
        )


if __name__ == "__main__":
    processes.answer_all(Order, Copyist().follow)
