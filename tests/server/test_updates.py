"""The real program while its input changes: Serial Notify, deltas, and what never reaches a router."""

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.carriers import Carrier
from tests.inputs import SMALL, aspa, router_key, visible, vrp
from tests.model_core import reset_query
from tests.model_router import TIMEOUT_S, Router
from tests.program import Program

NO_DATA = 2
CHANGED = (*SMALL[1:-1], vrp("192.0.2.0/25", 64499), router_key(2, 64498), aspa(64496, 64500), aspa(64501, 0))


def reach(router: Router, serial: int) -> None:
    """Poll until the router holds a serial."""
    deadline = time.monotonic() + TIMEOUT_S
    while router.sync().serial != serial:
        assert time.monotonic() < deadline, f"serial {serial} never came"


def test_updates_reach_every_router(tmp_path: Path, carrier: Carrier) -> None:
    """B29, B41, B42, B46, B66: Notify, and then a minimal delta in the same session, for each version."""
    with Program(tmp_path, carrier=carrier) as program, ExitStack() as stack:
        routers = [stack.enter_context(program.router(version)) for version in (0, 1, 2)]
        sessions = [router.sync().session_id for router in routers]
        first = routers[0].serial
        program.load(CHANGED)
        for router in routers:
            assert router.expect_notify().serial == (first + 1) % 2**32
            sync = router.sync()
            assert not sync.is_full
            old, new = visible(router.version, SMALL), visible(router.version, CHANGED)
            assert set(sync.announced) == new - old
            assert router.payload == new
        program.load(SMALL)
        for router in routers:
            reach(router, (first + 2) % 2**32)
            assert router.payload == visible(router.version, SMALL)
        assert [router.session_id for router in routers] == sessions
        assert [router.full_syncs for router in routers] == [1, 1, 1]


def test_what_is_no_change_is_no_serial(tmp_path: Path) -> None:
    """B41, B44, B50: a file in which only times, order or duplicates changed makes no serial and wakes nobody."""
    with Program(tmp_path) as program, program.router() as router:
        first = router.sync().serial
        for count, payload in enumerate([SMALL, SMALL[::-1], SMALL + SMALL[:4]], start=1):
            program.load(payload, expires=4102444800 - count, build_time=f"2026-11-23T1{count}:00:00Z")
            program.wait_for(partial(program.has_logged, "source unchanged", count), what="it was loaded")
        program.load(CHANGED)
        assert router.expect_notify().serial == (first + 1) % 2**32
        assert router.sync().payload == visible(2, CHANGED)


def test_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    """B92: a source that goes bad does not turn into code 2 or an empty set: what was good is served on."""
    with Program(tmp_path) as program, program.router() as router:
        first = router.sync()
        for count, document in enumerate([b"", b'{"roas": [', b"[]", b'{"aspas": []}'], start=1):
            program.load_bytes(document)
            program.wait_for(partial(program.has_logged, "source refused", count), what="it was refused")
            assert router.reset() == first
        program.load(CHANGED)
        router.expect_notify()
        assert router.sync().payload == visible(2, CHANGED)


def test_no_data_is_not_the_end(tmp_path: Path) -> None:
    """B91: no usable data yet: code 2, the connection stays open, and a later query is served on it."""
    with Program(tmp_path, payload=None) as program, ExitStack() as stack:
        routers = [stack.enter_context(program.router(version)) for version in (0, 1, 2)]
        for router in routers:
            for _ in range(2):
                router.send(reset_query(router.version))
                assert router.expect_error(NO_DATA).version == router.version
        assert program.get("/readyz")[0] == 503
        program.load(SMALL)
        program.wait_for(lambda: program.get("/readyz")[0] == 200, what="it is ready")
        for router in routers:
            assert router.sync().payload == visible(router.version, SMALL)


def test_serials_wrap(tmp_path: Path) -> None:
    """B34, B35: after 2^32-1 comes 0, a value like any other."""
    with Program(tmp_path, INITIAL_SERIAL=2**32 - 1) as program, program.router() as router:
        assert router.sync().serial == 2**32 - 1
        program.load(CHANGED)
        assert router.expect_notify().serial == 0
        assert router.sync().payload == visible(2, CHANGED)
        program.load(SMALL)
        reach(router, 1)
        assert (router.payload, router.full_syncs) == (visible(2, SMALL), 1)
