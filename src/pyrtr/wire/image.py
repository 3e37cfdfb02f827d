"""Pre-encoded payload: the body of a snapshot or a delta for one version, in the total order of 8210bis §11.2.

Ascending PDU type; within a type announcements before withdrawals; prefixes descending when they are announced and
ascending when they are withdrawn (rows are stored ascending, see `payload.order`); the rest ascending.
Versions 0 and 1 get the same order, where it is only a SHOULD.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyrtr.payload.delta import Delta
from pyrtr.payload.order import Rows, address_bytes, octets
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import Aspa
from pyrtr.wire.codec import encode
from pyrtr.wire.enums import ANNOUNCE, PDU_TYPES, PduType, Version
from pyrtr.wire.framer import HEADER_BYTES
from pyrtr.wire.pdu import AspaAnnounce, AspaWithdraw, Key

IPV4_PDU_BYTES = 20
IPV6_PDU_BYTES = 32
_PREFIX_TYPES = {IPV4_PDU_BYTES: PduType.IPV4_PREFIX, IPV6_PDU_BYTES: PduType.IPV6_PREFIX}


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Payload PDUs of one version, back to back, between a Cache Response and an End of Data.

    Attributes:
        body: read-only octets, shared by all routers that are sent it.
        ipv4_bytes, ipv6_bytes, router_key_bytes: size of the first three sections; ASPAs are the rest.
    """

    body: memoryview
    ipv4_bytes: int = 0
    ipv6_bytes: int = 0
    router_key_bytes: int = 0


EMPTY_IMAGE = Image(memoryview(b""))


class SharedImage:
    """An image that many routers are sent, encoded when the first of them asks.

    `get` may take as long as the table is large: the caller decides on which thread. `ready` never waits.

    Args:
        encode: makes it.
        estimate: about how many octets it will have, 0 where nobody asks for that.
    """

    def __init__(self, encode: Callable[[], Image], estimate: int = 0) -> None:
        self._encode: Callable[[], Image] | None = encode
        self._estimate = estimate
        self.ready: Image | None = None

    @property
    def size(self) -> int:
        """How many octets it has; estimated as long as it is not encoded."""
        return self._estimate if self.ready is None else len(self.ready.body)

    def get(self) -> Image:
        """The image; encodes it unless that was done."""
        encode = self._encode
        if self.ready is None and encode is not None:
            self.ready = encode()
            self._encode = None  # with it goes the table
        assert self.ready is not None
        return self.ready


def encode_snapshot(version: Version, table: PayloadTable) -> Image:
    """The whole table, as the answer to a Reset Query carries it."""
    return _assemble(
        version,
        [(table.ipv4, True)],
        [(table.ipv6, True)],
        (Key(key, announce=True) for key in table.router_keys),
        (AspaAnnounce(aspa) for aspa in table.aspas),
    )


def encode_delta(version: Version, delta: Delta) -> Image:
    """A delta, as the answer to a Serial Query carries it; empty where the version sees none of the changes."""
    keys = delta.router_keys
    announced = [change for change in delta.aspas if change.new_provider_asns]
    withdrawn = [change for change in delta.aspas if not change.new_provider_asns]
    return _assemble(
        version,
        [(delta.ipv4.announce, True), (delta.ipv4.withdraw, False)],
        [(delta.ipv6.announce, True), (delta.ipv6.withdraw, False)],
        [*(Key(key, announce=True) for key in keys.announce), *(Key(key, announce=False) for key in keys.withdraw)],
        [
            *(AspaAnnounce(Aspa(change.customer_asn, change.new_provider_asns)) for change in announced),
            *(AspaWithdraw(change.customer_asn) for change in withdrawn),
        ],
    )


def is_visible(version: Version, delta: Delta) -> bool:
    """Whether a router of this version is told anything by the delta."""
    return bool(
        len(delta.ipv4)
        or len(delta.ipv6)
        or (len(delta.router_keys) and PduType.ROUTER_KEY in PDU_TYPES[version])
        or (len(delta.aspas) and PduType.ASPA in PDU_TYPES[version])
    )


def _assemble(
    version: Version,
    ipv4: list[tuple[Rows, bool]],
    ipv6: list[tuple[Rows, bool]],
    router_keys: Iterable[Key],
    aspas: Iterable[AspaAnnounce | AspaWithdraw],
) -> Image:
    known = PDU_TYPES[version]
    keys = b"".join(encode(version, key) for key in router_keys) if PduType.ROUTER_KEY in known else b""
    rest = b"".join(encode(version, aspa) for aspa in aspas) if PduType.ASPA in known else b""
    ipv4_bytes = sum(len(rows) for rows, _ in ipv4) * IPV4_PDU_BYTES
    ipv6_bytes = sum(len(rows) for rows, _ in ipv6) * IPV6_PDU_BYTES
    body = np.zeros(ipv4_bytes + ipv6_bytes + len(keys) + len(rest), np.uint8)
    end = 0
    for columns, pdu_bytes in ((ipv4, IPV4_PDU_BYTES), (ipv6, IPV6_PDU_BYTES)):
        for rows, announce in columns:
            start, end = end, end + len(rows) * pdu_bytes
            _fill_prefixes(body[start:end].reshape(len(rows), pdu_bytes), version, rows, announce=announce)
    body[end:] = np.frombuffer(keys + rest, np.uint8)
    body.flags.writeable = False
    return Image(body.data, ipv4_bytes, ipv6_bytes, len(keys))


def _fill_prefixes(pdus: NDArray[np.uint8], version: Version, rows: Rows, *, announce: bool) -> None:
    """Write one prefix PDU per row (see `codec.encode`) into a matrix of zeros, one PDU a line."""
    source = octets(rows)
    if announce:
        source = source[::-1]
    size = address_bytes(rows.dtype)
    pdus[:, 0] = version
    pdus[:, 1] = _PREFIX_TYPES[pdus.shape[1]]
    pdus[:, HEADER_BYTES - 1] = pdus.shape[1]
    pdus[:, 8] = ANNOUNCE if announce else 0
    pdus[:, 9] = source[:, size + 1]
    pdus[:, 10] = source[:, size]
    pdus[:, 12 : 12 + size] = source[:, :size]
    pdus[:, 12 + size :] = source[:, size + 2 :]
