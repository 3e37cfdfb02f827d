"""The yardstick: answers each connection's first octets with a file, by `sendall`, one connection after the other.

python -m bench.raw PORT FILE [CERTIFICATE]
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from pathlib import Path

BACKLOG = 4096


def main(port: int, body: bytes, context: ssl.SSLContext | None) -> None:
    """Serve until killed."""
    with socket.create_server(("127.0.0.1", port), backlog=BACKLOG) as listener:
        while True:
            router, _ = listener.accept()
            with contextlib.suppress(OSError), router:  # who only looks whether we listen makes no handshake
                sock = context.wrap_socket(router, server_side=True) if context else router
                if sock.recv(64):
                    sock.sendall(body)
                sock.close()


if __name__ == "__main__":
    tls = None
    if len(sys.argv) > 3:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[3])
    main(int(sys.argv[1]), Path(sys.argv[2]).read_bytes(), tls)
