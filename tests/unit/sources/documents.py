"""Documents made of JSON texts, so that a test shows each number and text as it stands in the file."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from tests.examples import SKI, SPKI

NOW = 1_795_404_155
KEY = f'"{base64.b64encode(SPKI).decode()}"'


def record(**members: str | None) -> str:
    """A record of JSON texts; a member that is None is left out."""
    return "{" + ", ".join(f'"{name}": {text}' for name, text in members.items() if text is not None) + "}"


def roa(**members: str | None) -> str:
    return record(**{"asn": "64496", "prefix": '"192.0.2.0/24"', "maxLength": "24"} | members)


def roa6(**members: str | None) -> str:
    return roa(**{"prefix": '"2001:db8::/32"', "maxLength": "32"} | members)


def router_key(**members: str | None) -> str:
    return record(**{"asn": "64496", "ski": f'"{SKI.hex()}"', "pubkey": KEY} | members)


def providers(text: str) -> str:
    return record(customer_asid="64496", providers=text)


def customer(**members: str) -> str:
    return record(providers="[64497]", **members)


def source(after_s: int) -> str:
    """A source of Routinator's jsonext that ends that much after `NOW`; what else is in it does not count."""
    end = datetime.fromtimestamp(NOW + after_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    validity = record(notBefore='"2026-01-01T00:00:00Z"', notAfter='"2026-01-01T00:00:00Z"')
    chain_validity = record(notBefore='"2026-01-01T00:00:00Z"', notAfter=f'"{end}"')
    return record(type='"roa"', tal='"ripe"', validity=validity, chainValidity=chain_validity, stale='"x"')


def document(*roas: str, **members: str) -> bytes:
    return record(roas=f"[{', '.join(roas)}]", **members).encode()
