"""Real routers against the running pyRTR: see README.md."""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.cache import CacheError
from tests.interop.client import Client
from tests.interop.clients import clients
from tests.interop.credentials import Credentials
from tests.interop.round import PAYLOADS, STEPS, Lane, Round

CHROOT = Path(os.environ.get("INTEROP_ROOT") or "/var/tmp/pyrtr-interop-trixie").resolve()


async def titles(routers: list[Client]) -> tuple[dict[str, Client], list[str]]:
    """The routers by name and release, and what is missing."""
    found, missing = {}, []
    for client in routers:
        if release := await client.release():
            found[f"{client.name} {release}"] = client
        else:
            missing.append(f"{client.name}: package {client.package_name} in {client.root}")
    return found, missing


def codename(root: Path) -> str:
    """Which Debian is in `root`."""
    try:
        lines = (root / "etc/os-release").read_text().splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("VERSION_CODENAME=") for line in lines if line.startswith("VERSION_CODENAME=")), "")


def lacking(program: str) -> list[str]:
    """What a round needs beside the routers, and does not find."""
    missing = []
    if codename(Path("/")) != "bookworm":
        missing.append("Debian 12 (bookworm) on this machine")
    if codename(CHROOT) != "trixie":
        missing.append(f"Debian 13 (trixie) in {CHROOT}")
    if os.geteuid():
        missing.append("root: routers run in a chroot, and change to users of their own")
    if not os.access(program, os.X_OK) or not Path(program).is_file():
        missing.append(f"pyRTR: {program or 'PYRTR'} is no program")
    return missing


@contextmanager
def folders() -> Iterator[tuple[Path, Path]]:
    """One for the logs and the routers of this machine, and one for those in the chroot, which is removed."""
    folder = Path(tempfile.mkdtemp(prefix="pyrtr-interop-", dir="/tmp"))
    folder.chmod(0o755)  # routers that change their user come here too
    chroot_folder = CHROOT / "tmp" / folder.name
    chroot_folder.mkdir()
    try:
        yield folder, chroot_folder
    finally:
        shutil.rmtree(chroot_folder)


def report(lanes: list[Lane], folder: Path) -> bool:
    """Print the matrix, the faults and the sums; True where all passed."""
    print(f"\n{'router':21}{'RTR':5}{'full':16}{'update':33}restart")
    for lane in lanes:
        version = "-" if lane.tap.version is None else f"V{lane.tap.version}"
        full, update, restart = map(str, lane.results.values())
        print(f"{lane.title:21}{version:5}{full:16}{update:33}{restart}")
    failed = 0
    for lane in lanes:
        failed += sum(not result.passed for result in lane.results.values())
        faults = {step: result.faults for step, result in lane.results.items() if result.faults}
        if faults:
            print(f"\n{lane.title}: see {lane.log} and, for its PDUs, {lane.tap.log}")
        for step, lines in faults.items():
            print(f"  {step}:", *lines, sep="\n    ")
    print(f"\nThe logs are in {folder}\n" if failed else "")
    print(f"{len(lanes) * len(STEPS) - failed} passed, {failed} failed")
    return failed == 0


async def main(program: str, only: list[str]) -> int:
    routers, missing = await titles(clients(CHROOT, PAYLOADS.values()))
    if missing := lacking(program) + missing:
        advice = "tests/interop/install, run by root on Debian 12, installs the routers"
        print("interop: missing:", *missing, advice, sep="\n  ", file=sys.stderr)
        return 2
    chosen = {title: client for title, client in routers.items() if not only or title.lower().startswith(tuple(only))}
    if not chosen:
        print(f"interop: no router is called {' '.join(only)}; there are {', '.join(routers)}", file=sys.stderr)
        return 2
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with folders() as (folder, chroot_folder):
        credentials = Credentials(program, folder / "credentials")
        whole = Round(program, chosen, credentials, folder, chroot_folder)
        try:
            await whole.run()
        except CacheError as fault:
            print(f"{fault}: see {' and '.join(str(cache.log) for cache in whole.caches)}")
        finally:
            passed = report(whole.lanes, folder)
    if passed:
        shutil.rmtree(folder)
    return 0 if passed else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="tests/interop/run", description=__doc__)
    only = "only those whose name and release begin so, such as 'bird 3'"
    parser.add_argument("router", nargs="*", type=str.lower, help=only)
    try:
        sys.exit(asyncio.run(main(os.environ.get("PYRTR", ""), parser.parse_args().router)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
