"""Where we stand: each generation is committed before it is published, and nothing is published that is not."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import Sequence

from pyrtr.errors import StoreError
from pyrtr.logs import get_logger
from pyrtr.payload.history import History, Step
from pyrtr.payload.serial import SERIAL_MODULUS, next_serial
from pyrtr.server.publisher import Published, Publisher
from pyrtr.store.archive import Story
from pyrtr.store.sessions import new_session_ids, restarted
from pyrtr.store.state import Generation, Store
from pyrtr.store.table_file import read_table, write_table


class Ledger:
    """The generations, one after another.

    Args:
        store: where they are committed.
        publisher: where they are published.
        max_steps: how many serials back a router may ask for.
        initial_serial: the first serial of a new state; None for a random one.
        upstream: whose sessions and serials these are to be: the pyRTR that is followed, or the fleet that we are of.
            Empty for our own.

    Attributes:
        store, max_steps, upstream: as given.
        current: the last one; None before the first.
        is_silent: whether what is committed is not published yet.
    """

    def __init__(
        self, store: Store, publisher: Publisher, *, max_steps: int, initial_serial: int | None, upstream: str = ""
    ) -> None:
        self.store = store
        self.upstream = upstream
        self.current: Generation | None = None
        self.is_silent = False
        self._publisher = publisher
        self.max_steps = max_steps
        self._initial_serial = initial_serial

    @property
    def is_published(self) -> bool:
        """Whether there is anything that routers are served."""
        return self._publisher.current.is_ready

    @property
    def continues(self) -> bool:
        """Whether the sessions and serials of the current one go on."""
        return self.current is not None and self.current.upstream == self.upstream

    async def recover(self) -> Generation | None:
        """Go on from where the last run ended, with a session id of version 0 of this one (see `store.sessions`).

        Sessions that are not our own stay as they are, and where they are to be an upstream's, what another one or a
        source of our own left is left alone. Nothing is published by this.
        """
        found = self.store.recovered
        if self.upstream and found is not None and found.upstream != self.upstream:
            return None
        self.current = found
        if found is not None and not found.upstream:
            await self.commit(dataclasses.replace(found, session_ids=restarted(found.session_ids)), (), "restart")
        return self.current

    def following(self, candidate: Generation, step: Step | None, *, is_changed: bool) -> Generation:
        """The generation that comes next: `candidate` with its sessions, serial and history.

        Args:
            candidate: the next one, but for what is worked out here.
            step: what leads to it from the current one; None if that can't be told although it is changed.
            is_changed: whether its payload is another one.
        """
        current = self.current
        candidate = dataclasses.replace(candidate, upstream=self.upstream)
        if current is None or not self.continues:
            serial = secrets.randbelow(SERIAL_MODULUS) if self._initial_serial is None else self._initial_serial
            return dataclasses.replace(candidate, session_ids=new_session_ids(), serial=serial, history=History())
        kept = dataclasses.replace(candidate, session_ids=current.session_ids)
        if not is_changed:
            return dataclasses.replace(
                kept, serial=current.serial, history=current.history, published_at=current.published_at
            )
        history = History()
        if step is not None:
            size = len(candidate.stored.table)
            history = current.history.followed_by(step, max_steps=self.max_steps, table_size=size)
        return dataclasses.replace(kept, serial=next_serial(current.serial), history=history)

    async def commit(
        self, generation: Generation, steps: Sequence[Step], cause: str, story: Story | None = None
    ) -> None:
        """Store it (see `Store.commit`), and only then take it for the current one.

        Raises:
            StoreError: it can't be stored; what was current is.
        """
        await asyncio.to_thread(self.store.commit, generation, steps, cause, story)
        self.current = generation

    def publish(self) -> None:
        """Let routers have the current one."""
        if self.is_silent:
            return
        assert self.current is not None
        current = self.current
        self._publisher.publish(
            Published(
                timing=self._publisher.current.timing,
                session_ids=current.session_ids,
                serial=current.serial,
                table=current.stored.table,
                content=current.content,
                path=current.table_path,
                digest=current.stored.digest,
                history=current.history,
                published_at=current.published_at,
                metadata=current.metadata,
                may_catch_up=bool(current.upstream),
            )
        )

    def refresh(self) -> None:
        """The current one tells routers nothing new: exchange what lies behind it without waking them."""
        assert self.current is not None
        current = self.current
        self._publisher.current = dataclasses.replace(
            self._publisher.current,
            table=current.stored.table,
            path=current.table_path,
            digest=current.stored.digest,
            metadata=current.metadata,
        )

    def mend_table(self) -> None:
        """Write the current one's table file again if it is damaged or gone: what we hold of it is whole."""
        if self.current is None:
            return
        try:
            read_table(self.current.table_path)
        except StoreError as error:
            get_logger().error("table file written again", reason=str(error))
            with contextlib.suppress(StoreError):
                write_table(self.current.table_path, self.current.stored.table, self.current.stored.facts)
