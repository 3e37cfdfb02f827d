"""The yardstick: answers each connection's first octets with a file, by `sendall`, one connection after the other."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

BACKLOG = 4096


def main(port: int, body: bytes) -> None:
    """Serve until killed."""
    with socket.create_server(("127.0.0.1", port), backlog=BACKLOG) as listener:
        while True:
            router, _ = listener.accept()
            with router:
                if router.recv(64):
                    router.sendall(body)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).read_bytes())
