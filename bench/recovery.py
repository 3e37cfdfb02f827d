"""A crash and a start: how long a router that comes back waits for its answer."""

from __future__ import annotations

import statistics
import time

from bench import readers
from bench.programs import START_S, BenchError, pyrtr
from bench.report import Run, line, milliseconds, title
from bench.worker import worker

ROUNDS = 5


def restart(run: Run) -> None:
    """From the start of the process after kill -9 to the answer of a Serial Query in the same session."""
    answers, recoveries = [], []
    size = run.inputs.delta_bytes + readers.EMPTY_RESPONSE_BYTES
    with pyrtr(run.folder, run.inputs.first) as program, worker() as reader:
        held = reader.call(readers.take_apart, program.address)
        program.reload(run.inputs.second)
        for _ in range(ROUNDS):
            program.kill()
            asking = reader.begin(readers.first_answer, program.address, held, time.monotonic() + START_S)
            program.start()
            moment, answer_size, session_id, serial = asking()
            if (answer_size, session_id, serial) != (size, held.session_id, (held.serial + 1) % 2**32):
                raise BenchError(f"the answer has {answer_size} octets, session {session_id}, serial {serial}")
            answers.append(moment - program.started)
            recoveries.append(program.wait_for("recovered")[0] - program.started)
    delta = f"the delta of {run.inputs.changed_count:,} VRPs, {size / 1000:.1f} kB"
    title(f"restart: kill -9, and a Serial Query whose answer is {delta} ({ROUNDS} times)")
    line('start of the process to "recovered"', milliseconds(statistics.median(recoveries)), "median")
    slowest = f"slowest: {milliseconds(max(answers))}"
    line("start of the process to End of Data", milliseconds(statistics.median(answers)), f"median   {slowest}")
