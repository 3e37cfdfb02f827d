"""Pictures of the page as it is in earnest: `python -m tests.page FOLDER SECONDS QUERY FILE [FILE …]`.

The real program serves the files of rpki-client, one every so many seconds, to twenty routers of four kinds: version 0
and 1 over TCP, 2 over TLS, 1 over SSH. When the last has come, some have not asked again, and one has complained.
"""

from __future__ import annotations

import shutil
import socket
import struct
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from playwright.sync_api import expect, sync_playwright
from tests import carriers
from tests.carriers import TCP, Carrier
from tests.page.browser import DESKTOP, PHONE, Scheme, launch, picture, visit
from tests.program import Program

KINDS = (("rtr", 0), ("rtr", 1), ("tls", 2), ("ssh", 1))
OF_EACH_KIND = 5
LAGGING, COMPLAINING = (7, 16), 12
END_OF_DATA, END_BYTES = 7, {0: 12, 1: 24, 2: 24}
TIMEOUT_S = 120.0


class Router:
    """Takes whatever it is sent, and looks at the end of it only: twenty tables of a million VRPs would be much."""

    def __init__(self, program: Program, carrier: Carrier, version: int) -> None:
        self._version = version
        plain = socket.create_connection(program.addresses[carrier.name], TIMEOUT_S)
        self._socket = plain if carrier.carry is None else carrier.carry(plain)
        self._socket.settimeout(TIMEOUT_S)
        self._session, self._serial = 0, 0

    def ask_for_all(self) -> None:
        self._ask(struct.pack("!BBHI", self._version, 2, 0, 8))

    def ask_for_news(self) -> None:
        self._ask(struct.pack("!BBHII", self._version, 1, self._session, 12, self._serial))

    def complain(self, text: bytes) -> None:
        """Error Report 2 (RFC 8210 §5.10), which ends nothing."""
        self._socket.sendall(struct.pack("!BBHIII", self._version, 10, 2, 16 + len(text), 0, len(text)) + text)

    def close(self) -> None:
        self._socket.close()

    def _ask(self, query: bytes) -> None:
        self._socket.sendall(query)
        size = END_BYTES[self._version]
        begin = struct.pack("!BB", self._version, END_OF_DATA)
        tail = b""
        while not (
            len(tail) >= size
            and tail[-size:].startswith(begin)
            and tail[4 - size : 8 - size] == size.to_bytes(4, "big")
        ):
            data = self._socket.recv(2**20)
            assert data, "the cache has closed the connection"
            tail = (tail + data)[-64:]
        _, _, self._session, _, self._serial = struct.unpack("!BBHII", tail[-size:][:12])


def main(folder: Path, seconds: float, query: str, files: list[Path]) -> None:
    ways = {carrier.name: carrier for carrier in (TCP, carriers.tls(), carriers.ssh())}
    settings = {name: value for way in ways.values() for name, value in way.environment.items()}
    with tempfile.TemporaryDirectory() as place:
        program = Program(Path(place), None, TCP, **settings, LOGLEVEL="INFO")
        shutil.copy(files[0], program.file)
        with program:
            routers = [Router(program, ways[way], version) for way, version in KINDS for _ in range(OF_EACH_KIND)]
            for router in routers:
                router.ask_for_all()
            for number, file in enumerate(files[1:], 2):
                time.sleep(seconds)
                program.load_bytes(file.read_bytes())
                program.wait_for(partial(program.has_logged, "published", number), TIMEOUT_S)
                for place_of, router in enumerate(routers):
                    if number < len(files) or place_of not in LAGGING:
                        router.ask_for_news()
            routers[COMPLAINING].complain(b"no VRP for 192.0.2.0/24, which is ours")
            take(program, folder, query)
            for router in routers:
                router.close()


def take(program: Program, folder: Path, query: str) -> None:
    """One picture for each size and light."""
    schemes: tuple[Scheme, ...] = ("light", "dark")
    chromium = shutil.which("chromium")
    assert chromium is not None, "there is no chromium: `apt-get install chromium` as root"
    with sync_playwright() as playwright:
        browser = launch(playwright, chromium)
        for name, size in (("desktop", DESKTOP), ("phone", PHONE)):
            for scheme in schemes:
                with visit(browser, program, size=size, scheme=scheme) as page:
                    expect(page.locator(".pages")).to_contain_text(f"{len(KINDS) * OF_EACH_KIND} routers")
                    expect(page.locator(".log > li").first).to_be_visible()
                    page.screenshot(path=folder / f"{name}-{scheme}-first-look.png")
                    picture(page, f"{name}-{scheme}", folder)
                    page.locator("#query").fill(query)
                    page.locator("#query").press("Enter")
                    expect(page.locator("#search-result")).to_contain_text("How it came to be")
                    page.screenshot(path=folder / f"{name}-{scheme}-search.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3], [Path(name) for name in sys.argv[4:]])
