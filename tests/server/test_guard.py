"""A load that takes away too much at once waits for an operator's word; the real program and the real command."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import pytest
from tests.inputs import Payload, many, vrp
from tests.model_router import Router
from tests.program import Program

FULL, HALF = many(20), many(10)
HELD = "takes away 10 of 20 (50.0 %) VRPs, at most 20 % are accepted"


def hold(program: Program, router: Router) -> None:
    """Load what takes away too much, and see that it does not get through."""
    router.sync()
    program.load(HALF)
    program.wait_for(lambda: program.metrics()["pyrtr_load_held"] == 1, what="the load is held back")
    status, text = program.health()
    assert status == 503
    assert HELD in text
    assert program.metrics()["pyrtr_load_held_vrps"] == 10
    assert router.sync().payload == set(FULL)


def is_well(program: Program, router: Router, payload: list[Payload]) -> bool:
    is_clear = program.get("/healthz")[0] == 200 and program.metrics()["pyrtr_load_held"] == 0
    return bool(router.sync().payload == set(payload)) and is_clear


def test_an_operator_accepts(tmp_path: Path) -> None:
    """`pyrtr accept` says what it accepts, and routers get a delta."""
    with Program(tmp_path, FULL, MAX_SHRINK=20) as program, program.router() as router:
        hold(program, router)
        result = program.command("accept")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == f"accepted: the load that {HELD}\n"
        program.wait_for(partial(is_well, program, router, HALF), what="the load is accepted")
        assert router.full_syncs == 1
        result = program.command("accept")
        assert (result.returncode, result.stdout) == (0, "nothing is held back\n")


def test_a_signal_accepts(tmp_path: Path) -> None:
    """SIGUSR1 says the same as `pyrtr accept`, and reaches a program without a state folder."""
    with Program(tmp_path, FULL, MAX_SHRINK=20, STATE=False) as program, program.router() as router:
        hold(program, router)
        result = program.command("accept")
        assert (result.returncode, result.stdout) == (1, "")
        assert "SIGUSR1" in result.stderr
        program.signal(signal.SIGUSR1)
        program.wait_for(partial(is_well, program, router, HALF), what="the load is accepted")


def test_the_next_good_load_clears(tmp_path: Path) -> None:
    """What was held back is forgotten as soon as a load comes that takes away little."""
    with Program(tmp_path, FULL, MAX_SHRINK=20) as program, program.router() as router:
        hold(program, router)
        better = [*FULL[1:], vrp("192.0.2.0/24")]
        program.load(better)
        program.wait_for(partial(is_well, program, router, better), what="the good load is there")


def test_after_hold_it_is_accepted(tmp_path: Path) -> None:
    """HOLD has passed: accepted without anybody's word, but not in silence."""
    with Program(tmp_path, FULL, MAX_SHRINK=20, HOLD=1) as program, program.router() as router:
        router.sync()
        program.load(HALF)
        program.wait_for(partial(is_well, program, router, HALF), what="the load is accepted")
        levels = {line["event"]: line["level"] for line in program.events()}
        assert levels["load held back"] == "error"
        assert levels["held load accepted after HOLD"] == "warning"


def test_after_a_restart_the_stored_table_counts(tmp_path: Path) -> None:
    """A warm start compares the first load with what was served before; a cold one has nothing to compare with."""
    with Program(tmp_path, FULL, MAX_SHRINK=20) as program, program.router() as router:
        router.sync()
        router.close()
        program.stop()
        program.load(HALF)
        program.start()
        router.reconnect()
        hold(program, router)
        router.close()
        program.restart()
        router.reconnect()
        hold(program, router)
    cold = tmp_path / "cold"
    cold.mkdir()
    with Program(cold, HALF, MAX_SHRINK=20) as program, program.router() as router:
        assert router.sync().payload == set(HALF)
        assert is_well(program, router, HALF)


@pytest.mark.parametrize("state", ["left over", "never there"])
def test_nobody_runs(tmp_path: Path, state: str) -> None:
    """`pyrtr accept` without a program: status 1, and a line that names the folder."""
    program = Program(tmp_path)
    if state == "left over":
        with program:
            pass  # killed: its socket is still there
        assert (tmp_path / "state" / "control").exists()
    result = program.command("accept")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"pyrtr: no program answers in STATE={tmp_path / 'state'}: ")
    assert result.stderr.count("\n") == 1
