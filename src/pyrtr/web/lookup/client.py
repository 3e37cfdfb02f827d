"""The lookup process as the serving process sees it: started when it is needed, asked a piece at a time.

Nothing else of a long answer is done here than to hand its pieces on. Who asks waits for a turn, first come first
served, so that streams go on side by side, and a short answer waits for a piece of a long one at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pyrtr.errors import SourceError, StoreError
from pyrtr.processes import Answer, Companion
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.lookup.messages import Asked, Piece

# To read a table takes 0.1 s, and to start the process 0.3 s; a piece is made in 20 ms. The rest is for a busy machine.
TIMEOUT_S = 20.0
# Its memory goes back after so long without a question.
IDLE_S = 300.0
# A stream pauses so long at most while routers are sent tables: most take 10 ms, and one that does not read takes long.
GIVE_WAY_S = 0.02
LOOK_S = 0.002
RETRY_AFTER = {"retry-after": "1"}


class Lookup:
    """The lookup process, which may be asked from when the event loop runs.

    Args:
        is_sending: whether any router is being sent a table at this moment.
    """

    def __init__(self, is_sending: Callable[[], bool] = lambda: False) -> None:
        self._is_sending = is_sending
        self._companion: Companion[Piece] = Companion("pyrtr.web.lookup.worker", "lookup", Answer[Piece])
        self._turn = asyncio.Lock()
        self._asking: set[asyncio.Task[Piece]] = set()
        self._resting: asyncio.Task[None] | None = None

    async def ask(self, question: Asked) -> Piece:
        """One piece.

        Raises:
            ProblemError: the question has no answer, or the process died; the next question starts another.
        """
        # Who goes away meanwhile leaves the question to be answered: half an answer would be taken for the next one.
        task = asyncio.get_running_loop().create_task(self._ask(question))
        self._asking.add(task)
        task.add_done_callback(self._done)
        piece = await asyncio.shield(task)
        if piece.refused is not None:
            raise ProblemError(piece.refused.status, piece.refused.detail, piece.refused.parameter)
        return piece

    async def give_way(self) -> None:
        """Let routers that are being sent a table go first."""
        loop = asyncio.get_running_loop()
        end = loop.time() + GIVE_WAY_S
        while self._is_sending() and loop.time() < end:  # noqa: ASYNC110 - no event tells so
            await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        """End the process."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        async with self._turn:
            if self._resting is not None:
                self._resting.cancel()
            await self._companion.stop()

    async def _ask(self, question: Asked) -> Piece:
        async with self._turn:
            if self._resting is not None:
                self._resting.cancel()
            try:
                return await self._companion.ask(question, timeout_s=TIMEOUT_S)
            except (SourceError, StoreError) as error:
                text = f"the answer can't be made now: {error}; ask again"
                raise ProblemError(503, text, headers=RETRY_AFTER) from error
            finally:
                self._resting = asyncio.get_running_loop().create_task(self._rest())

    def _done(self, task: asyncio.Task[Piece]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # who asked may be gone

    async def _rest(self) -> None:
        """End the process after `IDLE_S` without a question."""
        await asyncio.sleep(IDLE_S)
        async with self._turn:
            await self._companion.stop()
