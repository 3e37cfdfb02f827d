"""Who may connect, how many at once, and up to which version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import Generic, TypeVar

from pyrtr.server.peers import Address, Owner, owner_of
from pyrtr.server.refusals import Reason
from pyrtr.wire.enums import Version

Network = IPv4Network | IPv6Network
Value = TypeVar("Value")


class PrefixMap(Generic[Value]):
    """Values by prefix; the longest prefix that holds an address counts."""

    def __init__(self, entries: Iterable[tuple[Network, Value]]) -> None:
        self._values: dict[tuple[int, int], dict[int, Value]] = {}  # by IP version and host bits, by network
        for prefix, value in entries:
            host_bits = prefix.max_prefixlen - prefix.prefixlen
            at = self._values.setdefault((prefix.version, host_bits), {})
            at[int(prefix.network_address) >> host_bits] = value
        self._values = dict(sorted(self._values.items()))

    def longest(self, address: Address) -> Value | None:
        """The value of the longest prefix that holds the address; None where none does."""
        number = int(address)
        for (version, host_bits), values in self._values.items():
            if version == address.version and number >> host_bits in values:
                return values[number >> host_bits]
        return None


class Limits:
    """Judges who connects, and counts who is here.

    One address (of IPv6, one /64) may have three quarters of the connections that the others leave: whoever it is, some
    are left for the next, and so on, so that none can take all.

    Args:
        allow: prefixes from which routers may connect; None for all.
        version_caps: the highest version that is spoken with routers there.
        max_routers: connections at once.
    """

    def __init__(
        self,
        allow: Iterable[Network] | None = None,
        version_caps: Iterable[tuple[Network, Version]] = (),
        max_routers: int = 20_000,
    ) -> None:
        self._allowed = None if allow is None else PrefixMap((prefix, True) for prefix in allow)
        self._version_caps = PrefixMap(version_caps)
        self._max_routers = max_routers
        self._here: Counter[Owner] = Counter()
        self._count = 0

    def refusal(self, address: Address) -> Reason | None:
        """Why nobody from this address may come in now; None if one may."""
        if self._allowed is not None and self._allowed.longest(address) is None:
            return Reason.NOT_ALLOWED
        if self._count >= self._max_routers:
            return Reason.TOO_MANY
        own = self._here[owner_of(address)]
        left_by_others = self._max_routers - (self._count - own)
        return Reason.TOO_MANY_OF_ONE if own >= max(1, left_by_others * 3 // 4) else None

    def come_in(self, address: Address) -> Callable[[], None]:
        """Somebody has come in; what is returned is to be called, once or more, when they are gone."""
        owner = owner_of(address)
        self._here[owner] += 1
        self._count += 1
        is_here = True

        def leave() -> None:
            nonlocal is_here
            if is_here:
                is_here = False
                self._count -= 1
                self._here[owner] -= 1
                if not self._here[owner]:
                    del self._here[owner]

        return leave

    def highest_version(self, address: Address, highest: Version) -> Version:
        """The highest version that is spoken with this address, of those up to `highest`."""
        cap = self._version_caps.longest(address)
        return highest if cap is None else min(cap, highest)
