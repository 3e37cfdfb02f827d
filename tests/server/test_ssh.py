"""Who comes in over SSH, what there is for them, and what there is not (8210bis §9.1)."""

from __future__ import annotations

import contextlib
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.carriers import run, ssh_client
from tests.inputs import SMALL, bulky, visible
from tests.model_core import reset_query
from tests.model_router import Router
from tests.program import Program, ago

from pyrtr.server.passwords import hash_password

KEYS = {
    kind: asyncssh.generate_private_key(kind) for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")
}  # B109, B110
STRANGER = asyncssh.generate_private_key("ssh-ed25519")
PASSWORD = "correct horse"
HOST_KEY = "ssh_host_key"


def write_files(folder: Path) -> dict[str, Any]:
    """Files with which three keys and one password get in; the settings that name them."""
    keys, passwords = folder / "authorized_keys", folder / "passwords"
    keys.write_bytes(b"# routers\n\n" + b"".join(key.export_public_key() for key in KEYS.values()))
    passwords.write_text(f"# routers\n\nxr1:{hash_password(PASSWORD)}\n")
    return {"SSH_PORT": 0, "SSH_AUTHORIZED_KEYS": keys, "SSH_PASSWORDS": passwords}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("ssh")
    with Program(folder, **write_files(folder)) as program:
        yield program
        with router(program, client_keys=[KEYS["ssh-ed25519"]]) as last:  # after all that was tried
            assert last.sync().payload == visible(2, SMALL)


def router(program: Program, **options: Any) -> Router:
    return Router.connect(program.addresses["ssh"], carry=ssh_client(**options))


async def connect(program: Program, **options: Any) -> asyncssh.SSHClientConnection:
    host, port = program.addresses["ssh"]
    ours: dict[str, Any] = {"client_keys": [KEYS["ssh-ed25519"]], "username": "router"}
    return await asyncssh.connect(host, port, known_hosts=None, config=None, **(ours | options))


def refusals(program: Program) -> list[dict[str, Any]]:
    return [line for line in program.events() if line["event"] == "router refused"]


@pytest.mark.parametrize("kind", KEYS)
def test_keys_let_in(served: Program, kind: str) -> None:
    """B108, B109, B110."""
    with router(served, client_keys=[KEYS[kind]]) as one:
        assert one.sync().payload == visible(2, SMALL)
        assert served.clients()[0]["transport"] == "ssh"


def test_a_password_lets_in(served: Program) -> None:
    """B109: IOS-XR knows nothing else."""
    with router(served, username="xr1", password=PASSWORD) as one:
        assert one.sync().is_full


LOGINS: dict[str, dict[str, Any]] = {
    "an unknown key": {"client_keys": [STRANGER]},
    "a wrong password": {"username": "xr1", "password": "guess"},
    "an unknown user": {"username": "xr2", "password": PASSWORD},
    "an empty password": {"username": "xr1", "password": ""},
    "nothing": {},
    "keyboard-interactive": {"username": "xr1", "password": PASSWORD, "preferred_auth": "keyboard-interactive"},
}


@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS)
def test_who_is_refused(served: Program, login: dict[str, Any]) -> None:
    """B109: also who tries "none", as every client does first."""
    before = len(refusals(served))
    with pytest.raises(asyncssh.Error):
        router(served, **login)
    (line,) = served.wait_for(lambda: refusals(served)[before:], what="the refusal is logged")
    user = login.get("username", "router")
    assert (line["transport"], line["reason"]) == ("ssh", "login failed")
    assert line["detail"].startswith(f"user {user}")
    assert PASSWORD not in served.log.read_text()


def test_guessing_is_cut_short(served: Program) -> None:
    """Three passwords, and the connection ends."""
    tried = []

    class Guesser(asyncssh.SSHClient):
        def password_auth_requested(self) -> str:
            tried.append(1)
            return f"guess {len(tried)}"

    with pytest.raises(asyncssh.Error):
        run(connect(served, client_factory=Guesser, username="xr1", client_keys=None))
    assert len(tried) == 3


REQUESTS: dict[str, dict[str, Any]] = {
    "a shell": {},
    "a command": {"command": "id"},
    "another subsystem": {"subsystem": "sftp"},
    "the subsystem's name as a command": {"command": "rpki-rtr"},
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_there_is_nothing_but_the_subsystem(served: Program, request_: dict[str, Any]) -> None:
    """B108."""

    async def ask() -> None:
        async with await connect(served) as connection:
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_session(asyncssh.SSHClientSession, request_pty=False, **request_)

    run(ask())


def test_there_is_no_terminal_forwarding_or_agent(served: Program) -> None:
    async def ask() -> None:
        async with await connect(served) as connection:
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_session(
                    asyncssh.SSHClientSession, subsystem="rpki-rtr", request_pty="force", term_type="vt100"
                )
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_connection(asyncssh.SSHTCPSession, *served.web)
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_unix_connection(asyncssh.SSHUNIXSession, "/run/any")
            with pytest.raises(asyncssh.ChannelListenError):
                await connection.forward_remote_port("", 0, *served.web)
            with pytest.raises(asyncssh.ChannelListenError):
                await connection.forward_remote_path("/tmp/any", "/tmp/other")

    run(ask())


def test_sessions_of_one_connection_are_bounded(served: Program) -> None:
    """Each is a router of its own; a fifth is refused, and they end together."""

    async def ask() -> None:
        async with await connect(served) as connection:
            sessions = [await connection.open_session(subsystem="rpki-rtr", encoding=None) for _ in range(4)]
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_session(subsystem="rpki-rtr", encoding=None)
            for writer, _, _ in sessions:
                writer.write(reset_query(2))
            for _, reader, _ in sessions:
                assert (await reader.readexactly(8))[:2] == b"\2\3"

    run(ask())
    served.wait_for(lambda: not served.clients(), what="all four are gone")


def test_variables_are_refused(served: Program) -> None:
    """They would be kept."""

    async def ask() -> None:
        async with await connect(served) as connection:
            writer, reader, _ = await connection.open_session(
                subsystem="rpki-rtr", encoding=None, env={f"V{number}": "x" * 10000 for number in range(20)}
            )
            writer.write(reset_query(2))
            assert (await reader.readexactly(8))[:2] == b"\2\3"

    run(ask())


def test_what_is_no_ssh_is_refused(served: Program) -> None:
    before = len(refusals(served))
    for noise in (reset_query(2) * 50, b"GET / HTTP/1.1\r\n\r\n" * 100, b"SSH-2.0-x\r\n" + b"\xff" * 4096):
        with socket.create_connection(served.addresses["ssh"], 5) as sock, contextlib.suppress(ConnectionError):
            sock.sendall(noise)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass
    lines = served.wait_for(lambda: len(found := refusals(served)[before:]) == 3 and found, what="they are logged")
    assert {line["reason"] for line in lines} == {"handshake failed"}


OLD = {
    "kex_algs": ["diffie-hellman-group14-sha1"],
    "encryption_algs": ["aes128-cbc"],
    "mac_algs": ["hmac-sha1"],
    "server_host_key_algs": ["ssh-rsa"],
    "signature_algs": ["ssh-rsa"],
}


@pytest.mark.parametrize("kind", [kind for kind in OLD if kind != "signature_algs"])
def test_old_algorithms_are_refused(served: Program, kind: str) -> None:
    """Nor are finite fields, in which a handshake costs us far more than who asks for it."""
    before = len(refusals(served))
    with pytest.raises(asyncssh.Error) as error:
        run(connect(served, **({"encryption_algs": ["aes128-ctr"]} | {kind: OLD[kind]})))
    (line,) = served.wait_for(lambda: refusals(served)[before:], what="the refusal is logged")
    assert line["reason"] == "handshake failed"
    # Both sides look at the same lists: whichever does first ends the connection, and the other may see no more of it.
    reasons = (error.value.reason, line["detail"])
    assert any(reason.startswith(("No matching", "Unable to find compatible server host key")) for reason in reasons)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_old_algorithms_on_request(tmp_path: Path) -> None:
    """SSH_OLD_ALGORITHMS: all that an old IOS-XR knows is enough."""
    with (
        Program(tmp_path, **write_files(tmp_path), SSH_OLD_ALGORITHMS=True) as program,
        router(program, username="xr1", password=PASSWORD, **OLD) as old,
        router(program, client_keys=[KEYS["ssh-ed25519"]]) as new,
    ):
        assert old.sync().is_full
        assert new.sync().is_full


def test_the_host_key_is_made_once(tmp_path: Path) -> None:
    """For its owner only; a restart keeps it."""
    with Program(tmp_path, **write_files(tmp_path)) as program:
        file = tmp_path / "state" / HOST_KEY
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        key = file.read_bytes()
        trusted = asyncssh.import_private_key(key).convert_to_public()
        assert trusted.get_algorithm() == "ssh-ed25519"
        program.restart()
        assert file.read_bytes() == key
        with router(program, client_keys=[KEYS["ssh-rsa"]], known_hosts=([trusted], [], [])) as one:
            assert one.sync().is_full


def test_what_can_not_be_served_is_not_started(tmp_path: Path) -> None:
    """Exit status 1, and the variable with its file in the log; never what the file holds."""
    settings = write_files(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "nonsense").write_text("xr1:secret\n")
    (tmp_path / "twice").write_text(f"xr1:{hash_password('a')}\nxr1:{hash_password('b')}\n")
    for variable, file in (
        ("SSH_HOST_KEY", tmp_path / "empty"),
        ("SSH_HOST_KEY", tmp_path / "missing" / "key"),
        ("SSH_AUTHORIZED_KEYS", tmp_path / "missing"),
        ("SSH_PASSWORDS", tmp_path / "missing"),
        ("SSH_PASSWORDS", tmp_path / "nonsense"),
        ("SSH_PASSWORDS", tmp_path / "twice"),
    ):
        with Program.idle(tmp_path, **settings | {variable: file}) as program:
            result = program.command()
            assert result.returncode == 1
            assert f"{variable}={file}" in result.stderr
            assert "secret" not in result.stderr


def test_silent_peers_stall_nobody(served: Program) -> None:
    """Handshakes go on side by side: one that never comes to an end delays no other."""
    with ExitStack() as stack:
        for number in range(100):
            silent = stack.enter_context(socket.create_connection(served.addresses["ssh"], 5))
            silent.sendall(b"SSH-2.0-x\r\n"[: number % 12])
        started = time.monotonic()
        with router(served, client_keys=[KEYS["ssh-ed25519"]]) as one:
            assert one.sync().is_full
        assert time.monotonic() - started < 5


def test_new_keys_cost_no_session(tmp_path: Path) -> None:
    """SIGHUP: who connects is judged by the new files, who is connected stays; bad files change nothing."""
    settings = write_files(tmp_path)
    with Program(tmp_path, **settings) as program, router(program, client_keys=[KEYS["ssh-rsa"]]) as one:
        one.sync()
        (tmp_path / "authorized_keys").write_bytes(STRANGER.export_public_key())
        (tmp_path / "passwords").write_text("")
        program.load(SMALL)
        program.wait_for(partial(program.has_logged, "ssh keys reloaded"), what="they are reloaded")
        with router(program, client_keys=[STRANGER]) as two:
            assert two.sync().is_full
        for login in ({"client_keys": [KEYS["ssh-rsa"]]}, {"username": "xr1", "password": PASSWORD}):
            with pytest.raises(asyncssh.Error):
                router(program, **login)
        (tmp_path / "passwords").write_text("xr1:secret\n")
        program.load(SMALL)
        program.wait_for(
            partial(program.has_logged, "ssh keys not reloaded: the former ones stay in use"), what="they are refused"
        )
        with router(program, client_keys=[STRANGER]) as two:
            assert two.sync().is_full
        assert one.sync().pdus == ()


def test_who_is_still_coming_in_when_the_data_is_stale_gets_none(tmp_path: Path) -> None:
    """ON_STALE=close: also a session that is opened on a connection from before; and it comes in again later."""
    settings = write_files(tmp_path) | {"MAX_AGE": 60, "ON_STALE": "close"}
    with Program(tmp_path, **settings) as program:

        async def ask(connection: asyncssh.SSHClientConnection) -> bytes:
            writer, reader, _ = await connection.open_session(subsystem="rpki-rtr", encoding=None)
            with contextlib.suppress(BrokenPipeError):  # it is closed already
                writer.write(reset_query(2))
            answer: bytes = await reader.read(8)
            return answer

        connection = run(connect(program))
        program.load(SMALL, build_time=ago(3600))
        program.wait_for(lambda: program.health()[0] == 503, what="the data is stale")
        assert run(ask(connection)) == b""
        program.load(SMALL)
        program.wait_for(lambda: program.health()[0] == 200, what="the data is fresh")
        connection = run(connect(program))
        assert run(ask(connection))[:2] == b"\2\3"
        run(abort([connection]))


def test_a_slow_router_costs_little(tmp_path: Path) -> None:
    """Whatever window it grants: what it does not read is waited for, not kept."""
    with Program(tmp_path, bulky(500), **write_files(tmp_path)) as program, ExitStack() as stack:  # 30 MB
        with router(program, client_keys=[KEYS["ssh-rsa"]]) as quick:
            quick.reset()
        before = program.metrics()["process_resident_memory_bytes"]
        connections = []
        for _ in range(10):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(program.addresses["ssh"])
            connections.append(run(ask_and_stall(sock)))
        program.wait_for(lambda: sum(c["responses"]["full"] for c in program.clients()) == 10, what="all are sent to")
        with router(program, client_keys=[KEYS["ssh-rsa"]]) as quick:
            quick.reset()
        grown = program.metrics()["process_resident_memory_bytes"] - before
        assert grown < 10 * 1e6, f"{grown / 10:.0f} octets for each"
        run(abort(connections))


async def abort(connections: list[asyncssh.SSHClientConnection]) -> None:
    for connection in connections:
        connection.abort()
        await connection.wait_closed()


async def ask_and_stall(sock: socket.socket) -> asyncssh.SSHClientConnection:
    """Ask for everything with a window of 4 GiB, and read nothing more from the socket."""
    sock.setblocking(False)
    key = KEYS["ssh-ed25519"]
    connection = await asyncssh.connect(sock=sock, known_hosts=None, config=None, username="router", client_keys=[key])
    writer, _, _ = await connection.open_session(subsystem="rpki-rtr", encoding=None, window=2**32 - 1)
    transport = connection._transport
    assert transport is not None
    transport.pause_reading()
    writer.write(reset_query(2))
    await writer.drain()
    return connection
