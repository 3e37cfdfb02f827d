"""What the data files say, worked out without pyRTR, so that both cannot share a mistake.

A set is compared as lines: "vrp PREFIX MAXLENGTH ASN", "router key ASN SKI SPKI", "aspa CUSTOMER PROVIDER...".
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import NamedTuple

Network = IPv4Network | IPv6Network
OTHER = 64511  # no data file names this AS


class Vrp(NamedTuple):
    prefix: Network
    max_length: int
    asn: int

    def covers(self, route: Network) -> bool:
        return self.prefix.version == route.version and route.subnet_of(self.prefix)  # type: ignore[arg-type]


class Probe(NamedTuple):
    """A route by which a router shows what it holds: its AS path is the origin, or a provider and the origin."""

    prefix: Network
    path: tuple[int, ...]


def vrp_line(prefix: str, max_length: int, asn: int) -> str:
    return f"vrp {ip_network(prefix)} {max_length} {asn}"


def router_key_line(asn: int, ski: str, spki: bytes) -> str:
    return f"router key {asn} {ski.lower()} {spki.hex()}"


def aspa_line(customer: int, providers: Iterable[int]) -> str:
    return " ".join(map(str, ("aspa", customer, *sorted(providers))))


@dataclass(frozen=True)
class Payload:
    """All that one file says."""

    vrps: frozenset[Vrp]
    router_keys: frozenset[str]
    aspas: dict[int, frozenset[int]]

    @classmethod
    def load(cls, file: Path) -> "Payload":
        js = json.loads(file.read_text())
        return cls(
            frozenset(Vrp(ip_network(r["prefix"]), r["maxLength"], r["asn"]) for r in js["roas"]),
            frozenset(router_key_line(k["asn"], k["ski"], base64.b64decode(k["pubkey"])) for k in js["bgpsec_keys"]),
            {a["customer_asid"]: frozenset(a["providers"]) for a in js["aspas"]},
        )

    @property
    def vrp_lines(self) -> set[str]:
        return {vrp_line(str(v.prefix), v.max_length, v.asn) for v in self.vrps}

    @property
    def aspa_lines(self) -> set[str]:
        return {aspa_line(customer, providers) for customer, providers in self.aspas.items()}

    def pdu_count(self, version: int) -> int:
        """How many payload PDUs the whole set takes in that version."""
        return len(self.vrps) + (len(self.router_keys) if version > 0 else 0) + (len(self.aspas) if version > 1 else 0)

    def update_count(self, before: "Payload", version: int) -> int:
        """How many payload PDUs lead from the set before to this one (8210bis: a new ASPA replaces its customer's)."""
        vrps = len(self.vrps ^ before.vrps)
        router_keys = len(self.router_keys ^ before.router_keys)
        aspas = len({customer for customer, _ in self.aspas.items() ^ before.aspas.items()})
        return vrps + (router_keys if version > 0 else 0) + (aspas if version > 1 else 0)

    def origin_state(self, probe: Probe) -> str:
        """RFC 6811 section 2."""
        covering = [v for v in self.vrps if v.covers(probe.prefix)]
        if any(v.asn == probe.path[-1] and probe.prefix.prefixlen <= v.max_length for v in covering):
            return "valid"
        return "invalid" if covering else "not-found"

    def path_state(self, probe: Probe) -> str:
        """Upstream verification of draft-ietf-sidrops-aspa-verification, of a path with one hop at most."""
        *provider, customer = probe.path
        if provider and customer not in self.aspas:
            return "unknown"
        return "valid" if set(provider) <= self.aspas.get(customer, frozenset()) else "invalid"


def probes(payloads: Iterable[Payload], *, with_aspas: bool) -> set[Probe]:
    """Routes whose states tell the sets of these payloads apart."""
    payloads = tuple(payloads)
    found = set()
    for v in frozenset().union(*(p.vrps for p in payloads)):
        for length in {v.prefix.prefixlen, v.max_length, min(v.max_length + 1, v.prefix.max_prefixlen)}:
            prefix = ip_network((v.prefix.network_address, length))
            found |= {Probe(prefix, (asn,)) for asn in (v.asn, OTHER) if asn}  # no route has AS 0 in its path
    if with_aspas:
        providers = {OTHER}.union(*(ps for p in payloads for ps in p.aspas.values())) - {0}
        customers = {customer for p in payloads for customer in p.aspas}
        prefix = ip_network("192.0.2.0/24")
        found |= {Probe(prefix, (p, c)) for c in customers for p in providers if p != c}
    return found
