"""pyRTR with a heart beat in its event loop: how late each beat is says how long the loop was held up.

`BEATS` names a file for the late ones: JSON, pairs of when (monotonic) and by how many seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from unittest.mock import patch

import uvloop

from pyrtr.__main__ import main

BEAT_S = 0.001
# Timers have steps of a millisecond.
LATE_S = 0.002

_late: list[tuple[float, float]] = []
_new_event_loop = uvloop.new_event_loop


def beating_loop() -> asyncio.AbstractEventLoop:
    """An event loop of the usual kind, with the heart beat."""
    loop = _new_event_loop()

    def beat(due: float) -> None:
        now = time.monotonic()
        if now - due > LATE_S:
            _late.append((now, now - due))
        loop.call_later(BEAT_S, beat, now + BEAT_S)

    loop.call_soon(beat, time.monotonic())
    return loop


if __name__ == "__main__":
    with patch.object(uvloop, "new_event_loop", beating_loop):
        status = main([])
    Path(os.environ["BEATS"]).write_text(json.dumps(_late))
    sys.exit(status)
