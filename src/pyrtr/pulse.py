"""How late the event loop is: what holds it up delays every router."""

from __future__ import annotations

import asyncio

from pyrtr.histogram import Histogram

# Nothing may hold it up for more than 20 ms.
BOUNDS_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
# So often that a pause which a router would notice is likely to be met, and so seldom that it costs nothing.
INTERVAL_S = 0.25


class Pulse:
    """Wakes now and then, and counts how much too late that was.

    Attributes:
        lags: in seconds.
    """

    def __init__(self) -> None:
        self.lags = Histogram(BOUNDS_S)

    async def run(self) -> None:
        """Measure, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            self.lags.observe(max(0.0, loop.time() - due))
