"""The payload PDUs of one response, as the querying side takes them: octets until End of Data, then all at once.

A million PDUs never become a million objects: they are kept as they came, and prefixes are checked and applied as
columns. The outcome is what it would be one by one: a record may come and go by turns within a response, and whatever
a turn can't be true of is the fault that 8210bis §12 has a code for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pyrtr.payload.delta import AspaChange, Delta, KeyChanges, RowChanges, apply, contains
from pyrtr.payload.order import IPV4_ROW, IPV6_ROW, Rows, address_bytes, has_host_bits
from pyrtr.payload.table import NOTHING, PayloadTable
from pyrtr.payload.values import Aspa, RouterKey
from pyrtr.wire.codec import decode
from pyrtr.wire.enums import ANNOUNCE, PDU_TYPES, ErrorCode, PduType, Version
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.framer import HEADER_BYTES, MAX_PDU_BYTES
from pyrtr.wire.image import IPV4_PDU_BYTES, IPV6_PDU_BYTES
from pyrtr.wire.pdu import AspaAnnounce, AspaWithdraw, Key, Prefix

# Twenty times the table of 2026, and the cache's word alone is no reason to keep more.
MAX_RESPONSE_BYTES = 2**29
# Router keys and ASPAs do become objects; this is a hundred times what there is of them.
MAX_OBJECTS = 2**20

# Shortest and longest PDU of each payload type: known as soon as the header is there.
PAYLOAD_BYTES: Mapping[int, tuple[int, int]] = MappingProxyType(
    {
        PduType.IPV4_PREFIX: (IPV4_PDU_BYTES, IPV4_PDU_BYTES),
        PduType.IPV6_PREFIX: (IPV6_PDU_BYTES, IPV6_PDU_BYTES),
        PduType.ROUTER_KEY: (34, MAX_PDU_BYTES),  # an SPKI has two octets at least
        PduType.ASPA: (12, MAX_PDU_BYTES),
    }
)

_HEADER = struct.Struct("!BBxxI")
_LENGTH = struct.Struct("!4xI")
_ROWS = {PduType.IPV4_PREFIX: IPV4_ROW, PduType.IPV6_PREFIX: IPV6_ROW}


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a response makes of a table.

    Attributes:
        table: the new one.
        delta: the changes from the table before.
        is_ordered: whether the payload came in the total order of 8210bis §11.2.
    """

    table: PayloadTable
    delta: Delta
    is_ordered: bool


class Response:
    """What came between a Cache Response and its End of Data.

    Attributes:
        size: octets of payload so far.
    """

    def __init__(self, version: Version) -> None:
        self._version = version
        self._bounds = {kind: bounds for kind, bounds in PAYLOAD_BYTES.items() if kind in PDU_TYPES[version]}
        self._octets = {kind: bytearray() for kind in PAYLOAD_BYTES}
        self.size = 0
        self._last_kind = 0
        self._is_ordered = True

    def consume(self, data: bytearray, start: int) -> int:
        """Take whole payload PDUs of this version from `start` on.

        Returns:
            Where something else begins, or a PDU that is not whole yet.

        Raises:
            ProtocolError: Corrupt Data for a length that the type can't have; Internal Error when it is too much.
        """
        at = run_start = start
        end, run_kind = len(data), 0
        with memoryview(data) as view:
            while end - at >= HEADER_BYTES:
                version, kind, length = _HEADER.unpack_from(data, at)
                bounds = self._bounds.get(kind)
                if bounds is None or version != self._version:
                    break
                if not bounds[0] <= length <= bounds[1]:
                    text = f"{PduType(kind).name} with length field {length}: expected {bounds[0]}..{bounds[1]}"
                    raise ProtocolError(ErrorCode.CORRUPT_DATA, text, bytes(view[at : at + HEADER_BYTES]))
                if length > end - at:
                    break
                if kind != run_kind:
                    self._keep(run_kind, view, run_start, at)
                    run_kind, run_start = kind, at
                at += length
            self._keep(run_kind, view, run_start, at)
        return at

    def _keep(self, kind: int, view: memoryview, start: int, end: int) -> None:
        """Append PDUs of one type."""
        if start == end:
            return
        self.size += end - start
        if self.size > MAX_RESPONSE_BYTES:
            raise ProtocolError(ErrorCode.INTERNAL_ERROR, f"a response of more than {MAX_RESPONSE_BYTES} octets")
        self._is_ordered &= kind >= self._last_kind
        self._last_kind = kind
        self._octets[PduType(kind)] += view[start:end]

    def apply(self, base: PayloadTable | None) -> Outcome:
        """What the payload makes of a table. To be called once: the octets are gone afterwards.

        Args:
            base: the table that a Serial Query named; None for the answer to a Reset Query.

        Raises:
            ProtocolError: Withdrawal of Unknown Record, Duplicate Announcement Received, ASPA Provider List Error, or
                Corrupt Data for host bits, a max length or an SPKI that can't be; with the PDU that is wrong.
        """
        is_full = base is None
        table = NOTHING if base is None else base
        delta = Delta(
            ipv4=self._row_changes(PduType.IPV4_PREFIX, table.ipv4, is_full=is_full),
            ipv6=self._row_changes(PduType.IPV6_PREFIX, table.ipv6, is_full=is_full),
            router_keys=self._key_changes(table, is_full=is_full),
            aspas=self._aspa_changes(table, is_full=is_full),
        )
        return Outcome(apply(table, delta), delta, self._is_ordered)

    def _row_changes(self, kind: PduType, base: Rows, *, is_full: bool) -> RowChanges:
        octets = self._octets.pop(kind)
        pdu_bytes = PAYLOAD_BYTES[kind][0]
        pdus = np.frombuffer(octets, np.uint8).reshape(-1, pdu_bytes)

        def fault(index: int, code: ErrorCode) -> ProtocolError:
            return _fault(code, bytes(octets[index * pdu_bytes : (index + 1) * pdu_bytes]))

        if (wrong := _first(~_are_prefixes(kind, pdus))) is not None:
            raise fault(wrong, ErrorCode.CORRUPT_DATA)
        announce = (pdus[:, 8] & ANNOUNCE).astype(np.bool_)
        if is_full and (wrong := _first(~announce)) is not None:
            raise fault(wrong, ErrorCode.WITHDRAWAL_OF_UNKNOWN_RECORD)
        rows = _rows(kind, pdus)
        self._is_ordered &= _are_ordered(rows, announce)
        if len(rows) == 0:
            return RowChanges(rows, rows)

        # Stable, so that equal rows stand in the order in which they came. Each has to do what the last did not.
        order = np.argsort(rows, kind="stable")
        rows, signs = rows[order], announce[order]
        is_start = np.concatenate(([True], rows[1:] != rows[:-1]))
        starts = np.flatnonzero(is_start)
        is_held = np.empty(len(rows), np.bool_)
        is_held[1:] = signs[:-1]
        is_held[starts] = contains(base, rows[starts])
        if (wrong_places := order[is_held == signs]).size:
            wrong = int(wrong_places.min())
            is_twice = announce[wrong]
            code = ErrorCode.DUPLICATE_ANNOUNCEMENT_RECEIVED if is_twice else ErrorCode.WITHDRAWAL_OF_UNKNOWN_RECORD
            raise fault(wrong, code)
        balance = np.add.reduceat(np.where(signs, 1, -1), starts)
        rows = rows[starts]
        return RowChanges(announce=rows[balance > 0], withdraw=rows[balance < 0])

    def _key_changes(self, base: PayloadTable, *, is_full: bool) -> KeyChanges:
        before = frozenset(base.router_keys)
        changed: dict[RouterKey, bool] = {}
        order: list[tuple[object, ...]] = []
        for data in self._each(PduType.ROUTER_KEY):
            _, pdu = decode(data)
            assert isinstance(pdu, Key)
            key, is_held = pdu.router_key, changed.get(pdu.router_key, pdu.router_key in before)
            if pdu.announce and is_held:
                raise _fault(ErrorCode.DUPLICATE_ANNOUNCEMENT_RECEIVED, data)
            if not pdu.announce and (is_full or not is_held):
                raise _fault(ErrorCode.WITHDRAWAL_OF_UNKNOWN_RECORD, data)
            changed[key] = pdu.announce
            order.append((not pdu.announce, key.sort_key))
        self._is_ordered &= _is_ascending(order)
        return KeyChanges(
            announce=tuple(key for key, is_held in changed.items() if is_held and key not in before),
            withdraw=tuple(key for key, is_held in changed.items() if not is_held and key in before),
        )

    def _aspa_changes(self, base: PayloadTable, *, is_full: bool) -> tuple[AspaChange, ...]:
        before = {aspa.customer_asn: aspa.provider_asns for aspa in base.aspas}
        after: dict[int, tuple[int, ...]] = {}
        announced: set[int] = set()
        order: list[tuple[object, ...]] = []
        for data in self._each(PduType.ASPA):
            _, pdu = decode(data)
            match pdu:
                case AspaAnnounce(aspa):
                    # §5.12: an announcement replaces the customer's former one, but of two in a response one is wrong.
                    if aspa.customer_asn in announced:
                        raise _fault(ErrorCode.DUPLICATE_ANNOUNCEMENT_RECEIVED, data)
                    announced.add(aspa.customer_asn)
                    after[aspa.customer_asn] = aspa.provider_asns
                    order.append((False, aspa.customer_asn))
                case AspaWithdraw(customer_asn):
                    if is_full or not after.get(customer_asn, before.get(customer_asn)):
                        raise _fault(ErrorCode.WITHDRAWAL_OF_UNKNOWN_RECORD, data)
                    after[customer_asn] = ()
                    order.append((True, customer_asn))
                case _:
                    raise AssertionError(f"{pdu} among the ASPAs")
        self._is_ordered &= _is_ascending(order)
        return tuple(
            AspaChange(customer, old, new)
            for customer, new in sorted(after.items())
            if new != (old := before.get(customer, ()))
        )

    def _each(self, kind: PduType) -> Iterator[bytes]:
        """The PDUs of one type, one by one."""
        octets = self._octets.pop(kind)
        at = count = 0
        while at < len(octets):
            (length,) = _LENGTH.unpack_from(octets, at)
            count += 1
            if count > MAX_OBJECTS:
                raise ProtocolError(ErrorCode.INTERNAL_ERROR, f"more than {MAX_OBJECTS} PDUs of type {kind.name}")
            yield bytes(octets[at : at + length])
            at += length


def _are_prefixes(kind: PduType, pdus: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """For each PDU, whether its prefix and max length can be (8210bis §5.9, §5.10: no host bits)."""
    size = address_bytes(_ROWS[kind])
    lengths, max_lengths = pdus[:, 9], pdus[:, 10]
    are_lengths = (lengths <= max_lengths) & (max_lengths <= size * 8)
    return are_lengths & ~has_host_bits(pdus[:, 12 : 12 + size], np.minimum(lengths, size * 8))


def _rows(kind: PduType, pdus: NDArray[np.uint8]) -> Rows:
    """Prefix PDUs as rows (see `payload.order`), in the order in which they came."""
    row_type = _ROWS[kind]
    size = address_bytes(row_type)
    rows = np.empty((len(pdus), row_type.itemsize), np.uint8)
    rows[:, :size] = pdus[:, 12 : 12 + size]
    rows[:, size] = pdus[:, 10]
    rows[:, size + 1] = pdus[:, 9]
    rows[:, size + 2 :] = pdus[:, 12 + size :]
    return rows.reshape(-1).view(row_type)


def _are_ordered(rows: Rows, announce: NDArray[np.bool_]) -> bool:
    """8210bis §11.2.1: announcements first and descending, then withdrawals, ascending."""
    comes, goes = rows[announce], rows[~announce]
    return bool(announce[: len(comes)].all() and (comes[:-1] > comes[1:]).all() and (goes[:-1] < goes[1:]).all())


def _is_ascending(keys: list[tuple[object, ...]]) -> bool:
    return all(low < high for low, high in pairwise(keys))


def _first(flags: NDArray[np.bool_]) -> int | None:
    """The first place where it holds."""
    return int(flags.argmax()) if flags.any() else None


def _fault(code: ErrorCode, data: bytes) -> ProtocolError:
    """What is wrong with one payload PDU, in words."""
    try:
        _, pdu = decode(data)
    except ProtocolError as error:  # the value itself can't be
        return error
    what = code.name.replace("_", " ").capitalize()
    match pdu:
        case Prefix(vrp):
            what += f": {vrp.prefix} up to /{vrp.max_length} of AS{vrp.asn}"
        case Key(key):
            what += f": router key {key.ski.hex()} of AS{key.asn}"
        case AspaAnnounce(Aspa(customer_asn)) | AspaWithdraw(customer_asn):
            what += f": ASPA of AS{customer_asn}"
        case _:
            pass
    return ProtocolError(code, what, data)
