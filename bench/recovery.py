"""A crash and a start: how long a router that comes back waits for its answer."""

from __future__ import annotations

import time

from bench import readers
from bench.programs import START_S, BenchError, pyrtr
from bench.report import PYRTR, Run, Unit
from bench.worker import worker

RESTART = "restart"
TO_ANSWER = "start of the process after kill -9 to the answer of a Serial Query"


def restart(run: Run) -> None:
    """From the start of the process after kill -9 to the answer of a Serial Query in the same session."""
    answers, recoveries = [], []
    size = run.inputs.second.delta_bytes + readers.EMPTY_RESPONSE_BYTES
    with pyrtr(run.folder, run.inputs.first.path) as program, worker() as reader:
        held = reader.call(readers.read_table, program.address, run.inputs.first.digest)
        program.reload(run.inputs.second.path)
        for _ in range(run.rounds):
            program.kill()
            asking = reader.begin(readers.first_answer, program.address, held, time.monotonic() + START_S)
            program.start()
            moment, answer_size, session_id, serial = asking()
            if (answer_size, session_id, serial) != (size, held.session_id, (held.serial + 1) % 2**32):
                raise BenchError(f"the answer has {answer_size} octets, session {session_id}, serial {serial}")
            answers.append(moment - program.started)
            recoveries.append(program.wait_for("recovered")[0] - program.started)
    run.add(RESTART, 'start of the process to "recovered"', PYRTR, Unit.SECONDS, recoveries)
    run.add(RESTART, TO_ANSWER, PYRTR, Unit.SECONDS, answers)
