"""Passwords as scrypt hashes: what fits, what a file may hold, and what a bad one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyrtr.server.passwords import PasswordError, hash_password, read_passwords

# RFC 7914 section 12: "password", "NaCl", N=1024, r=8, p=16; here with the first 32 octets of the key.
RFC_7914 = "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWI"


@pytest.mark.parametrize("password", ["x", "correct horse", "pässwörd:with$signs", "y" * 1000])
def test_only_the_password_fits(tmp_path: Path, password: str) -> None:
    (tmp_path / "p").write_text(f"# comment\n\nxr1:{hash_password(password)}\n  \nxr2:{RFC_7914}\n")
    passwords = read_passwords(tmp_path / "p")
    assert passwords.fit("xr1", password)
    assert passwords.fit("xr2", "password")
    assert not passwords.fit("xr1", password + " ")
    assert not passwords.fit("xr1", "")
    assert not passwords.fit("xr2", password)
    assert not passwords.fit("xr3", password)
    assert not passwords.fit("", "")


def test_reading_takes_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At SIGHUP it is the event loop that reads."""
    (tmp_path / "p").write_text(f"xr1:{RFC_7914}\n")
    monkeypatch.delattr("hashlib.scrypt")
    read_passwords(tmp_path / "p")


def test_a_hash_is_salted() -> None:
    assert hash_password("x") != hash_password("x")


@pytest.mark.parametrize(
    "line",
    [
        "xr1",
        "xr1:secret",
        "xr1:$scrypt$ln=10,r=8,p=16$TmFDbA$",
        "xr1:$scrypt$ln=10,r=8,p=16$TmFDbA$c2hvcnQ",
        "xr1:$scrypt$ln=0,r=8,p=1$TmFDbA$" + "A" * 43,
        "xr1:$scrypt$ln=16,r=1,p=1$TmFDbA$" + "A" * 43,  # RFC 7914 section 2: N < 2^(128 * r / 8)
        "xr1:$scrypt$ln=20,r=8,p=1$TmFDbA$" + "A" * 43,  # 1 GiB
        "xr1:$scrypt$ln=10,r=8,p=999$TmFDbA$" + "A" * 43,
        "xr1:$6$salt$hash",
        f":{RFC_7914}",
        f"xr1:{RFC_7914}\nxr1:{RFC_7914}",
    ],
)
def test_a_bad_line_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "p").write_text(f"other:{RFC_7914}\n{line}\n")
    with pytest.raises(PasswordError, match=r"^SSH_PASSWORDS=.*/p, line [23]: ") as refused:
        read_passwords(tmp_path / "p")
    assert "secret" not in str(refused.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"\xff\xfe")
    with pytest.raises(PasswordError, match="not UTF-8"):
        read_passwords(tmp_path / "p")
