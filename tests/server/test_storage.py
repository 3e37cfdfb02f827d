"""A state folder that can't be written: routers are served on, nothing new is published, and it mends by itself."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.inputs import SMALL, Payload, many, visible, vrp
from tests.model_router import Router
from tests.program import Program

CHANGED = (*SMALL, *many(2000))  # more than the room that is left
SMALLER = (*SMALL, vrp("192.0.2.0/25", 64499))
Switch = Callable[[Program, bool], None]


def limit_files(program: Program, is_full: bool) -> None:
    """No file may grow, which needs no rights."""
    resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (0 if is_full else -1, -1))


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Switch]:
    """A disk of its own for `folder`, that is filled and emptied; where none can be mounted, a limit of file sizes."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        is_mounted = False
    if not is_mounted:
        yield limit_files
        return

    def fill(_: Program, is_full: bool) -> None:
        filler = folder / "filler"
        filler.unlink(missing_ok=True)
        if is_full:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    try:
        yield fill
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def any_disk(_: Path) -> Iterator[Switch]:
    yield limit_files


def holds(router: Router, payload: tuple[Payload, ...]) -> bool:
    return bool(router.sync().payload == visible(router.version, payload))


@pytest.mark.parametrize("disk", [small_disk, any_disk])
def test_a_full_disk(tmp_path: Path, disk: Callable[[Path], Iterator[Switch]]) -> None:
    """Invariant 5: what can't be stored is not published; `/healthz` says why, and when there is room it is."""
    with disk(tmp_path / "state") as fill, Program(tmp_path, RELOAD=1) as program, program.router() as router:  # type: ignore[attr-defined]
        serial = router.sync().serial
        fill(program, True)
        program.load(CHANGED)
        program.wait_for(lambda: program.get("/healthz")[0] == 503, what="it is unhealthy")
        assert "nothing new is published, since it can't be stored: " in program.health()[1]
        assert program.metrics()["pyrtr_storage_failing"] == 1
        assert router.reset().payload == visible(2, SMALL)
        assert router.sync().serial == serial
        fill(program, False)
        program.wait_for(partial(holds, router, CHANGED), what="the change is published")
        program.wait_for(lambda: program.get("/healthz")[0] == 200, what="it is well again")
        assert router.serial == (serial + 1) % 2**32
        program.kill()
        program.start()
        router.reconnect()
        assert router.sync().pdus == ()
