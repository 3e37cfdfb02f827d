"""The real program when it comes back: same sessions and serials, and what becomes of a state that can't be used."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from tests.inputs import SMALL, Payload, visible, vrp
from tests.model_pdus import CACHE_RESET, Pdu
from tests.model_router import Router
from tests.program import Program

CHANGED = (*SMALL[1:], vrp("192.0.2.0/25", 64499))


def holds(router: Router, payload: tuple[Payload, ...]) -> bool:
    return bool(router.sync().payload == visible(router.version, payload))


def test_a_restart_costs_a_router_nothing(tmp_path: Path) -> None:
    """B27, B40: session and serials go on, and what changed meanwhile comes as a delta, in each version."""
    with Program(tmp_path) as program, ExitStack() as stack:
        routers = [stack.enter_context(program.router(version)) for version in (0, 1, 2)]
        states = [(router.sync().session_id, router.serial) for router in routers]
        for router in routers:
            router.close()
        assert program.stop() == 0
        program.load(CHANGED)
        program.start()
        for router, (session_id, serial) in zip(routers, states, strict=True):
            router.reconnect()
            program.wait_for(partial(holds, router, CHANGED), what="the router has caught up")
            assert (router.session_id, router.serial) == (session_id, (serial + 1) % 2**32)
            assert (router.full_syncs, router.core.cache_resets) == (1, 0)


def test_a_reset_query_of_version_0_begins_a_session(tmp_path: Path) -> None:
    """A router that asks for everything after a restart is told by the session id that it is to forget the rest."""
    with Program(tmp_path) as program, ExitStack() as stack:
        routers = [stack.enter_context(program.router(version)) for version in (0, 1, 2)]
        before = [router.sync().session_id for router in routers]
        for router in routers:
            router.close()
        program.restart()
        after = []
        for router in routers:
            router.reconnect()
            after.append(router.reset().session_id)
            assert router.sync().pdus == ()
        assert after[0] not in before
        assert after[1:] == before[1:]


def test_the_state_is_served_before_the_source_is_looked_at(tmp_path: Path) -> None:
    """The source is gone: what was there is served at once, and `/healthz` tells of the source."""
    with Program(tmp_path) as program, program.router() as router:
        serial = router.sync().serial
        router.close()
        program.stop()
        program.file.unlink()
        program.start()
        router.reconnect()
        assert router.sync().pdus == ()
        assert (router.serial, router.full_syncs) == (serial, 1)
        program.wait_for(lambda: program.healthz()["source"]["error"], what="the source was looked at")
        assert router.reset().payload == visible(2, SMALL)
        status, _ = program.get("/healthz")
        assert (status, len(program.healthz()["warnings"])) == (200, 1)


def test_a_state_has_one_program(tmp_path: Path) -> None:
    """A second program on the same STATE ends with status 1 and a line that says why; the first one goes on."""
    other = tmp_path / "other"
    other.mkdir()
    with Program(tmp_path) as program, Program.idle(other, STATE=tmp_path / "state") as second:
        second.launch()
        assert second.wait_for_end() == 1
        [line] = second.events()
        assert line["level"] == "critical"
        assert line["reason"].startswith(f"STATE={tmp_path / 'state'} is in use by another pyrtr")
        with program.router() as router:
            assert router.sync().payload == visible(2, SMALL)


def cut_table(state: Path) -> None:
    [table] = state.glob("table-*")
    table.write_bytes(table.read_bytes()[:-100])


def flip_table(state: Path) -> None:
    [table] = state.glob("table-*")
    data = table.read_bytes()
    table.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def drop_table(state: Path) -> None:
    [table] = state.glob("table-*")
    table.unlink()


def spoil_history(state: Path) -> None:
    (state / "history.db").write_bytes(b"no database" * 1000)


def drop_history(state: Path) -> None:
    (state / "history.db").unlink()


@pytest.mark.parametrize("damage", [cut_table, flip_table, drop_table, spoil_history, drop_history])
def test_a_damaged_state_is_set_aside(tmp_path: Path, damage: object) -> None:
    """B36: nothing of it is served; a new session begins, and every router starts anew."""
    assert callable(damage)
    with Program(tmp_path) as program, program.router() as router:
        session_id = router.sync().session_id
        router.close()
        program.stop()
        damage(tmp_path / "state")
        program.start()
        assert program.has_logged("state set aside, a new session begins")
        assert len(list((tmp_path / "state").glob("damaged-*"))) == 1
        router.reconnect()
        event = router.serial_query()
        assert isinstance(event, Pdu)
        assert event.type == CACHE_RESET
        assert router.reset().payload == visible(2, SMALL)
        assert router.session_id != session_id


def test_without_a_state_every_start_is_a_new_session(tmp_path: Path) -> None:
    """STATE=False: the folder stays as it was, and a router that comes back starts anew."""
    with Program(tmp_path, STATE=False) as program, program.router() as router:
        session_id = router.sync().session_id
        router.close()
        program.restart()
        router.reconnect()
        router.sync()
        assert (router.full_syncs, router.core.cache_resets) == (2, 1)
        assert router.session_id != session_id
        assert {path.name for path in tmp_path.iterdir()} == {"pyrtr.log", "rpki.json"}


def test_a_state_that_can_not_be_made_is_no_reason_not_to_serve(tmp_path: Path) -> None:
    """STATE is in the way of something else: routers are served, and `/healthz` warns of the next restart."""
    (tmp_path / "state").write_text("not a folder")
    with Program(tmp_path) as program, program.router() as router:
        assert router.sync().payload == visible(2, SMALL)
        [warning] = program.healthz()["warnings"]
        assert "a restart will lose the routers' place" in warning
        program.load(CHANGED)
        program.wait_for(partial(holds, router, CHANGED), what="the change has come")
