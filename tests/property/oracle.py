"""What pyRTR has to agree with: plain sets, a strict router, and the total order as the draft tells it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from tests.examples import Payload

from pyrtr.payload.order import vrps_of
from pyrtr.payload.table import PayloadTable
from pyrtr.payload.values import VRP, Aspa, RouterKey
from pyrtr.wire.codec import decode
from pyrtr.wire.enums import Version
from pyrtr.wire.framer import Framer
from pyrtr.wire.pdu import AspaAnnounce, AspaWithdraw, Key, Pdu, Prefix

FIRST_VERSION = {VRP: 0, RouterKey: 1, Aspa: 2}


class Router:
    """Holds payload as sets do, and takes no PDU that a strict router would refuse."""

    def __init__(self, payload: Iterable[Payload] = (), version: Version = Version.V2) -> None:
        seen = [value for value in payload if version >= FIRST_VERSION[type(value)]]
        self.records: set[VRP | RouterKey] = {value for value in seen if not isinstance(value, Aspa)}
        self.aspas: dict[int, Aspa] = {value.customer_asn: value for value in seen if isinstance(value, Aspa)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Router) and (self.records, self.aspas) == (other.records, other.aspas)

    def __repr__(self) -> str:
        return f"{type(self).__name__} with {self.payload}"

    __hash__ = None  # type: ignore[assignment]

    @property
    def payload(self) -> set[Payload]:
        return {*self.records, *self.aspas.values()}

    def receive(self, pdu: Pdu) -> None:
        match pdu:
            case Prefix(record, announce=True) | Key(record, announce=True):
                assert record not in self.records, "Duplicate Announcement Received"
                self.records.add(record)
            case Prefix(record, announce=False) | Key(record, announce=False):
                assert record in self.records, "Withdrawal of Unknown Record"
                self.records.remove(record)
            case AspaAnnounce(aspa):
                self.aspas[aspa.customer_asn] = aspa
            case AspaWithdraw(customer_asn):
                assert customer_asn in self.aspas, "Withdrawal of Unknown Record"
                del self.aspas[customer_asn]
            case _:
                raise AssertionError(f"{pdu} is no payload")


def payload_of(table: PayloadTable) -> list[Payload]:
    return [*vrps_of(table.ipv4), *vrps_of(table.ipv6), *table.router_keys, *table.aspas]


def read_pdus(version: Version, octets: bytes | memoryview) -> list[Pdu]:
    """The PDUs of a stream that ends with one, all of one version."""
    framer, pdus = Framer(), []
    framer.feed(bytes(octets))
    while header := framer.header():
        data = framer.take(header.length)
        assert data is not None, "the stream ends within a PDU"
        pdu_version, pdu = decode(data)
        assert pdu_version is version
        pdus.append(pdu)
    assert len(framer) == 0, "the stream ends within a header"
    return pdus


def order_key(pdu: Pdu) -> tuple[object, ...]:
    """8210bis §11.2: ascending PDU type; announcements precede withdrawals; then what each type compares."""
    match pdu:
        case Prefix(vrp, announce):
            pdu_type = {4: 4, 6: 6}[vrp.prefix.version]
            numbers = (int(vrp.prefix.network_address), vrp.max_length, vrp.prefix.prefixlen, vrp.asn)
            # §11.2.1: "Data elements with a higher addr value precede…" when announced, lower when withdrawn
            return (pdu_type, 0, *(-number for number in numbers)) if announce else (pdu_type, 1, *numbers)
        case Key(key, announce):
            return (9, 0 if announce else 1, key.ski, len(key.spki), key.spki, key.asn)
        case AspaAnnounce(aspa):
            return (11, 0, aspa.customer_asn)
        case AspaWithdraw(customer_asn):
            return (11, 1, customer_asn)
        case _:
            raise AssertionError(f"{pdu} is no payload")


def assert_total_order(pdus: list[Pdu]) -> None:
    keys = [order_key(pdu) for pdu in pdus]
    for before, after in pairwise(keys):
        assert before < after, "Ordering Error"
