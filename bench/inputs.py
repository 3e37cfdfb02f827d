"""The input: one source of the Internet's size and shape, and what may come after it.

The source is made by the project's generator where that is there (`GENERATOR`, or `data/make_rpki_json.py` in a folder
`shared` beside the project), else here: prefix lengths, maximum lengths and VRPs per AS roughly as in the world, at
random addresses. Both write rpki-client's JSON, one VRP a line, built just now, so that it is not stale.
"""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from bench import oracle

GENERATOR = Path(__file__).parents[2] / "shared" / "data" / "make_rpki_json.py"
SCALES = {"small": 1_000, "medium": 100_000, "sep2026": 1_005_140, "future": 3_000_000}
USUAL_CHANGES = 15
SHARES = {"0.1 %": 0.001, "30 %": 0.3}

SEED = 20261123
IPV6_SHARE = 0.22
ASPA_COUNT = 3_000
ROUTER_KEY_COUNT = 100
AS_COUNT = 50_000
EXPIRES = 4102444800

# In place of the AS number of a VRP that changes: private ones, that nothing else has.
_NEW_ASN = 4_200_000_000
# Beside these, every so many VRPs change nothing but their expiry time, as in the world.
_RENEWED_EVERY = 100

_IPV4_LENGTHS = {16: 2, 18: 1, 19: 2, 20: 4, 21: 5, 22: 13, 23: 13, 24: 58, 32: 2}
_IPV6_LENGTHS = {29: 4, 32: 17, 36: 6, 40: 9, 44: 8, 48: 53, 64: 3}
_ANCHORS = ("afrinic", "apnic", "arin", "lacnic", "ripe")
_ANCHOR_SHARES = (0.03, 0.30, 0.27, 0.04, 0.36)
# SubjectPublicKeyInfo of a P-256 key, up to its 64 octets of coordinates (RFC 8608).
_P256_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_ROA_HEAD = '\t\t{ "asn": '
_ROA = _ROA_HEAD + '%d, "prefix": "%s/%d", "maxLength": %d, "ta": "%s", "expires": ' + str(EXPIRES) + " }"

Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and what it is beside the first one.

    Attributes:
        digest: what a router has to hold of it.
        changed_count: VRPs that are others than in the first file.
        delta_bytes: size of the prefix PDUs that lead from the first to this.
    """

    path: Path
    digest: oracle.Digest
    changed_count: int = 0
    delta_bytes: int = 0

    @property
    def size_mb(self) -> float:
        """In millions of octets."""
        return self.path.stat().st_size / 1e6


@dataclass(frozen=True, slots=True)
class Inputs:
    """A source and what may come after it.

    Attributes:
        made_by: which generator, in words.
        later: by how much is changed.
    """

    made_by: str
    first: Source
    later: dict[str, Source]

    @property
    def second(self) -> Source:
        """That with 0.1 % changed, which most figures use."""
        return self.later["0.1 %"]


def make(folder: Path, scale: str) -> Inputs:
    """Write all files into `folder`, a new one."""
    folder.mkdir()
    first = folder / "first.json"
    made_by = _write_first(first, scale)
    lines = first.read_text().split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith(_ROA_HEAD))
    count = next(number for number, line in enumerate(lines[start:]) if not line.startswith(_ROA_HEAD))
    later = {}
    for name, changed in {
        f"{USUAL_CHANGES} VRPs": USUAL_CHANGES,
        **{name: round(count * share) for name, share in SHARES.items()},
    }.items():
        path = folder / f"{changed}.json"
        delta_bytes = _write_changed(path, lines.copy(), range(start, start + count, count // changed)[:changed])
        later[name] = Source(path, oracle.of_source(path), changed, delta_bytes)
    return Inputs(made_by, Source(first, oracle.of_source(first)), later)


def write_slurm(source: Path, path: Path) -> None:
    """The same VRPs as prefix assertions (RFC 8416), for a cache that has no other way in."""
    assertions = [
        {"asn": roa.asn, "prefix": roa.prefix, "maxPrefixLength": roa.maxLength} for roa in oracle.read_roas(source)
    ]
    filters: dict[str, list[object]] = {"prefixFilters": [], "bgpsecFilters": []}
    asserted = {"prefixAssertions": assertions, "bgpsecAssertions": []}
    document = {"slurmVersion": 1, "validationOutputFilters": filters, "locallyAddedAssertions": asserted}
    path.write_bytes(msgspec.json.encode(document))


def _write_first(path: Path, scale: str) -> str:
    generator = Path(os.environ.get("GENERATOR", GENERATOR))
    if generator.exists():
        command = (sys.executable, str(generator), "--scale", scale, "--buildtime", "now", "-o", str(path))
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return f"`make_rpki_json.py --scale {scale} --buildtime now`"
    rng = np.random.default_rng(SEED)
    count = SCALES[scale]
    ipv6_count = round(count * IPV6_SHARE)
    _write(path, _roas(rng, count - ipv6_count, ipv6_count), _tail(rng))
    return f"the bench's own generator, {count:,} VRPs: there is no {generator.name} in a folder `shared` beside this"


def _write_changed(path: Path, lines: list[str], places: range) -> int:
    """Write the lines with other VRPs at these places; returns the size of the PDUs that lead there."""
    for place in range(places.start + 1, places.stop, _RENEWED_EVERY):
        head, expires, tail = lines[place].rpartition('"expires": ')
        if expires:
            time_s, _, end = tail.partition(" ")
            lines[place] = f"{head}{expires}{int(time_s) + 60} {end}"
    size = 0
    for index, place in enumerate(places):
        line = lines[place]
        size += 2 * (32 if ":" in line.split('"')[5] else 20)
        lines[place] = f"{_ROA_HEAD}{_NEW_ASN + index}{line[line.index(',') :]}"
    path.write_text("\n".join(lines))
    return size


def _write(path: Path, roas: list[str], tail: str) -> None:
    built = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head = f'{{\n\t"metadata": {{\n\t\t"buildtime": "{built}"\n\t}},\n\t"roas": [\n'
    path.write_text(head + ",\n".join(roas) + "\n\t]" + tail)


def _roas(rng: Generator, ipv4_count: int, ipv6_count: int) -> list[str]:
    lines = _family(rng, ipv4_count, socket.AF_INET, _IPV4_LENGTHS, longest=24)
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
