"""Certificates for tests: an authority, what it issues, and what it revokes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

HOUR = timedelta(hours=1)
_NAMES = ExtensionOID.SUBJECT_ALTERNATIVE_NAME


class Authority:
    """A certification authority, whose files are in a folder of its own.

    Args:
        folder: its own.
        name: as certificates bear it.
        above: the one that vouches for it; None for a root.

    Attributes:
        file: its own certificate.
    """

    def __init__(self, folder: Path, name: str = "CA of the tests", above: Authority | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        key_id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        certificate = (
            _builder(self._name, (above or self)._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=1 if above is None else 0), critical=True)
            .add_extension(key_id, critical=False)
            .sign((above or self)._key, hashes.SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(_pem(certificate))

    def issue(
        self,
        name: str,
        addresses: Iterable[str] = (),
        dns_names: Iterable[str] = (),
        *,
        starts: timedelta = -HOUR,
        ends: timedelta = HOUR,
        raw_names: bytes | None = None,
    ) -> Path:
        """A file with a certificate and its key; the times count from now, `raw_names` is DER in the names' place."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [*(x509.IPAddress(ip_address(address)) for address in addresses), *map(x509.DNSName, dns_names)]
        builder = _builder(_named(name), self._name, key.public_key(), starts, ends)
        if raw_names is not None:
            builder = builder.add_extension(x509.UnrecognizedExtension(_NAMES, raw_names), critical=False)
        elif names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        plain = serialization.NoEncryption()
        key_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        file = self._folder / f"{name}.pem"
        file.write_bytes(_pem(certificate) + key_pem)
        return file

    def revoke(self, *files: Path) -> bytes:
        """A list of what is revoked, in PEM."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder(self._name, now - HOUR, now + HOUR)
        for file in files:
            serial = x509.load_pem_x509_certificate(file.read_bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder(serial, now - HOUR).build()
            builder = builder.add_revoked_certificate(revoked)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def apart(file: Path) -> tuple[Path, Path]:
    """A certificate and its key in files of their own."""
    certificate, mark, key = file.read_bytes().partition(b"-----BEGIN PRIVATE KEY-----")
    paths = file.with_suffix(".crt"), file.with_suffix(".key")
    paths[0].write_bytes(certificate)
    paths[1].write_bytes(mark + key)
    return paths


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    starts: timedelta = -HOUR,
    ends: timedelta = HOUR,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    serial = x509.random_serial_number()
    return x509.CertificateBuilder(issuer, subject, key, serial, now + starts, now + ends)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
