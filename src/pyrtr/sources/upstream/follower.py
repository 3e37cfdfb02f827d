"""The follower: a process that holds the connection to an RTR cache, the session and the table.

It has the octets of a stranger and the memory of a million VRPs, which the serving process must never have. It writes
a table file whenever the set has changed, says so on standard output, and dies with the process that started it.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from pyrtr.errors import StoreError
from pyrtr.payload.table import endless
from pyrtr.processes import end_with_parent
from pyrtr.session.actions import Close, Note, Send
from pyrtr.session.router import Confirmed, Held, Phase, RouterAction, RouterSession
from pyrtr.sources.upstream.conversation import converse
from pyrtr.sources.upstream.messages import AGAIN, Confirmation, Loss, Message, Order, Remark, Written
from pyrtr.store.table_file import write_table

TRUST_ANCHOR = "rtr"  # the protocol does not tell the real ones
# Pauses are stretched by up to this part, so that what was cut off together does not come back together.
JITTER = 0.1
MAX_TEXT = 500  # of what a cache writes into an Error Report, on its way into a log


class Follower:
    """Follows one cache for ever.

    Args:
        order: what to follow.
        tell: called with whatever the serving process should know.
    """

    def __init__(self, order: Order, tell: Callable[[Message], None]) -> None:
        self._order = order
        self._tell = tell
        self._session = RouterSession(floor_s=order.floor_s, ceiling_s=order.ceiling_s)
        self._file_count = 0
        self._digest: str | None = None  # of the set that is held, once it is written
        self._told_attempt: float | None = None
        self._has_told_set = False

    async def run(self) -> None:
        """Connect, converse, and again."""
        session = self._session
        while True:
            pause_s = max(0.0, session.connect_at - time.monotonic()) * (1 + JITTER * random.random())
            self._tell_trouble(time.monotonic() + pause_s)
            await asyncio.sleep(pause_s)
            await converse(session, self._order.peer, self._do)

    def _do(self, actions: Iterable[RouterAction]) -> None:
        session = self._session
        for action in actions:
            match action:
                case Confirmed(held, is_changed):
                    if is_changed:
                        self._digest = None
                    self._confirm(held)
                case Note(event, fields, is_warning):
                    shown = {
                        name: value if isinstance(value, int) else str(value)[:MAX_TEXT]
                        for name, value in fields.items()
                    }
                    self._tell(Remark(event, shown, is_warning))
                case Send() | Close():
                    pass  # the connection is seen to; the phase says the latter
        if session.phase is Phase.WAITING and session.deadline is not None:
            self._tell_trouble(session.deadline)

    def write_again(self) -> None:
        """The table file is wanted once more."""
        held = self._session.held
        self._tell(Written(None if held is None else self._write(held)))

    def _confirm(self, held: Held) -> None:
        path = None
        if self._digest is None and (path := self._write(held)) is None:
            return  # it is tried again when the cache answers next
        assert self._digest is not None
        self._has_told_set = True
        state = held.state
        self._tell(
            Confirmation(
                path,
                self._digest,
                held.version,
                state.session_id,
                state.serial,
                _unix(held.confirmed_at),
                held.timing.expire,
            )
        )

    def _write(self, held: Held) -> str | None:
        """Write the table to a file of a new name."""
        path = Path(self._order.folder, f"{self._order.prefix}{os.getpid()}-{self._file_count}.table")
        self._file_count += 1
        try:
            self._digest = write_table(path, held.table, endless(held.table, TRUST_ANCHOR)).hex()
        except StoreError as error:
            self._tell(Loss(str(error), _unix(self._session.deadline or self._session.connect_at)))
            return None
        return str(path)

    def _tell_trouble(self, next_attempt: float) -> None:
        """Say why there is no answer, once for each attempt to come."""
        trouble = self._session.trouble
        if trouble is not None and next_attempt != self._told_attempt:
            self._told_attempt = next_attempt
            self._tell(Loss(trouble, _unix(next_attempt), self._has_told_set and self._session.held is None))


def _unix(moment: float) -> float:
    """The Unix time of a moment of the monotonic clock."""
    return time.time() + moment - time.monotonic()


async def _follow() -> None:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    order = msgspec.json.decode(await orders.readline(), type=Order)
    follower = Follower(order, _tell)
    following = asyncio.create_task(follower.run())

    async def obey() -> None:
        while line := await orders.readline():
            if line == AGAIN:
                follower.write_again()

    await asyncio.wait((following, asyncio.create_task(obey())), return_when=asyncio.FIRST_COMPLETED)
    if following.done():
        following.result()


def _tell(message: Message) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Follow for the process whose id is the argument, until its end or that of standard input."""
    end_with_parent()
    asyncio.run(_follow())


if __name__ == "__main__":
    main()
