"""TCP-MD5: what a file of keys may hold, and what the kernel is given of it (linux/tcp.h, struct tcp_md5sig)."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from pathlib import Path

import pytest

from pyrtr.server.md5 import Md5Error, _option, read_keys


def test_keys_of_every_form(tmp_path: Path) -> None:
    (tmp_path / "md5").write_text(
        "# routers\n\n192.0.2.1 secret\n  2001:db8::/32   with blanks in it \n"
        f"198.51.100.0/24\t{'x' * 80}\n0.0.0.0/0 0x{'00ff' * 40}\n203.0.113.0/24 0xabc\n"
    )
    assert read_keys(tmp_path / "md5") == {
        ip_network("192.0.2.1/32"): b"secret",
        ip_network("2001:db8::/32"): b"with blanks in it",
        ip_network("198.51.100.0/24"): b"x" * 80,
        ip_network("0.0.0.0/0"): bytes.fromhex("00ff") * 40,
        ip_network("203.0.113.0/24"): b"0xabc",  # half an octet is no hexadecimal
    }


@pytest.mark.parametrize(
    "line",
    [
        "192.0.2.1",
        "192.0.2.1 ",
        "192.0.2.1/24 secret",
        "router.example secret",
        "secret 192.0.2.1",
        "::ffff:192.0.2.1 secret",
        "192.0.2.1:secret",
        f"192.0.2.1 {'secret' * 14}",
        f"192.0.2.1 0x{'00' * 81}",
        "192.0.2.1 sec\x01ret",
        "198.51.100.1 secret",
    ],
)
def test_a_bad_line_is_refused_by_its_number_and_without_its_key(tmp_path: Path, line: str) -> None:
    (tmp_path / "md5").write_text(f"198.51.100.1 first\n{line}\n")
    with pytest.raises(Md5Error, match=r"^TCP_MD5=.*/md5, line 2: ") as refused:
        read_keys(tmp_path / "md5")
    assert "secret" not in str(refused.value)


def test_what_is_no_ascii_is_refused(tmp_path: Path) -> None:
    (tmp_path / "md5").write_bytes(b"192.0.2.1 \xff\n")
    with pytest.raises(Md5Error, match="not ASCII"):
        read_keys(tmp_path / "md5")


STRUCTURES = [
    (socket.AF_INET, "192.0.2.0/24", b"key", "0200 0000 c0000200", "01 18 0300 00000000"),
    (socket.AF_INET, "0.0.0.0/0", b"key", "0200 0000 00000000", "01 00 0300 00000000"),
    (socket.AF_INET, "192.0.2.0/24", b"", "0200 0000 c0000200", "01 18 0000 00000000"),
    (
        socket.AF_INET6, "2001:db8::/32", b"k" * 80,
        "0a00 0000 00000000 20010db8 00000000 00000000 00000000 00000000", "01 20 5000 00000000",
    ),
    (
        socket.AF_INET6, "192.0.2.0/24", b"key",
        "0a00 0000 00000000 00000000 00000000 0000ffff c0000200 00000000", "01 18 0300 00000000",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("family", "prefix", "key", "address", "rest"), STRUCTURES)
def test_structures(family: int, prefix: str, key: bytes, address: str, rest: str) -> None:
    wanted = bytes.fromhex(address).ljust(128, b"\0") + bytes.fromhex(rest) + key.ljust(80, b"\0")
    assert _option(family, ip_network(prefix), key) == wanted
