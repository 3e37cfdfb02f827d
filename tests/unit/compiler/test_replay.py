"""A real feed over half a year, version after version, with SLURM: what routers hold, by an account of its own.

The feed is that of dn42, in which members of an experimental network write their own records, mistakes included. It is
no part of this repository: where it lies beside it (`../shared`), all of it is replayed, elsewhere a short one like it.
"""

from __future__ import annotations

import functools
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.inputs import Payload, visible
from tests.model_near import Router
from tests.unit.compiler.program import Program, Start, replace

FEED = Path(__file__).parents[4] / "shared" / "data" / "real" / "dn42-roa-export"
OURS = "generated here"
MISTAKES = (
    {"prefix": None, "maxLength": 24, "asn": "AS64496"},
    {"prefix": "192.0.2.0/24", "maxLength": 24, "asn": "AS"},
    {"prefix": "192.0.2.0/24", "maxLength": "24", "asn": "AS64496"},
    {"prefix": "192.0.2.1/24", "maxLength": 24, "asn": "AS64496"},
    {"prefix": "192.0.2.0/27", "maxLength": 48, "asn": "AS64496"},
)
FILTERS: list[dict[str, Any]] = [
    {"prefix": "172.20.0.0/16"},
    {"asn": 4242420916},
    {"prefix": "fd00::/10", "asn": 4242423914},
]


@functools.cache
def vrp_of(prefix: object, asn: object, max_length: object) -> Payload | str:
    """The VRP of a record, or the reason why it is none."""
    if not isinstance(prefix, str) or not isinstance(asn, int | str) or not isinstance(max_length, int):
        return "malformed"
    try:
        network = ip_network(prefix, strict=False)
    except ValueError:
        return "prefix"
    if network.network_address.packed != ip_network(f"{prefix.partition('/')[0]}").network_address.packed:
        return "host_bits"
    if re.fullmatch("(AS)?[0-9]+", str(asn)) is None:
        return "asn"
    if not network.prefixlen <= max_length <= network.max_prefixlen:
        return "max_length"
    return ("vrp", str(network), max_length, int(str(asn).removeprefix("AS")))


def account(records: list[dict[str, Any]]) -> tuple[set[Payload], Counter[str]]:
    """The VRPs of a feed, and how many records give none for which reason."""
    found = [vrp_of(record["prefix"], record["asn"], record["maxLength"]) for record in records]
    vrps = [value for value in found if not isinstance(value, str)]
    dropped = Counter(value for value in found if isinstance(value, str))
    return set(vrps), dropped + Counter(duplicate=len(vrps) - len(set(vrps)))


def asserted_by(entry: dict[str, Any]) -> Payload | str:
    return vrp_of(entry["prefix"], entry["asn"], entry["maxPrefixLength"])


@functools.cache
def is_filtered(vrp: Payload) -> bool:
    network = ip_network(str(vrp[1]))
    for condition in FILTERS:
        cover = ip_network(str(condition.get("prefix", "::/0" if network.version == 6 else "0.0.0.0/0")))
        is_covered = cover.version == network.version and network.subnet_of(cover)  # type: ignore[arg-type]
        if is_covered and condition.get("asn", vrp[3]) == vrp[3]:
            return True
    return False


def real() -> Iterator[bytes]:
    with tarfile.open(fileobj=io.BytesIO(unpacked(FEED / "export_dn42-2021-04-to-09.tar.zst"))) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            if member.name.endswith(".json") and (file := archive.extractfile(member)) is not None:
                yield file.read()


def unpacked(path: Path) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(path.read_bytes()) as reader:
        return reader.read()


def ours() -> Iterator[bytes]:
    """Records that come, go and come again, and the mistakes that were seen in the real one."""
    for version in range(20):
        records: list[dict[str, object]] = [
            {
                "prefix": f"172.{20 + number % 3}.{number}.0/24",
                "maxLength": 24 + number % 5,
                "asn": f"AS{64496 + number}",
            }
            for number in range(version % 7, 40 + version)
        ]
        records += [{"prefix": "fd00:0801:3000::/44", "maxLength": 48, "asn": "AS4242423914"}, records[0]]
        yield json.dumps({"roas": [*records, *MISTAKES[: version % 6]], "metadata": {"counts": len(records)}}).encode()


@functools.cache
def series() -> tuple[bytes, ...]:
    return tuple(real() if FEED.exists() else ours())


def slurm_as_it_is() -> dict[str, Any]:
    if FEED.exists():
        document: dict[str, Any] = json.loads((FEED / "export_rfc8416_dn42.json").read_bytes())
        return document
    assertion = {"prefix": "172.22.0.0/24", "asn": 64496, "maxPrefixLength": 28, "source": OURS}
    return {
        "slurmVersion": 1,
        "validationOutputFilters": {"prefixFilters": [], "bgpsecFilters": []},
        "locallyAddedAssertions": {"prefixAssertions": [assertion, assertion | {"asn": ""}], "bgpsecAssertions": []},
    }


@pytest.fixture
def program(start: Start, folder: Path) -> Program:
    replace(folder / "slurm.json", json.dumps(slurm_as_it_is()).encode())
    return start(slurm=[folder / "slurm.json"], max_shrink=100.0)


def load(program: Program, body: bytes) -> None:
    replace(program.source, body)
    program.now += 60
    program.loader.trigger()
    program.step()


def test_every_version_of_a_real_feed(program, folder):
    load(program, series()[0])
    assert program.payload is None, "members that are no part of the format make the SLURM file no good"
    assert "slurm.json: locallyAddedAssertions.prefixAssertions" in str(program.loader.status.error)

    document = slurm_as_it_is()
    assertions = document["locallyAddedAssertions"]["prefixAssertions"]
    kept = [entry for entry in assertions if not isinstance(asserted_by(entry), str)]
    members = ("prefix", "asn", "maxPrefixLength")
    document["locallyAddedAssertions"]["prefixAssertions"] = [{name: e[name] for name in members} for e in kept[::7]]
    document["validationOutputFilters"]["prefixFilters"] = FILTERS
    replace(folder / "slurm.json", json.dumps(document).encode())
    asserted = {vrp for vrp in map(asserted_by, kept[::7]) if not isinstance(vrp, str)}

    routers = [Router(version) for version in (0, 1, 2)]
    reasons: Counter[str] = Counter()
    for body in series():
        load(program, body)
        vrps, dropped = account(json.loads(body)["roas"])
        expected = {vrp for vrp in vrps if not is_filtered(vrp)} | asserted
        assert program.loader.status.error is None
        assert program.loader.status.found is not None
        assert program.loader.status.found.dropped == dropped
        status = program.loader.slurm.status
        assert status.filtered[str(folder / "slurm.json")]["vrps"] == sum(map(is_filtered, vrps))
        reasons += dropped
        for router in routers:
            router.sync(program.publisher.current, program.now)
            assert router.core.payload == visible(router.core.version, expected)
    assert [router.core.full_syncs for router in routers] == [1, 1, 1]
    assert reasons
    name = "dn42" if FEED.exists() else OURS
    print(f"{name}: {len(series())} versions, {len(program.published)} serials, dropped {dict(reasons)}")
