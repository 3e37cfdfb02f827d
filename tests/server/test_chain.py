"""Caches one behind another over RTR: the last router holds what the first cache was fed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.inputs import SMALL, aspa, router_key, vrp
from tests.model_router import Router
from tests.program import Program

UPDATES = (
    (*SMALL[1:], vrp("192.0.2.0/25", 64499)),
    (*SMALL[:-1], router_key(2, 64498), aspa(64496, 64500), aspa(64501, 0)),
    SMALL,
)


def behind(folder: Path, upstream: Program) -> Program:
    """A cache that follows another."""
    folder.mkdir()
    location = f"rtr://{upstream.rtr[0]}:{upstream.rtr[1]}"
    return Program(folder, None, DATASOURCE="RTR", LOCATION=location, RELOAD=1)


def holds(router: Router, program: Program, payload: tuple[object, ...]) -> None:
    def is_there() -> bool:
        return router.sync().payload == set(payload)

    program.wait_for(is_there, 30, what="the last router holds what the first cache was fed")


def test_three_caches_one_behind_another(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(Program(tmp_path))
        second = stack.enter_context(behind(tmp_path / "second", first))
        third = stack.enter_context(behind(tmp_path / "third", second))
        third.wait_for(lambda: third.get("/readyz")[0] == 200, what="it is ready")
        router = stack.enter_context(third.router())
        holds(router, third, SMALL)
        for payload in UPDATES:
            first.load(payload)
            holds(router, third, payload)
        assert router.full_syncs == 1

        serial = router.serial
        first.kill()
        second.wait_for(lambda: second.healthz()["warnings"], what="it notices")
        assert "connection" in str(second.healthz()["warnings"])
        assert (second.health()[0], router.sync().serial) == (200, serial)
        first.start()
        first.load(UPDATES[0])
        holds(router, third, UPDATES[0])
        assert router.full_syncs == 1
