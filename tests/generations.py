"""Generations to store and find again: small tables that follow one another, with steps of all kinds between them."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import resource
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tests.examples import Payload, aspa, key, vrp

from pyrtr.payload.delta import difference
from pyrtr.payload.history import History, Step
from pyrtr.payload.serial import next_serial
from pyrtr.payload.table import NEVER, Facts, PayloadTable
from pyrtr.store.sessions import new_session_ids
from pyrtr.store.state import Generation, Store
from pyrtr.store.table_file import read_table, write_table

NOW = 1_795_404_155.25

# Each follows from the one before by announcements, withdrawals and, for ASPAs, replacements.
SERIES: tuple[tuple[Payload, ...], ...] = (
    (vrp("192.0.2.0/24", 24, 0), vrp("2001:db8::/32", 48, 64496), key(64496), aspa(64496, 64497)),
    (vrp("192.0.2.0/24", 25, 0), vrp("2001:db8::/32", 32, 0), key(64497), aspa(64496, 64498, 64499), aspa(64500, 0)),
    (vrp("192.0.2.0/24", 24, 0), vrp("2001:db8::/32", 32, 0), key(64496), key(64497), aspa(64500, 64501)),
    (vrp("192.0.2.0/24", 24, 0x100), vrp("::/0", 0, 0), aspa(64496, 64497)),
    (),
    (vrp("192.0.2.0/24", 24, 0), vrp("0.0.0.0/0", 0, 0), key(64496), aspa(64500, 64501), aspa(64501, 64502)),
)


def facts_of(table: PayloadTable, expires: int = NEVER) -> Facts:
    """All of one trust anchor, and ending at once."""

    def times(count: int) -> np.ndarray:
        return np.full(count, expires, np.int64)

    return Facts(
        times(len(table.ipv4)),
        times(len(table.ipv6)),
        times(len(table.router_keys)),
        times(len(table.aspas)),
        np.zeros(len(table.ipv4), np.uint16),
        np.zeros(len(table.ipv6), np.uint16),
        ("example",),
    )


def write_next(
    store: Store, current: Generation | None, payload: Iterable[Payload], *, max_steps: int = 1000
) -> tuple[Generation, Step | None]:
    """Write the table of the generation that follows; it is for the caller to commit it."""
    table = PayloadTable.of(payload)
    path = store.new_paths().table
    write_table(path, table, facts_of(table))
    stored = read_table(path)
    if current is None:
        metadata = {"buildmachine": "tests", "vrps": 3}
        ids = new_session_ids()
        return Generation(ids, 2**32 - 2, NOW, stored, path, History(), NOW - 60, False, metadata), None
    step = Step(current.serial, difference(current.stored.table, table))
    generation = dataclasses.replace(
        current,
        serial=next_serial(current.serial),
        published_at=current.published_at + 0.125,
        stored=stored,
        table_path=path,
        history=current.history.followed_by(step, max_steps=max_steps, table_size=len(table)),
        is_withdrawn=not len(table),
    )
    return generation, step


def advance(
    store: Store, current: Generation | None, payload: Iterable[Payload], *, max_steps: int = 1000
) -> Generation:
    """Commit the generation that follows."""
    generation, step = write_next(store, current, payload, max_steps=max_steps)
    store.commit(generation, () if step is None else (step,), "load")
    return generation


def fill(folder: Path, series: Iterable[Iterable[Payload]] = SERIES) -> Generation:
    """Leave a state folder behind; returns its last generation."""
    store = Store(folder)
    current = None
    for payload in series:
        current = advance(store, current, payload)
    store.close()
    assert current is not None
    return current


def content(generation: Generation | None) -> dict[str, object] | None:
    """All of it, to compare."""
    if generation is None:
        return None
    table = generation.stored.table
    deltas = [(step.from_serial, step.delta) for step in generation.history.steps]
    return {
        "session ids": dict(generation.session_ids),
        "serial": (generation.serial, generation.published_at, generation.built_at, generation.is_withdrawn),
        "metadata": dict(generation.metadata),
        "table": (table.ipv4.tobytes(), table.ipv6.tobytes(), table.router_keys, table.aspas),
        "digest": generation.stored.digest,
        "steps": [
            (
                serial,
                *(rows.tobytes() for rows in (delta.ipv4.announce, delta.ipv4.withdraw)),
                *(rows.tobytes() for rows in (delta.ipv6.announce, delta.ipv6.withdraw)),
                delta.router_keys,
                delta.aspas,
            )
            for serial, delta in deltas
        ],
    }


def recovered(folder: Path) -> dict[str, object] | None:
    """What the next start finds, which nothing may have been set aside for."""
    store = Store(folder)
    store.close()
    assert store.set_aside_reason is None
    return content(store.recovered)


@contextlib.contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder whose syncs cost nothing, where the system has one, that others may enter."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="pyrtr-test-", dir=where))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """As a user whom permissions hold for."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


_LIBC = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[bool]:
    """A file system with room for so much in the folder's place; says whether it is one, or else nothing is done."""
    options = f"size={size_bytes}".encode()
    if _LIBC.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options) != 0:  # only root may, and not everywhere
        yield False
        return
    try:
        yield True
    finally:
        _LIBC.umount2(os.fsencode(folder), _MNT_DETACH)


@contextlib.contextmanager
def full_disk(folder: Path, *, is_disk: bool) -> Iterator[None]:
    """No room is left: the disk is filled, or no file may grow."""
    if is_disk:
        ballast = folder / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(512)):
                pass
        try:
            yield
        finally:
            ballast.unlink()
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
