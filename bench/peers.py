"""Other caches: where they are found, and how each is started with the same VRPs, on loopback and without network."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import inputs
from bench.programs import HOST, Program, free_port

FOLDER = Path(__file__).parents[1] / ".tools" / "peers"
DEBIAN_STAYRTR = "StayRTR (Debian)"

# Nothing may come by itself while something is measured.
_NEVER_S = 86_400

_RTRTR = """
log_level = "error"
log_target = "stderr"
http-listen = ["{http}"]

[units.json]
type = "json"
uri = "file:{source}"
refresh = 1

[targets.rtr]
type = "rtr"
listen = ["{rtr}"]
unit = "json"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """What a peer is given: a folder of its own, its source there, and two addresses to listen on."""

    folder: Path
    source: Path
    rtr: str
    http: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a peer is run.

    Attributes:
        how: in words, for the report.
        version_option: makes it name its version.
        arguments: of the command line, after the program.
        reload_signal: what makes it look at its source; None if it looks every second.
        prepare: writes what the arguments name, beside the source.
        is_fed_slurm: whether it takes VRPs as local assertions only.
    """

    how: str
    version_option: str
    arguments: Callable[[Place], tuple[str, ...]]
    reload_signal: signal.Signals | None
    prepare: Callable[[Place], None] = lambda _place: None
    is_fed_slurm: bool = False


def _stayrtr(place: Place) -> tuple[str, ...]:
    return (
        *("-cache", str(place.source), "-bind", place.rtr, "-metrics.addr", place.http, "-refresh", str(_NEVER_S)),
        *("-checktime=false", "-loglevel", "error", "-log.verbose=false", "-protocol", "1"),
    )


def _rtrtr(place: Place) -> tuple[str, ...]:
    return "-c", str(place.folder / "rtrtr.conf")


def _write_rtrtr_config(place: Place) -> None:
    text = _RTRTR.format(source=place.source, rtr=place.rtr, http=place.http)
    (place.folder / "rtrtr.conf").write_text(text)


def _routinator(place: Place) -> tuple[str, ...]:
    return (
        *("--repository-dir", str(place.folder / "repository"), "--extra-tals-dir", str(place.folder / "tals")),
        *("--no-rir-tals", "--disable-rsync", "--disable-rrdp", "--exceptions", str(place.source), "--quiet"),
        *("server", "--rtr", place.rtr, "--http", place.http, "--refresh", str(_NEVER_S)),
    )


def _make_routinator_folders(place: Place) -> None:
    for name in ("repository", "tals"):
        (place.folder / name).mkdir()


_STAYRTR = Recipe("rpki-client's JSON from a file", "-version", _stayrtr, signal.SIGHUP)
RECIPES = {
    DEBIAN_STAYRTR: _STAYRTR,
    "StayRTR (newest)": _STAYRTR,
    "RTRTR": Recipe(
        "rpki-client's JSON from a file, looked at every second", "--version", _rtrtr, None, _write_rtrtr_config
    ),
    "Routinator": Recipe(
        "no trust anchors, and the VRPs as assertions of a SLURM file",
        "--version",
        _routinator,
        signal.SIGUSR1,
        _make_routinator_folders,
        is_fed_slurm=True,
    ),
}
_BUILT = {"StayRTR (newest)": "stayrtr", "RTRTR": "rtrtr", "Routinator": "routinator"}
_MISSING = {DEBIAN_STAYRTR: "stayrtr-debian", "StayRTR (newest)": "stayrtr-newest"}


def found() -> tuple[dict[str, Path], dict[str, str]]:
    """The programs that are there, and why the others are not."""
    there, absent = {}, {}
    for name in RECIPES:
        path = FOLDER / "bin" / _BUILT[name] if name in _BUILT else Path("/usr/bin/stayrtr")
        if path.exists():
            there[name] = path
        else:
            reason = FOLDER / "missing" / _MISSING.get(name, name.lower())
            absent[name] = reason.read_text().strip() if reason.exists() else "not installed: run bench/install"
    return there, absent


def version(name: str, path: Path) -> str:
    """What it says of itself."""
    done = subprocess.run((path, RECIPES[name].version_option), capture_output=True, text=True, timeout=10)
    said = (done.stdout + done.stderr).strip().partition("\n")[0]
    source = FOLDER / f"{path.name}.source"
    if path.parent.parent == FOLDER and source.exists():
        return f"{said}, built from its repository at {source.read_text().strip()}"
    if name == DEBIAN_STAYRTR:
        query = ("dpkg-query", "-W", "-f", "${Version}", "stayrtr")
        return f"{said}, package {subprocess.run(query, capture_output=True, text=True, timeout=10).stdout}"
    return said


@contextlib.contextmanager
def started(name: str, path: Path, folder: Path, source: Path) -> Iterator[Program]:
    """Start a peer; hands it out at once, whether it has data or not, and stops it in the end."""
    recipe = RECIPES[name]
    own = folder / f"peer-{time.monotonic_ns()}"
    own.mkdir()
    port = free_port()
    place = Place(own, own / "source.json", f"{HOST}:{port}", f"{HOST}:{free_port()}")

    def form(given: Path) -> Path:
        if not recipe.is_fed_slurm:
            return given
        slurm = given.with_suffix(".slurm")
        if not slurm.exists():
            inputs.write_slurm(given, slurm)
        return slurm

    os.link(form(source), place.source)
    recipe.prepare(place)
    command = (str(path), *recipe.arguments(place))
    program = Program(name, command, {}, place.source, (HOST, port), recipe.reload_signal, form)
    try:
        program.start()
        yield program
    finally:
        program.stop()
        shutil.rmtree(own, ignore_errors=True)
