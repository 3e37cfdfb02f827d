"""TCP-MD5 with the real kernel (RFC 2385): who has to sign and does not is not heard at all."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
from tests.model_core import reset_query
from tests.program import Program

from pyrtr.server.md5 import _TCP_MD5SIG_EXT, _option

# A segment that the kernel drops is not answered, so that there is nothing to wait for.
SILENCE_S = 0.3


def speaks(host: str, port: int, key: bytes | None, source: str | None = None) -> bool:
    """Whether a router that signs with this key, or not at all, is served."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(SILENCE_S)
        if source is not None:
            sock.bind((source, 0))
        if key is not None:
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG_EXT, _option(family, ip_network(host), key))
        try:
            sock.connect((host, port))
            sock.settimeout(10)
            sock.sendall(reset_query(2))
            return sock.recv(2) == b"\2\3"
        except TimeoutError:
            return False


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_who_has_to_sign_signs(tmp_path: Path, host: str) -> None:
    (tmp_path / "md5").write_text("127.0.0.0/24 secret\n::/0 0x00010203\n")
    key = b"\0\1\2\3" if ":" in host else b"secret"
    with Program(tmp_path, HOST="127.0.0.1,::1", TCP_MD5=tmp_path / "md5") as program:
        port = program.rtr[1]
        assert speaks(host, port, key)
        assert not speaks(host, port, None)
        assert not speaks(host, port, b"wrong")
        assert speaks("127.0.0.1", port, None, source="127.1.0.1")  # has no line


def test_every_transport_is_protected(tmp_path: Path) -> None:
    from tests.carriers import ssh, tls  # makes keys

    (tmp_path / "md5").write_text("127.0.0.0/8 secret\n")
    settings = {**tls().environment, **ssh().environment}
    with Program(tmp_path, TCP_MD5=tmp_path / "md5", **settings) as program:  # type: ignore[arg-type]  # settings
        for name in ("rtr", "tls", "ssh"):
            with socket.socket() as sock:
                sock.settimeout(SILENCE_S)
                with pytest.raises(TimeoutError):
                    sock.connect(program.addresses[name])


def test_a_new_key_is_in_force_at_once(tmp_path: Path) -> None:
    """SIGHUP; a file that can't be used changes nothing, and neither do more keys than the kernel takes."""
    (tmp_path / "md5").write_text("127.0.0.1 old\n")
    with Program(tmp_path, TCP_MD5=tmp_path / "md5") as program:
        (tmp_path / "md5").write_text("127.0.0.0/8 new\n")
        program.signal(signal.SIGHUP)
        program.wait_for(partial(program.has_logged, "md5 keys reloaded"), what="they are reloaded")
        assert speaks(*program.rtr, b"new")
        assert not speaks(*program.rtr, b"old")
        for count, lines in enumerate(("127.0.0.1\n", many_keys()), start=1):
            (tmp_path / "md5").write_text(lines)
            program.signal(signal.SIGHUP)
            event = "md5 keys not reloaded: the former ones stay in use"
            program.wait_for(partial(program.has_logged, event, count), what="it is refused")
            assert speaks(*program.rtr, b"new")
            assert not speaks(*program.rtr, None)
        (tmp_path / "md5").write_text("")
        program.signal(signal.SIGHUP)
        program.wait_for(partial(program.has_logged, "md5 keys reloaded", 2), what="they are gone")
        assert speaks(*program.rtr, None)


def many_keys() -> str:
    """More than `net.core.optmem_max` has room for."""
    return "".join(f"10.{number // 65536}.{number // 256 % 256}.{number % 256} key\n" for number in range(20_000))


def test_nothing_is_listened_on_unprotected(tmp_path: Path) -> None:
    """B114: the kernel refuses, here since it has no room: exit status 1, and at no time a port that is open."""
    (tmp_path / "md5").write_text(many_keys())
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with Program.idle(tmp_path, TCP_MD5=tmp_path / "md5", RTR_PORT=port, HTTP_PORT=False) as program:
        program.launch()
        while program.is_running:
            with socket.socket() as sock, contextlib.suppress(ConnectionRefusedError):
                sock.connect(("127.0.0.1", port))
                raise AssertionError("it listens")
        assert program.wait_for_end() == 1
        (line,) = program.events()
        assert f"TCP_MD5={tmp_path}/md5: the kernel does not take the keys" in line["reason"]


def test_a_socket_that_was_handed_over_is_protected(tmp_path: Path) -> None:
    """Also from those that it let in before it had keys."""
    (tmp_path / "md5").write_text("127.0.0.1 secret\n")
    with socket.create_server(("127.0.0.1", 0)) as rtr, Program.idle(tmp_path, TCP_MD5=tmp_path / "md5") as program:
        program.pass_fds = (rtr.fileno(),)
        script = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); "
            "os.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())}; os.execv(sys.argv[2], sys.argv[2:])"
        )
        program.prefix = (sys.executable, "-c", script, str(rtr.fileno()))
        with socket.create_connection(rtr.getsockname()) as early:
            early.sendall(reset_query(2))
            program.start()
            assert not speaks(*program.rtr, None)
            assert speaks(*program.rtr, b"secret")
            early.settimeout(SILENCE_S)
            with pytest.raises(TimeoutError):
                early.recv(1)
