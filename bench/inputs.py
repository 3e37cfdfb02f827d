"""Made-up input of the Internet's size and shape: rpki-client's JSON with a million VRPs, and the next one of it.

The same arguments give the same payload, built just now, so that it is not stale. Prefix lengths, maximum lengths and
VRPs per AS are spread roughly as in the world; addresses are random. Nothing expires before 2100.
"""

from __future__ import annotations

import base64
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SEED = 20261123
VRP_COUNT = 1_000_000
IPV6_SHARE = 0.22
CHANGED_SHARE = 0.001
ASPA_COUNT = 3_000
ROUTER_KEY_COUNT = 100
AS_COUNT = 50_000
EXPIRES = 4102444800

_IPV4_LENGTHS = {16: 2, 18: 1, 19: 2, 20: 4, 21: 5, 22: 13, 23: 13, 24: 58, 32: 2}
_IPV6_LENGTHS = {29: 4, 32: 17, 36: 6, 40: 9, 44: 8, 48: 53, 64: 3}
_ANCHORS = ("afrinic", "apnic", "arin", "lacnic", "ripe")
_ANCHOR_SHARES = (0.03, 0.30, 0.27, 0.04, 0.36)
# SubjectPublicKeyInfo of a P-256 key, up to its 64 octets of coordinates (RFC 8608).
_P256_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_ROA = '\t\t{ "asn": %d, "prefix": "%s/%d", "maxLength": %d, "ta": "%s", "expires": ' + str(EXPIRES) + " }"

Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Inputs:
    """Two files of the same size: the second differs from the first in `changed_count` VRPs, each one for another.

    Attributes:
        delta_bytes: size of the prefix PDUs that lead from the one to the other.
    """

    first: Path
    second: Path
    changed_count: int
    delta_bytes: int

    @property
    def size_mb(self) -> float:
        """Of either file, in millions of octets."""
        return self.first.stat().st_size / 1e6


def make(folder: Path, vrp_count: int = VRP_COUNT) -> Inputs:
    """Write both files into `folder`."""
    rng = np.random.default_rng(SEED)
    ipv6_count = round(vrp_count * IPV6_SHARE)
    changed_count = round(vrp_count * CHANGED_SHARE)
    # The VRPs that only the second file holds are drawn with the others, and come first.
    roas = _roas(rng, vrp_count - ipv6_count, ipv6_count, changed_count)
    spare, roas = roas[:changed_count], roas[changed_count:]
    tail = _tail(rng)
    first, second = folder / "first.json", folder / "second.json"
    _write(first, roas, tail)
    places = slice(0, len(roas) // changed_count * changed_count, len(roas) // changed_count)
    delta_bytes = sum(_pdu_bytes(roa) for roa in (*roas[places], *spare))
    roas[places] = spare
    _write(second, roas, tail)
    return Inputs(first, second, changed_count, delta_bytes)


def _pdu_bytes(roa: str) -> int:
    return 32 if ":" in roa.split('"')[5] else 20


def _write(path: Path, roas: list[str], tail: str) -> None:
    built = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head = f'{{\n\t"metadata": {{\n\t\t"buildtime": "{built}"\n\t}},\n\t"roas": [\n'
    path.write_text(head + ",\n".join(roas) + "\n\t]" + tail)


def _roas(rng: Generator, ipv4_count: int, ipv6_count: int, spare_count: int) -> list[str]:
    lines = _family(rng, ipv4_count + spare_count, socket.AF_INET, _IPV4_LENGTHS, longest=24)
    return lines + _family(rng, ipv6_count, socket.AF_INET6, _IPV6_LENGTHS, longest=48)


def _family(
    rng: Generator, count: int, family: socket.AddressFamily, shares: dict[int, int], *, longest: int
) -> list[str]:
    """So many different VRPs, in random order; a maximum length other than the prefix length is mostly `longest`."""
    word_bits = 32 if family == socket.AF_INET else 64  # of an IPv6 address, the first half is enough
    drawn = count + count // 10
    weights = np.array(list(shares.values()), float)
    lengths = rng.choice(list(shares), drawn, p=weights / weights.sum())
    words = rng.integers(1 << 24, 224 << 24, drawn, np.uint64) << np.uint64(word_bits - 32)
    if family == socket.AF_INET6:  # 2000::/4, and lower bits at random too
        words = (words & np.uint64(2**60 - 1)) | np.uint64(2 << 60) | rng.integers(0, 2**32, drawn, np.uint64)
    words &= ~np.uint64(0) << (word_bits - lengths).astype(np.uint64)
    is_longer = (rng.random(drawn) < 0.15) & (lengths < longest)
    max_lengths = np.where(is_longer, longest, lengths)
    # A few ASes hold many of the VRPs, and most hold a few.
    asns = (rng.random(drawn) ** 2 * AS_COUNT).astype(np.int64) * 8 + 1
    anchors = rng.choice(len(_ANCHORS), drawn, p=_ANCHOR_SHARES)
    lines: dict[tuple[int, int, int, int], str] = {}
    for word, length, max_length, asn, anchor in zip(
        words.tolist(), lengths.tolist(), max_lengths.tolist(), asns.tolist(), anchors.tolist(), strict=True
    ):
        octets = word.to_bytes(word_bits // 8).ljust(4 if family == socket.AF_INET else 16, b"\0")
        line = _ROA % (asn, socket.inet_ntop(family, octets), length, max_length, _ANCHORS[anchor])
        lines.setdefault((word, length, max_length, asn), line)
        if len(lines) == count:
            break
    return list(lines.values())


def _tail(rng: Generator) -> str:
    keys = []
    for index in range(ROUTER_KEY_COUNT):
        spki = base64.b64encode(_P256_HEAD + rng.bytes(64)).decode()
        ski = rng.bytes(20).hex().upper()
        keys.append(
            f'\t\t{{ "asn": {64496 + index}, "ski": "{ski}", "pubkey": "{spki}", "ta": "ripe", "expires": {EXPIRES} }}'
        )
    aspas = []
    for index in range(ASPA_COUNT):
        providers = sorted(set(rng.integers(1, 400_000, int(rng.integers(1, 12))).tolist()))
        names = ", ".join(map(str, providers))
        aspas.append(f'\t\t{{ "customer_asid": {1000 + index * 90}, "expires": {EXPIRES}, "providers": [ {names} ] }}')
    return ',\n\t"bgpsec_keys": [\n' + ",\n".join(keys) + '\n\t],\n\t"aspas": [\n' + ",\n".join(aspas) + "\n\t]\n}\n"
