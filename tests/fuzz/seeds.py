"""`python -m tests.fuzz.seeds`: writes what fuzzing starts from, made of the octets that the other tests use.

What was found is kept beside it, in files called `found-…`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.fuzz.targets import CORPUS, TARGETS
from tests.golden.test_pdus import ROWS
from tests.golden.transcript import FOLDER, read_transcript
from tests.inputs import SMALL, rpki_client_bytes
from tests.model_core import error_report, reset_query, serial_query
from tests.unit.sources.canonical import ccr
from tests.unit.sources.test_ccr import EMPTY, WHOLE
from tests.unit.sources.test_slurm import aspa_assertion, key_assertion, prefix_assertion, slurm

SHAPES = Path(__file__).parents[1] / "unit" / "sources" / "shapes"
ALL_VERSIONS = 6  # as the first octet of `cache` has it: from 0 to 2, and there is data


def pdus() -> Iterator[tuple[str, bytes]]:
    """Every PDU in every version."""
    for row in ROWS:
        for version in row.versions:
            octets = bytes.fromhex(row.hex.replace("vv", f"{version:02x}"))
            if len(octets) < 256:
                yield f"v{version}-{row.name}", octets


def streams() -> Iterator[tuple[str, bytes]]:
    """What routers send: the conversations of the golden tests, and some that go wrong."""
    for path in sorted(FOLDER.glob("*.hex")):
        yield path.stem, b"".join(message.octets for message in read_transcript(path) if message.sender == "router")
    for version in (0, 1, 2):
        yield f"v{version}-resets", reset_query(version) * 20
        yield f"v{version}-serials", serial_query(version, 4096, 4096) + serial_query(version, 4097, 1)
        yield f"v{version}-report", reset_query(version) + error_report(version, 2, reset_query(version), b"text")
    yield "too high, then lower", reset_query(3) + reset_query(2)
    yield "versions mixed", reset_query(1) + reset_query(2)
    yield "TLS", bytes.fromhex("16030100c8010000c40303") + bytes(32)
    yield "HTTP", b"GET / HTTP/1.1\r\nHost: pyrtr.example\r\n\r\n"


def answers() -> Iterator[tuple[str, bytes]]:
    """What caches send in the conversations of the golden tests, and every PDU by itself."""
    for path in sorted(FOLDER.glob("*.hex")):
        yield path.stem, b"".join(message.octets for message in read_transcript(path) if message.sender == "cache")
    yield from pdus()


def slurm_files() -> Iterator[tuple[str, bytes]]:
    """Files with exceptions, right and wrong."""
    yield "empty", slurm()
    yield "version 1", slurm("1", prefixAssertions=f"[{prefix_assertion()}]")
    yield "prefixes", slurm(prefixFilters='[{"prefix": "192.0.2.0/24", "comment": "c"}, {"asn": 64496}]')
    yield "keys", slurm(bgpsecFilters='[{"asn": 64496}]', bgpsecAssertions=f"[{key_assertion()}]")
    yield "aspas", slurm(aspaFilters='[{"customerAsn": 64496}]', aspaAssertions=f"[{aspa_assertion()}]")
    yield "wrong", slurm(prefixAssertions=f"[{prefix_assertion(maxPrefixLength='20')}]")


def logins() -> Iterator[tuple[str, bytes]]:
    """What clients of SSH begin with."""
    kexinit = bytes([20]) + bytes(16)
    for names in (
        "curve25519-sha256",
        "ssh-ed25519",
        *["aes128-ctr"] * 2,
        *["hmac-sha2-256"] * 2,
        *["none"] * 2,
        "",
        "",
    ):
        kexinit += len(names).to_bytes(4) + names.encode()
    kexinit += bytes(5)
    point = bytes([30, 0, 0, 0, 32]) + bytes(range(32))
    service = bytes([5, 0, 0, 0, 12]) + b"ssh-userauth"
    yield "banner", b"\0" + b"SSH-2.0-OpenSSH_9.2p1\r\n"
    yield "kexinit", b"@" + bytes([len(kexinit)]) + kexinit
    yield "key exchange", b"@" + b"".join(bytes([len(packet)]) + packet for packet in (kexinit, point, b"\x15"))
    yield "service", b"@" + bytes([len(service)]) + service
    yield "RTR", b"\0" + reset_query(2)


def acts(stream: bytes) -> bytes:
    """A stream in pieces, with acts of the cache between them, as `cache` reads it."""
    octets = bytearray([ALL_VERSIONS])
    for number, start in enumerate(range(0, len(stream), 40)):
        piece = stream[start : start + 40]
        octets += bytes([4 * len(piece)]) + piece + bytes([192 + number * 9 % 64])
    return bytes(octets)


def documents() -> Iterator[tuple[str, bytes]]:
    """What validators write."""
    yield "small", rpki_client_bytes(SMALL)
    for path in sorted(SHAPES.glob("*.json")):
        yield path.stem, path.read_bytes()


def seeds() -> Mapping[str, dict[str, bytes]]:
    """Every file by target and name."""
    return {
        "framer": {name: b"\4" + stream for name, stream in streams()},
        "codec": dict(pdus()),
        "cache": {name: acts(stream) for name, stream in streams()},
        "cache-split": {name: bytes([ALL_VERSIONS, 6]) + stream for name, stream in streams()},
        "router": {name: acts(stream) for name, stream in answers()},
        "slurm": dict(slurm_files()),
        "ssh": dict(logins()),
        "ccr": {"whole": WHOLE, "empty": ccr(vrps=EMPTY)},
        "rpkiclient": dict(documents()),
        "routinator": dict(documents()),
        "auto": {"rpki-client": rpki_client_bytes(SMALL), "ccr": WHOLE, "array": b"[]", "slurm": slurm()},
    }


def main() -> None:
    """Write them."""
    for target, files in seeds().items():
        folder = CORPUS / target
        assert target in TARGETS
        folder.mkdir(parents=True, exist_ok=True)
        for name, octets in files.items():
            (folder / name.replace(" ", "-").replace(",", "")).write_bytes(octets)


if __name__ == "__main__":
    main()
