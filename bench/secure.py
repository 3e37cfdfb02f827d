"""Full tables over TLS and SSH: Python's TLS reads, and OpenSSH's client; and a bare loop of `sendall` over TLS."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
from tests.certificates import Authority

from bench import oracle, readers
from bench.programs import HOST, Address, Pyrtr, free_port, pyrtr, raw_sender
from bench.readers import Receive, Response
from bench.report import PYRTR, RAW, Run, Unit
from bench.worker import TIMEOUT_S, Worker, worker
from pyrtr.wire.codec import encode
from pyrtr.wire.pdu import ResetQuery, SerialQuery

SECURE = "tls-ssh"
CACHE_RESET_BYTES = 8


def rate_name(transport: str) -> str:
    """The name of that figure."""
    return f"whole table over {transport}"


def secure(run: Run) -> None:
    """The whole table to one router over TLS and over SSH."""
    place = run.folder / "secure"
    authority = Authority(place)
    certificate = authority.issue("localhost", [HOST])
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(place / "router")
    (place / "router").chmod(0o600)  # OpenSSH takes no other
    (place / "authorized_keys").write_bytes(key.export_public_key())
    ports = {"TLS": free_port(), "SSH": free_port()}
    settings = {
        "TLS_PORT": str(ports["TLS"]),
        "TLS_CERT": str(certificate),
        "TLS_KEY": str(certificate),
        "SSH_PORT": str(ports["SSH"]),
        "SSH_HOST_KEY": str(place / "host_key"),
        "SSH_AUTHORIZED_KEYS": str(place / "authorized_keys"),
    }
    body = run.folder / "response"
    digest = run.inputs.first.digest
    with pyrtr(run.folder, run.inputs.first.path, settings) as program, worker() as reader:
        reader.call(readers.read_table, program.address, digest, body)
        _tables(run, reader, program, "TLS", read_over_tls, (HOST, ports["TLS"]), authority.file)
        with raw_sender(body, certificate) as raw:
            laps = [reader.call(read_over_tls, raw, authority.file, digest) for _ in range(run.rounds)]
            run.add(SECURE, rate_name("TLS"), RAW, Unit.OCTETS_PER_SECOND, [lap.size / lap.end_s for lap in laps])
        if shutil.which("ssh") is None:
            run.remark("SSH is not measured: there is no `ssh` in PATH")
            return
        _tables(run, reader, program, "SSH", read_over_ssh, (HOST, ports["SSH"]), place / "router")


def _tables(
    run: Run,
    reader: Worker,
    program: Pyrtr,
    transport: str,
    read: Callable[[Address, Path, oracle.Digest], Response],
    address: Address,
    file: Path,
) -> None:
    before = program.cpu_s
    laps = [reader.call(read, address, file, run.inputs.first.digest) for _ in range(run.rounds)]
    cpu_s = (program.cpu_s - before) / run.rounds
    what = rate_name(transport)
    run.add(SECURE, what, PYRTR, Unit.OCTETS_PER_SECOND, [lap.size / lap.end_s for lap in laps])
    run.add(SECURE, f"{what}, to End of Data", PYRTR, Unit.SECONDS, [lap.end_s for lap in laps])
    run.add(SECURE, f"{what}, processor time with the login", PYRTR, Unit.SECONDS, [cpu_s])


def read_over_tls(address: Address, ca_file: Path, digest: oracle.Digest) -> Response:
    """From the query to End of Data, the handshake not counted."""
    context = ssl.create_default_context(cafile=ca_file)
    with (
        socket.create_connection(address, TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=address[0]) as router,
    ):
        # Else the query waits until the end of the handshake is acknowledged, which no cache hurries with.
        router.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        query = encode(readers.VERSION, ResetQuery())
        return readers.receive_table(router.recv_into, lambda: router.sendall(query), digest)


def read_over_ssh(address: Address, key_file: Path, digest: oracle.Digest) -> Response:
    """The same, the login not counted."""
    with _ssh(address, key_file) as (send, receive):
        send(encode(readers.VERSION, SerialQuery(0, 0)))
        receive(memoryview(bytearray(CACHE_RESET_BYTES)))
        return readers.receive_table(receive, lambda: send(encode(readers.VERSION, ResetQuery())), digest)


@contextlib.contextmanager
def _ssh(address: Address, key_file: Path) -> Iterator[tuple[Callable[[bytes], object], Receive]]:
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "BatchMode=yes")
    command = (
        *("ssh", "-F", "/dev/null", "-i", str(key_file), "-p", str(address[1])),
        *(word for option in options for word in ("-o", option)),
        *("-s", f"router@{address[0]}", "rpki-rtr"),
    )
    with subprocess.Popen(
        command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
        try:
            yield process.stdin.write, lambda view: os.readv(descriptor, [view])
        finally:
            process.kill()
