"""What a strict router accepts as a PDU of a cache, read with nothing but `struct` (RFC 6810, RFC 8210, 8210bis).

It shares no code with `pyrtr.wire`, so that both cannot make the same mistake. Whatever the texts forbid a cache to
send is a `RouterComplaint` that names the section.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from itertools import pairwise

HEADER_BYTES = 8
MAX_PDU_BYTES = 65535

SERIAL_NOTIFY, SERIAL_QUERY, RESET_QUERY, CACHE_RESPONSE, IPV4, IPV6 = 0, 1, 2, 3, 4, 6
END_OF_DATA, CACHE_RESET, ROUTER_KEY, ERROR_REPORT, ASPA = 7, 8, 9, 10, 11

# Type: (name, lowest version that has it, shortest length by version, longest length by version).
_ANY = (MAX_PDU_BYTES,) * 3
CACHE_PDUS: dict[int, tuple[str, int, tuple[int, int, int], tuple[int, int, int]]] = {
    SERIAL_NOTIFY: ("Serial Notify", 0, (12, 12, 12), (12, 12, 12)),
    CACHE_RESPONSE: ("Cache Response", 0, (8, 8, 8), (8, 8, 8)),
    IPV4: ("IPv4 Prefix", 0, (20, 20, 20), (20, 20, 20)),
    IPV6: ("IPv6 Prefix", 0, (32, 32, 32), (32, 32, 32)),
    END_OF_DATA: ("End of Data", 0, (12, 24, 24), (12, 24, 24)),
    CACHE_RESET: ("Cache Reset", 0, (8, 8, 8), (8, 8, 8)),
    ROUTER_KEY: ("Router Key", 1, (34, 34, 34), _ANY),
    ERROR_REPORT: ("Error Report", 0, (16, 16, 16), _ANY),
    ASPA: ("ASPA", 2, (12, 12, 12), _ANY),
}
HIGHEST_CODE = {0: 7, 1: 8, 2: 13}
NON_FATAL_CODES = {0: {2}, 1: {2}, 2: {2, 4, 12}}
GENERIC_CODES = {1, 2, 10, 12, 13}  # about no PDU of the router's, so without a copy

Payload = tuple[object, ...]


class RouterComplaint(AssertionError):  # noqa: N818 - it is a complaint
    """The cache sent what the protocol forbids."""


def require(condition: object, complaint: str, *details: object) -> None:
    """Complain unless the condition holds; the details fill the complaint's places."""
    if not condition:
        raise RouterComplaint(complaint % details if details else complaint)


@dataclass(slots=True)  # not frozen, which would double the time that a large table takes
class Pdu:
    """One PDU of a cache, all fields checked that can be checked without knowing the conversation.

    Attributes:
        session_id: of Serial Notify, Cache Response and End of Data.
        serial: of Serial Notify and End of Data.
        timing: refresh, retry, expire of End of Data; None in version 0.
        announce: the flag of a payload PDU.
        payload: ("vrp", prefix, max length, ASN), ("key", SKI, ASN, SPKI) or ("aspa", customer, providers).
        order: ascending strictly from payload PDU to payload PDU of one response (8210bis §11.2).
        code, copy, text: of an Error Report.
    """

    version: int
    type: int
    session_id: int = 0
    serial: int = 0
    timing: tuple[int, int, int] | None = None
    announce: bool = False
    payload: Payload = ()
    order: tuple[object, ...] = field(default=(), repr=False)
    code: int = 0
    copy: bytes = b""
    text: str = ""

    @property
    def name(self) -> str:
        return CACHE_PDUS[self.type][0]

    @property
    def is_fatal(self) -> bool:
        return self.type == ERROR_REPORT and self.code not in NON_FATAL_CODES[self.version]


def pdu_length(header: bytes) -> int:
    """The length of the PDU that starts with these 8 octets, once they are known to be a cache's to send."""
    version, kind, _, length = struct.unpack("!BBHI", header)
    require(version in HIGHEST_CODE, "§5.1: version %s does not exist", version)
    require(kind in CACHE_PDUS, "§5: type %s is not a PDU that a cache may send", kind)
    name, first_version, shortest, longest = CACHE_PDUS[kind]
    require(version >= first_version, "§7: %s does not exist in version %s", name, version)
    is_sound = shortest[version] <= length <= longest[version]
    require(is_sound, "§5: %s of %s octets in version %s", name, length, version)
    return int(length)


def parse(data: bytes) -> Pdu:
    """One PDU of a cache, cut by `pdu_length`."""
    return _PARSERS[data[1]](data[0], data)


def _zero(data: bytes, name: str) -> None:
    require(not any(data), "§5: reserved octets of %s are %r", name, data)


def _flags(octet: int, name: str) -> bool:
    require(octet in (0, 1), "§5.1: flags of %s are %#x, only bit 0 is defined", name, octet)
    return octet == 1


def _parse_notify(version: int, data: bytes) -> Pdu:
    session_id, serial = struct.unpack("!2xH4xI", data)
    return Pdu(version, SERIAL_NOTIFY, session_id, serial)


def _parse_response(version: int, data: bytes) -> Pdu:
    return Pdu(version, CACHE_RESPONSE, int.from_bytes(data[2:4]))


def _parse_reset(version: int, data: bytes) -> Pdu:
    _zero(data[2:4], "Cache Reset")
    return Pdu(version, CACHE_RESET)


def _parse_prefix(version: int, data: bytes) -> Pdu:
    kind, address, asn = data[1], data[12:-4], int.from_bytes(data[-4:])
    length, max_length, bits = data[9], data[10], 8 * len(address)
    name = f"{_text(address)}/{length}"
    _zero(data[2:4] + data[11:12], name)
    announce = _flags(data[8], name)
    require(length <= bits, "§5.9: prefix length of %s", name)
    require(length <= max_length <= bits, "§5.9: max length %s of %s", max_length, name)
    number = int.from_bytes(address)
    require(number & ((1 << bits - length) - 1) == 0, "§5.9: host bits of %s", name)
    order = (number, max_length, length, asn)
    return Pdu(
        version,
        kind,
        announce=announce,
        payload=("vrp", name, max_length, asn),
        order=(kind, not announce, tuple(-value for value in order) if announce else order),
    )


def _text(address: bytes) -> str:
    # The C library is fast, and writes as `ipaddress` does but for the lowest IPv6 addresses, where it uses dots.
    if len(address) == 4:
        return socket.inet_ntop(socket.AF_INET, address)
    return socket.inet_ntop(socket.AF_INET6, address) if any(address[:10]) else str(IPv6Address(address))


def _parse_end_of_data(version: int, data: bytes) -> Pdu:
    session_id, serial = struct.unpack_from("!2xH4xI", data)
    if version == 0:
        return Pdu(version, END_OF_DATA, session_id, serial)
    refresh, retry, expire = struct.unpack_from("!III", data, 12)
    require(1 <= refresh <= 86400, f"§6: Refresh Interval {refresh}")
    require(1 <= retry <= 7200, f"§6: Retry Interval {retry}")
    require(600 <= expire <= 172800, f"§6: Expire Interval {expire}")
    require(expire > max(refresh, retry), f"§6: Expire {expire} is not above Refresh {refresh} and Retry {retry}")
    return Pdu(version, END_OF_DATA, session_id, serial, (refresh, retry, expire))


def _parse_key(version: int, data: bytes) -> Pdu:
    ski, (asn,), spki = data[8:28], struct.unpack_from("!I", data, 28), data[32:]
    announce = _flags(data[2], f"router key {ski.hex()}")
    _zero(data[3:4], f"router key {ski.hex()}")
    require(spki[0] == 0x30 and _der_length(spki) == len(spki), "§5.11: the SPKI is not one whole DER SEQUENCE")
    order = (ROUTER_KEY, not announce, (ski, len(spki), spki, asn))
    return Pdu(version, ROUTER_KEY, announce=announce, payload=("key", ski, asn, spki), order=order)


def _der_length(data: bytes) -> int:
    size_bytes = data[1] & 0x7F if data[1] & 0x80 else 0
    return 2 + size_bytes + (int.from_bytes(data[2 : 2 + size_bytes]) if size_bytes else data[1])


def _parse_aspa(version: int, data: bytes) -> Pdu:
    require(len(data) % 4 == 0, f"§5.12: ASPA of {len(data)} octets")
    customer, *providers = struct.unpack(f"!{len(data) // 4 - 2}I", data[8:])
    name = f"ASPA of AS{customer}"
    announce = _flags(data[2], name)
    _zero(data[3:4], name)
    require(customer, f"§5.12: {name}")
    require(announce == bool(providers), f"§5.12: {name}, announce {announce}, with {len(providers)} providers")
    require(all(low < high for low, high in pairwise(providers)), f"§5.12: providers of {name}: {providers}")
    require(providers[:1] != [0] or len(providers) == 1, f"§5.12: AS0 in company in {name}: {providers}")
    order = (ASPA, not announce, customer)
    return Pdu(version, ASPA, announce=announce, payload=("aspa", customer, tuple(providers)), order=order)


def _parse_error_report(version: int, data: bytes) -> Pdu:
    code, copy_bytes = struct.unpack_from("!2xH4xI", data)
    require(code <= HIGHEST_CODE[version], f"§12: error code {code} in version {version}")
    require(copy_bytes <= len(data) - 16, f"§5.8: a copy of {copy_bytes} octets in a report of {len(data)}")
    copy, rest = data[12 : 12 + copy_bytes], data[12 + copy_bytes :]
    text = rest[4:]
    require(int.from_bytes(rest[:4]) == len(text), f"§5.8: text length {int.from_bytes(rest[:4])}, not {len(text)}")
    require(not copy or len(copy) >= 4, f"§5.8: a copy of {len(copy)} octets")
    require(copy[1:2] != bytes([ERROR_REPORT]), "§5.8: an Error Report about an Error Report")
    require(not copy or code not in GENERIC_CODES, f"§5.8: a generic error {code} with a copy")
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise RouterComplaint(f"§5.8: the text is not UTF-8: {text!r}") from error
    require("\0" not in decoded, f"§5.8: NUL in the text {decoded!r}")
    return Pdu(version, ERROR_REPORT, code=code, copy=copy, text=decoded)


_PARSERS: dict[int, Callable[[int, bytes], Pdu]] = {
    SERIAL_NOTIFY: _parse_notify,
    CACHE_RESPONSE: _parse_response,
    IPV4: _parse_prefix,
    IPV6: _parse_prefix,
    END_OF_DATA: _parse_end_of_data,
    CACHE_RESET: _parse_reset,
    ROUTER_KEY: _parse_key,
    ERROR_REPORT: _parse_error_report,
    ASPA: _parse_aspa,
}
