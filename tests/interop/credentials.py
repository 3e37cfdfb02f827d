"""Certificates, keys and passwords of one round, made by the tools that operators use."""

import subprocess
from pathlib import Path

from tests.interop.process import COMMAND_S

NAME = "cache.example"
USER, PASSWORD = "router", "correct-horse"
MD5_ADDRESS, MD5_KEY = "127.0.0.2", "battery-staple"
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


class Credentials:
    """All in one folder, which routers can read that change their user.

    Attributes:
        ca: signs `cache` and `router`, certificates whose keys are beside them; the latter names 127.0.0.1.
        host_key, ssh_key: private keys of the cache and of a router.
        authorized_keys, passwords, md5: as SSH_AUTHORIZED_KEYS, SSH_PASSWORDS and TCP_MD5 want them.
    """

    def __init__(self, program: str, folder: Path):
        folder.mkdir(mode=0o755)
        self.folder = folder
        self.ca, self.cache, self.router = (folder / name for name in ("ca", "cache", "router"))
        self.host_key, self.ssh_key = folder / "host_key", folder / "ssh_key"
        self.authorized_keys, self.passwords, self.md5 = (folder / name for name in ("authorized", "passwords", "md5"))
        self.certify(self.ca, "basicConstraints=critical,CA:TRUE")
        issuer = ("-CA", str(self.ca), "-CAkey", str(key_of(self.ca)), "-addext", "basicConstraints=critical,CA:FALSE")
        self.certify(self.cache, f"subjectAltName=DNS:{NAME},IP:127.0.0.1", *issuer)
        self.certify(self.router, "subjectAltName=IP:127.0.0.1", *issuer)
        for key, kind in ((self.host_key, "ed25519"), (self.ssh_key, "ecdsa")):
            run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(key))
        self.authorized_keys.write_text(self.ssh_key.with_suffix(".pub").read_text())
        self.passwords.write_text(run(program, "password", USER, typed=f"{PASSWORD}\n"))
        self.md5.write_text(f"{MD5_ADDRESS} {MD5_KEY}\n")

    def certify(self, file: Path, extension: str, *more: str) -> None:
        files = ("-keyout", str(key_of(file)), "-out", str(file))
        run("openssl", "req", "-x509", *EC, "-subj", f"/CN={file.name}", "-addext", extension, *files, *more)

    def known_hosts(self, port: int) -> Path:
        """A file that trusts the cache at this port of 127.0.0.1, and nobody else."""
        file = self.folder / f"known_hosts.{port}"
        file.write_text(f"[127.0.0.1]:{port} {self.host_key.with_suffix('.pub').read_text()}")
        return file


def key_of(certificate: Path) -> Path:
    return certificate.with_suffix(".key")


def run(*command: str, typed: str = "") -> str:
    """What a command prints."""
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout
