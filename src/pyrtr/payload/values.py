"""The three payload types as values: VRP, router key and ASPA, with the rules that make each of them valid."""

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from pyrtr.errors import PayloadError

MAX_ASN = 2**32 - 1
SKI_BYTES = 20
# 8210bis §5.1 caps a PDU at 65535 octets: header and customer take 12, a router key's header, SKI and ASN 32.
MAX_PROVIDERS = (65535 - 12) // 4
MAX_SPKI_BYTES = 65535 - 32


class ProviderListError(PayloadError):
    """An ASPA whose provider ASNs are no list that 8210bis §5.12 allows, which has an error code of its own."""


@dataclass(frozen=True, slots=True)
class VRP:
    """A Validated ROA Payload (RFC 6811 §2): `asn` may originate `prefix` and what is inside it up to `max_length`.

    Raises:
        PayloadError: max length outside prefix length..32 (IPv4) or ..128 (IPv6), or ASN outside 0..2^32-1.
    """

    prefix: IPv4Network | IPv6Network
    max_length: int
    asn: int

    def __post_init__(self) -> None:
        if not self.prefix.prefixlen <= self.max_length <= self.prefix.max_prefixlen:
            raise PayloadError(
                f"max length {self.max_length} of {self.prefix}: "
                f"expected {self.prefix.prefixlen}..{self.prefix.max_prefixlen}"
            )
        if not 0 <= self.asn <= MAX_ASN:
            raise PayloadError(f"ASN {self.asn} of {self.prefix}: expected 0..{MAX_ASN}")


@dataclass(frozen=True, slots=True)
class RouterKey:
    """A BGPsec router key (RFC 8210 §5.10): SKI of 20 octets, ASN, and the whole SubjectPublicKeyInfo in DER.

    Raises:
        PayloadError: SKI of another size, ASN outside 0..2^32-1, or an SPKI that is no DER SEQUENCE of its own length.
    """

    ski: bytes
    asn: int
    spki: bytes

    def __post_init__(self) -> None:
        if len(self.ski) != SKI_BYTES:
            raise PayloadError(f"SKI of {len(self.ski)} octets: expected {SKI_BYTES}")
        if not 0 <= self.asn <= MAX_ASN:
            raise PayloadError(f"router key ASN {self.asn}: expected 0..{MAX_ASN}")
        if not is_der_sequence(self.spki):
            raise PayloadError(f"SPKI of {len(self.spki)} octets is not one DER SEQUENCE")
        if len(self.spki) > MAX_SPKI_BYTES:
            raise PayloadError(f"SPKI of {len(self.spki)} octets: at most {MAX_SPKI_BYTES} fit a PDU")

    @property
    def sort_key(self) -> tuple[bytes, int, bytes, int]:
        """8210bis §11.2.2: SKI, SPKI length, SPKI octets, ASN, all ascending."""
        return (self.ski, len(self.spki), self.spki, self.asn)


@dataclass(frozen=True, slots=True)
class Aspa:
    """An ASPA (8210bis §5.12): the provider ASNs of one customer, strictly ascending.

    Raises:
        PayloadError: customer outside 1..2^32-1.
        ProviderListError: no provider, more than 16380, not strictly ascending, an ASN out of range, or AS 0 beside
            other providers.
    """

    customer_asn: int
    provider_asns: tuple[int, ...]

    def __post_init__(self) -> None:
        providers = self.provider_asns
        if not 1 <= self.customer_asn <= MAX_ASN:
            raise PayloadError(f"ASPA customer {self.customer_asn}: expected 1..{MAX_ASN}")
        if not 1 <= len(providers) <= MAX_PROVIDERS:
            raise ProviderListError(
                f"ASPA of AS{self.customer_asn} with {len(providers)} providers: expected 1..{MAX_PROVIDERS}"
            )
        if any(map(operator.ge, providers, providers[1:])):
            raise ProviderListError(f"ASPA of AS{self.customer_asn}: providers are not strictly ascending")
        if providers[0] < 0 or providers[-1] > MAX_ASN:
            raise ProviderListError(f"ASPA of AS{self.customer_asn}: provider outside 0..{MAX_ASN}")
        # 8210bis §5.12: AS 0 stands alone or not at all.
        if providers[0] == 0 and len(providers) > 1:
            raise ProviderListError(f"ASPA of AS{self.customer_asn}: AS0 beside other providers")


def provider_union(lists: Iterable[Iterable[int]]) -> tuple[int, ...]:
    """The provider ASNs of all lists, not all of them empty, ascending; there may be more than `MAX_PROVIDERS`."""
    # 8210bis §5.12: AS 0 only stands alone.
    return tuple(sorted(set().union(*lists) - {0} or {0}))


def is_der_sequence(data: bytes) -> bool:
    """Whether `data` is exactly one DER SEQUENCE: tag 0x30 and a definite, minimal length that fits to the octet."""
    if len(data) < 2 or data[0] != 0x30:
        return False
    if data[1] < 0x80:
        return len(data) == 2 + data[1]
    size_bytes = data[1] & 0x7F
    if not 1 <= size_bytes <= 4 or len(data) < 2 + size_bytes:
        return False
    size = int.from_bytes(data[2 : 2 + size_bytes])
    is_minimal = data[2] != 0 and size >= 0x80
    return is_minimal and len(data) == 2 + size_bytes + size
