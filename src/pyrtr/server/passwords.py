"""Passwords of routers that log in over SSH: kept as scrypt hashes (RFC 7914) in the usual text form.

$scrypt$ln=15,r=8,p=1$SALT$KEY        ln: binary logarithm of N; SALT and KEY in base64 without padding
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from pyrtr.errors import PyrtrError

# 32 MiB and some 0.1 s for each look: dear for who guesses, bearable for who is sent guesses.
_LN, _R, _P = 15, 8, 1
_SALT_BYTES, _KEY_BYTES = 16, 32
# What a file may ask for: it must not be able to use up the machine.
_MAX_MEMORY_BYTES = 2**27
_MAX_P = 16
_HASH = re.compile(r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,3}),p=([0-9]{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")


class PasswordError(PyrtrError):
    """A file of passwords can't be used."""


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """One hash, as it is written in the file."""

    ln: int
    r: int
    p: int
    salt: bytes
    key: bytes

    def __str__(self) -> str:
        return f"$scrypt$ln={self.ln},r={self.r},p={self.p}${_base64(self.salt)}${_base64(self.key)}"

    def fits(self, password: str) -> bool:
        """Whether it is the hash of this password; takes its time."""
        return hmac.compare_digest(_scrypt(password, self.ln, self.r, self.p, self.salt, len(self.key)), self.key)


def hash_password(password: str) -> PasswordHash:
    """A new hash of a password."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return PasswordHash(_LN, _R, _P, salt, _scrypt(password, _LN, _R, _P, salt, _KEY_BYTES))


class Passwords:
    """Who may log in with which password."""

    def __init__(self, hashes: dict[str, PasswordHash]) -> None:
        self._hashes = hashes
        # An unknown name takes as long as a known one, so that the time tells nobody which names there are. No password
        # is known to have this hash.
        salt, key = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_KEY_BYTES)
        self._of_nobody = PasswordHash(_LN, _R, _P, salt, key)

    def fit(self, user: str, password: str) -> bool:
        """Whether it is the password of the user; takes its time, so not for the event loop."""
        return self._hashes.get(user, self._of_nobody).fits(password)


def read_passwords(file: Path) -> Passwords:
    """Read a file of `user:password-hash` lines; empty lines, and those that begin with `#`, mean nothing.

    Raises:
        PasswordError: it can't be read, or a line is of another form. Its text is not repeated: it may be a password.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise PasswordError(f"SSH_PASSWORDS={file}: {reason}") from error
    hashes: dict[str, PasswordHash] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, text = line.partition(":")
        found = _read_hash(text.strip())
        if not user or found is None or user in hashes:
            problem = "the user has a line above" if user in hashes else "expected USER:HASH of `pyrtr password`"
            raise PasswordError(f"SSH_PASSWORDS={file}, line {number}: {problem}")
        hashes[user] = found
    return Passwords(hashes)


def _read_hash(text: str) -> PasswordHash | None:
    match = _HASH.fullmatch(text)
    if match is None:
        return None
    ln, r, p = int(match[1]), int(match[2]), int(match[3])
    try:
        salt, key = (base64.b64decode(part + "=" * (-len(part) % 4), validate=True) for part in match.group(4, 5))
    except binascii.Error:
        return None
    is_scrypt = 1 <= ln < 16 * r and p >= 1  # RFC 7914 section 2
    is_bearable = 128 * r * 2**ln <= _MAX_MEMORY_BYTES and p <= _MAX_P
    return PasswordHash(ln, r, p, salt, key) if is_scrypt and is_bearable and len(key) >= 16 else None


def _scrypt(password: str, ln: int, r: int, p: int, salt: bytes, size: int) -> bytes:
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=2**ln, r=r, p=p, maxmem=2 * _MAX_MEMORY_BYTES, dklen=size)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
