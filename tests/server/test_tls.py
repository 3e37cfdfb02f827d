"""Who comes in over TLS, who does not and is told so in the log, and what a new certificate takes (8210bis §9.2)."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.carriers import Carry, tls, tls_client
from tests.certificates import HOUR, Authority
from tests.inputs import SMALL, bulky, visible
from tests.model_core import reset_query
from tests.model_router import Router
from tests.program import Program

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Served:
    """One program, with the authority that its routers need a certificate of."""

    def __init__(self, folder: Path, **environment: object) -> None:
        self.authority = Authority(folder / "ca")
        self.server = self.authority.issue("cache", dns_names=["cache.example"])
        self.settings: dict[str, Any] = {
            "TLS_PORT": 0, "TLS_CERT": self.server, "TLS_KEY": self.server, "TLS_CLIENT_CA": self.authority.file,
        } | environment  # fmt: skip

    def router(self, program: Program, certificate: Path | None, version: ssl.TLSVersion | None = None) -> Router:
        return Router.connect(
            program.addresses["tls"], carry=tls_client(self.authority.file, certificate, version), timeout_s=5
        )

    def refused(self, program: Program, certificate: Path | None, version: ssl.TLSVersion | None = None) -> str:
        """Why a router with this certificate is turned away, as the log says."""
        before = len(lines(program, "router refused"))
        with pytest.raises((OSError, AssertionError)), self.router(program, certificate, version) as router:
            router.sync()
        (line,) = program.wait_for(lambda: lines(program, "router refused")[before:], what="the refusal is logged")
        assert line["transport"] == "tls"
        return str(line["reason"])


def lines(program: Program, event: str) -> list[dict[str, object]]:
    return [line for line in program.events() if line["event"] == event]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Program]]:
    folder = tmp_path_factory.mktemp("tls")
    served = Served(folder)
    good = served.authority.issue("good", ["127.0.0.1"])
    revoked = served.authority.issue("revoked", ["127.0.0.1"])
    with served.authority.file.open("ab") as file:
        file.write(served.authority.revoke(revoked))
    with Program(folder, **served.settings) as program:
        yield served, program
        with served.router(program, good) as router:  # after all that was refused
            assert router.sync().payload == visible(2, SMALL)


CERTIFICATES = {
    "no certificate": lambda _: None,
    "certificate of another CA": lambda s: Authority(s.server.parent / "b").issue("router", ["127.0.0.1"]),
    "certificate of another CA ": lambda s: Authority(s.server.parent / "c", "Other").issue("router", ["127.0.0.1"]),
    "certificate has expired": lambda s: s.authority.issue("old", ["127.0.0.1"], starts=-2 * HOUR, ends=-HOUR),
    "certificate is not yet valid": lambda s: s.authority.issue("new", ["127.0.0.1"], starts=HOUR, ends=2 * HOUR),
    "certificate is revoked": lambda s: s.server.parent / "revoked.pem",
    "certificate is for another address": lambda s: s.authority.issue("there", ["192.0.2.1", "2001:db8::1"]),
}


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
@pytest.mark.parametrize("reason", CERTIFICATES)
def test_who_is_refused_and_why(served: tuple[Served, Program], reason: str, version: ssl.TLSVersion) -> None:
    """B104, B105: each refusal says which; and it is counted."""
    tls, program = served
    assert tls.refused(program, CERTIFICATES[reason](tls), version) == reason.strip()
    label = {"no certificate": "no_certificate", "certificate has expired": "expired"}.get(reason)
    if label:
        assert program.metrics()[f'pyrtr_refused_routers_total{{reason="{label}",transport="tls"}}'] >= 1


@pytest.mark.parametrize("names", [["127.0.0.1"], ["cache.example", "localhost"]])
def test_only_ip_address_names_count(served: tuple[Served, Program], names: list[str]) -> None:
    """B105: an address as a dNSName, or as the subject, is none."""
    tls, program = served
    assert tls.refused(program, tls.authority.issue("127.0.0.1", dns_names=names)) == CERTIFICATE_OF_ANOTHER_ADDRESS
    with tls.router(program, tls.authority.issue("both", ["192.0.2.7", "127.0.0.1"], names)) as router:
        assert router.sync().is_full


def test_what_is_no_address_is_none(served: tuple[Served, Program]) -> None:
    """An iPAddress of 5 octets hides none of the others, and is no fault of ours."""
    tls, program = served
    start = program.log.stat().st_size
    five, four = bytes.fromhex("8705 7f00000105"), bytes.fromhex("8704 7f000001")
    bad = tls.authority.issue("bad", raw_names=b"\x30\x07" + five)
    assert tls.refused(program, bad) == CERTIFICATE_OF_ANOTHER_ADDRESS
    with tls.router(program, tls.authority.issue("half", raw_names=b"\x30\x0d" + five + four)) as router:
        assert router.sync().is_full
    assert [line for line in program.events(start) if line["level"] == "error"] == []


CERTIFICATE_OF_ANOTHER_ADDRESS = "certificate is for another address"


NOISE = [reset_query(2), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(300), b""]


@pytest.mark.parametrize("noise", NOISE)
def test_what_is_no_tls_is_refused(served: tuple[Served, Program], noise: bytes) -> None:
    """B107: no plain RTR on the TLS port."""
    _, program = served
    before = len(lines(program, "router refused"))
    with socket.create_connection(program.addresses["tls"], 5) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(noise)
        sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(4096):
            assert data[:1] != b"\2", "it answers with RTR"
    (line,) = program.wait_for(lambda: lines(program, "router refused")[before:], what="the refusal is logged")
    assert line["reason"] == "handshake failed"


def test_a_revoked_authority_vouches_for_nobody(tmp_path: Path) -> None:
    """B104: a revocation list counts for whatever its authority has signed, not for routers alone."""
    served = Served(tmp_path)
    middle = Authority(tmp_path / "middle", "Middle", above=served.authority)
    router = middle.issue("router", ["127.0.0.1"])
    router.write_bytes(router.read_bytes() + middle.file.read_bytes())
    root = served.authority.file.read_bytes()
    file = tmp_path / "trusted.pem"
    file.write_bytes(root + served.authority.revoke() + middle.revoke())
    with Program(tmp_path, **served.settings | {"TLS_CLIENT_CA": file}) as program:
        with served.router(program, router) as one:
            assert one.sync().is_full
        file.write_bytes(root + served.authority.revoke(middle.file) + middle.revoke())
        program.signal(signal.SIGHUP)
        program.wait_for(lambda: program.has_logged("certificates reloaded"), what="it is reloaded")
        assert served.refused(program, router) == "certificate is revoked"


def test_old_versions_are_refused(served: tuple[Served, Program]) -> None:
    """B103: no TLS below 1.2."""
    _, program = served
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_connection(program.addresses["tls"], 5) as sock, pytest.raises(ssl.SSLError):
        context.wrap_socket(sock)
    program.wait_for(lambda: "UNSUPPORTED_PROTOCOL" in program.log.read_text(), what="the refusal is logged")


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256"])
def test_ciphers_without_forward_secrecy_or_authentication_are_refused(
    served: tuple[Served, Program], cipher: str
) -> None:
    """B103: RFC 9325."""
    _, program = served
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = TLS_1_2
    context.set_ciphers(cipher)
    with socket.create_connection(program.addresses["tls"], 5) as sock, pytest.raises(ssl.SSLError):
        context.wrap_socket(sock)


def test_the_address_check_can_be_switched_off(tmp_path: Path) -> None:
    """B105: behind a proxy it is void; the certificate is needed all the same."""
    served = Served(tmp_path, TLS_CHECK_ADDRESS=False)
    with Program(tmp_path, **served.settings) as program:
        with served.router(program, served.authority.issue("there", ["192.0.2.1"])) as router:
            assert router.sync().is_full
        assert served.refused(program, None) == "no certificate"


def test_without_a_client_ca_nobody_needs_a_certificate(tmp_path: Path) -> None:
    served = Served(tmp_path)
    del served.settings["TLS_CLIENT_CA"]
    with Program(tmp_path, **served.settings) as program, served.router(program, None) as router:
        assert router.sync().is_full


def test_silent_peers_stall_nobody(tmp_path: Path) -> None:
    """Handshakes go on side by side: one that never comes to an end delays no other."""
    carrier = tls()
    with Program(tmp_path, carrier=carrier) as program, ExitStack() as stack:
        for number in range(200):
            silent = stack.enter_context(socket.create_connection(program.addresses["tls"], 5))
            silent.sendall(b"\x16\x03\x01"[: number % 4])
        started = time.monotonic()
        with program.router() as router:
            assert router.sync().is_full
        assert time.monotonic() - started < 5


def test_new_certificates_cost_no_session(tmp_path: Path) -> None:
    """SIGHUP: routers that connect see the new certificate, those that are connected stay; bad files change nothing."""
    served = Served(tmp_path)
    router_file = served.authority.issue("router", ["127.0.0.1"])
    with Program(tmp_path, **served.settings) as program, served.router(program, router_file) as router:
        router.sync()
        first = expiry(program)
        served.authority.issue("cache", dns_names=["cache.example"], ends=timedelta(days=30))  # the same file
        program.signal(signal.SIGHUP)
        program.wait_for(lambda: program.has_logged("certificates reloaded"), what="it is reloaded")
        assert expiry(program) - first > 86400
        assert subject_ends(program, served, router_file) == expiry(program)
        good = served.server.read_bytes()
        unreadable = served.authority.issue("unreadable", raw_names=b"\x04\x01\x00").read_bytes()
        for count, bad in enumerate([b"", b"nonsense", good[: len(good) // 2], good[::-1], unreadable], start=1):
            served.server.write_bytes(bad)
            program.signal(signal.SIGHUP)
            event = "certificates not reloaded: the former ones stay in use"
            program.wait_for(partial(program.has_logged, event, count), what="it is refused")
            with served.router(program, router_file) as other:
                assert other.sync().is_full
        assert router.sync().pdus == ()


def expiry(program: Program) -> float:
    return program.metrics()['pyrtr_certificate_expiry_timestamp_seconds{certificate="tls"}']


def subject_ends(program: Program, served: Served, router_file: Path) -> float:
    """When the certificate that is shown to a router expires."""
    with served.router(program, router_file) as router:
        assert isinstance(router.socket, ssl.SSLSocket)
        certificate = router.socket.getpeercert()
        assert certificate is not None
        return ssl.cert_time_to_seconds(str(certificate["notAfter"]))


def test_what_can_not_be_served_is_not_started(tmp_path: Path) -> None:
    """Exit status 1, and the variable with its file in the log."""
    served = Served(tmp_path)
    other = served.authority.issue("other")
    (tmp_path / "empty").write_bytes(b"")
    for variable, file in (
        ("TLS_CERT", tmp_path / "missing"),
        ("TLS_CERT", tmp_path / "empty"),
        ("TLS_KEY", other),
        ("TLS_KEY", tmp_path / "missing"),
        ("TLS_CLIENT_CA", tmp_path / "empty"),
        ("TLS_CLIENT_CA", tmp_path / "missing"),
    ):
        with Program.idle(tmp_path, **served.settings | {variable: file, "STATE": False}) as program:
            result = program.command()
            assert result.returncode == 1
            assert f"{variable}={file}: " in result.stderr


def test_a_slow_router_costs_little(tmp_path: Path) -> None:
    """STYLE: what TLS encrypts is a copy; a router that reads nothing has one of a slice, not of the table."""
    carrier = tls()
    with Program(tmp_path, bulky(500), carrier=carrier) as program, ExitStack() as stack:  # 30 MB
        with program.router() as router:
            router.reset()
        before = program.metrics()["process_resident_memory_bytes"]
        slow = [stack.enter_context(program.router(receive_bytes=4096)) for _ in range(20)]
        for router in slow:
            router.send(reset_query(2))
        program.wait_for(lambda: sum(c["responses"]["full"] for c in program.clients()) == len(slow))
        with program.router() as router:
            router.reset()
        grown = program.metrics()["process_resident_memory_bytes"] - before
        assert grown < len(slow) * 1e6, f"{grown / len(slow):.0f} octets for each"


def test_carry_is_used(tmp_path: Path) -> None:
    """Else all of this would hold of plain TCP."""
    carrier = tls()
    with Program(tmp_path, carrier=carrier) as program, program.router() as router:
        assert isinstance(router.socket, ssl.SSLSocket)
        assert carrier.carry is not None
        carry: Carry = carrier.carry
        with pytest.raises(OSError), socket.create_connection(program.rtr, 5) as sock:  # noqa: PT011 - TLS or reset
            carry(sock)
