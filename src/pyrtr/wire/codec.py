"""Values to PDU bytes and back, for versions 0, 1 and 2 (RFC 6810 §5, RFC 8210 §5, 8210bis §5).

All integers are big-endian. Every PDU starts with the header that `framer.Header` shows; the layouts below begin at
offset 8. Reserved fields are sent as zero and ignored on receipt, but where a decoder would have to guess.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network

from pyrtr.errors import PayloadError
from pyrtr.payload.values import SKI_BYTES, VRP, Aspa, ProviderListError, RouterKey
from pyrtr.wire.enums import ANNOUNCE, PDU_TYPES, ErrorCode, PduType, Version
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.framer import HEADER_BYTES, MAX_PDU_BYTES
from pyrtr.wire.pdu import (
    AspaAnnounce,
    AspaWithdraw,
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorReport,
    Key,
    Pdu,
    Prefix,
    ResetQuery,
    SerialNotify,
    SerialQuery,
    Timing,
)

MAX_ERROR_TEXT_BYTES = 1024  # ours are a sentence; what a router wrote into a name that we quote may be longer

_HEADER = struct.Struct("!BBHI")
_FLAGS_HEADER = struct.Struct("!BBBxI")
_SERIAL = struct.Struct("!I")
_TIMING = struct.Struct("!III")
_IPV4 = struct.Struct("!BBBx4sI")
_IPV6 = struct.Struct("!BBBx16sI")
_KEY = struct.Struct(f"!{SKI_BYTES}sI")


def encode(version: Version, pdu: Pdu) -> bytes:
    """One PDU as bytes.

    Type                    octets from offset 8
    Serial Notify, Query    serial (4); session id in the header
    Reset Query, Reset      none
    Cache Response          none; session id in the header
    IPv4, IPv6 Prefix       flags (1), prefix length (1), max length (1), zero (1), prefix (4 or 16), ASN (4)
    End of Data             serial (4); in versions 1 and 2 also refresh (4), retry (4), expire (4)
    Router Key              SKI (20), ASN (4), SPKI; flags at offset 2
    Error Report            E (4), copy of the erroneous PDU (E), T (4), text (T); error code in the header
    ASPA                    customer ASN (4), provider ASNs (4 each); flags at offset 2

    Raises:
        ValueError: if `version` has no such PDU, or End of Data has timing in version 0 or none in the others.
    """
    match pdu:
        case SerialNotify(session_id, serial):
            return _frame(version, PduType.SERIAL_NOTIFY, session_id, _SERIAL.pack(serial))
        case SerialQuery(session_id, serial):
            return _frame(version, PduType.SERIAL_QUERY, session_id, _SERIAL.pack(serial))
        case ResetQuery():
            return _frame(version, PduType.RESET_QUERY, 0)
        case CacheResponse(session_id):
            return _frame(version, PduType.CACHE_RESPONSE, session_id)
        case Prefix(vrp, announce):
            is_ipv4 = vrp.prefix.version == 4
            layout, pdu_type = (_IPV4, PduType.IPV4_PREFIX) if is_ipv4 else (_IPV6, PduType.IPV6_PREFIX)
            address = vrp.prefix.network_address.packed
            body = layout.pack(announce, vrp.prefix.prefixlen, vrp.max_length, address, vrp.asn)
            return _frame(version, pdu_type, 0, body)
        case EndOfData(session_id, serial, timing):
            if (timing is None) is not (version is Version.V0):
                raise ValueError(f"End of Data of version {version} with timing {timing}")
            intervals = b"" if timing is None else _TIMING.pack(timing.refresh, timing.retry, timing.expire)
            return _frame(version, PduType.END_OF_DATA, session_id, _SERIAL.pack(serial) + intervals)
        case CacheReset():
            return _frame(version, PduType.CACHE_RESET, 0)
        case Key(key, announce):
            body = _KEY.pack(key.ski, key.asn) + key.spki
            return _frame_with_flags(version, PduType.ROUTER_KEY, announce, body)
        case ErrorReport(code, erroneous_pdu, text):
            return _frame(version, PduType.ERROR_REPORT, code, _error_report_body(erroneous_pdu, text))
        case AspaAnnounce(aspa):
            body = struct.pack(f"!{1 + len(aspa.provider_asns)}I", aspa.customer_asn, *aspa.provider_asns)
            return _frame_with_flags(version, PduType.ASPA, True, body)
        case AspaWithdraw(customer_asn):
            return _frame_with_flags(version, PduType.ASPA, False, _SERIAL.pack(customer_asn))


def decode(data: bytes) -> tuple[Version, Pdu]:
    """One whole PDU, as a framer hands it out, of a version that we speak.

    Raises:
        ProtocolError: Unsupported Protocol Version, Unsupported PDU Type, ASPA Provider List Error, or Corrupt Data
            for other lengths and values outside their limits; always with `data` as the erroneous PDU.
    """
    if len(data) < HEADER_BYTES:
        raise ProtocolError(ErrorCode.CORRUPT_DATA, f"a PDU of {len(data)} octets has no whole header", data)
    version_number, type_number, field, length = _HEADER.unpack_from(data)
    if version_number not in PDU_TYPES:
        text = f"version {version_number} is not spoken"
        raise ProtocolError(ErrorCode.UNSUPPORTED_PROTOCOL_VERSION, text, data)
    version = Version(version_number)
    if type_number not in PDU_TYPES[version]:
        text = f"PDU type {type_number} does not exist in version {version}"
        raise ProtocolError(ErrorCode.UNSUPPORTED_PDU_TYPE, text, data)
    if length != len(data) or length > MAX_PDU_BYTES:
        raise ProtocolError(ErrorCode.CORRUPT_DATA, f"length field {length} on a PDU of {len(data)} octets", data)
    try:
        return version, _DECODERS[PduType(type_number)](version, field, data[HEADER_BYTES:])
    except (struct.error, PayloadError, ValueError) as error:
        # 8210bis §12: Corrupt Data is what no other error code specifies.
        is_list_error = isinstance(error, ProviderListError)
        code = ErrorCode.ASPA_PROVIDER_LIST_ERROR if is_list_error else ErrorCode.CORRUPT_DATA
        name = PduType(type_number).name.replace("_", " ").title()
        raise ProtocolError(code, f"{name} of {length} octets: {error}", data) from error


def _frame(version: Version, pdu_type: PduType, field: int, body: bytes = b"") -> bytes:
    _require(version, pdu_type)
    return _HEADER.pack(version, pdu_type, field, HEADER_BYTES + len(body)) + body


def _frame_with_flags(version: Version, pdu_type: PduType, announce: bool, body: bytes) -> bytes:
    _require(version, pdu_type)
    return _FLAGS_HEADER.pack(version, pdu_type, announce, HEADER_BYTES + len(body)) + body


def _require(version: Version, pdu_type: PduType) -> None:
    if pdu_type not in PDU_TYPES[version]:
        raise ValueError(f"version {version} has no PDU type {pdu_type.name}")


def _error_report_body(erroneous_pdu: bytes, text: str) -> bytes:
    # 8210bis §5.8: the copy is cut where the report would not fit a PDU; the text is cut between characters.
    encoded = text.encode("utf-8", "replace")[:MAX_ERROR_TEXT_BYTES].decode("utf-8", "ignore").encode()
    copy = erroneous_pdu[: MAX_PDU_BYTES - HEADER_BYTES - 8 - len(encoded)]
    return _SERIAL.pack(len(copy)) + copy + _SERIAL.pack(len(encoded)) + encoded


def _decode_prefix(_version: Version, _field: int, body: bytes, layout: struct.Struct) -> Prefix:
    flags, prefix_length, max_length, address, asn = layout.unpack(body)
    network = IPv4Network if layout is _IPV4 else IPv6Network
    return Prefix(VRP(network((address, prefix_length)), max_length, asn), bool(flags & ANNOUNCE))


def _decode_end_of_data(version: Version, session_id: int, body: bytes) -> EndOfData:
    (serial,) = _SERIAL.unpack(body[:4])
    if version is Version.V0:
        _empty(body[4:])
        return EndOfData(session_id, serial, None)
    return EndOfData(session_id, serial, Timing(*_TIMING.unpack(body[4:])))


def _decode_router_key(_version: Version, field: int, body: bytes) -> Key:
    ski, asn = _KEY.unpack_from(body)
    return Key(RouterKey(ski, asn, body[_KEY.size :]), bool(field >> 8 & ANNOUNCE))


def _decode_aspa(_version: Version, field: int, body: bytes) -> AspaAnnounce | AspaWithdraw:
    customer_asn, *provider_asns = struct.unpack(f"!{len(body) // 4}I", body)
    if field >> 8 & ANNOUNCE:
        return AspaAnnounce(Aspa(customer_asn, tuple(provider_asns)))
    if provider_asns:
        raise ProviderListError(f"withdrawal of AS{customer_asn} with {len(provider_asns)} providers")
    return AspaWithdraw(customer_asn)


def _decode_error_report(_version: Version, code: int, body: bytes) -> ErrorReport:
    (copy_bytes,) = _SERIAL.unpack_from(body)
    if copy_bytes > len(body) - 8:
        raise PayloadError(f"copy of {copy_bytes} octets does not fit")
    (text_bytes,) = _SERIAL.unpack_from(body, 4 + copy_bytes)
    text = body[8 + copy_bytes :]
    if text_bytes != len(text):
        raise PayloadError(f"text of {text_bytes} octets where {len(text)} are left")
    return ErrorReport(code, body[4 : 4 + copy_bytes], text.decode("utf-8", "replace"))


def _empty(body: bytes) -> None:
    if body:
        raise PayloadError(f"{len(body)} octets too many")


def _decode_reset_query(_version: Version, _field: int, body: bytes) -> ResetQuery:
    _empty(body)
    return ResetQuery()


def _decode_cache_reset(_version: Version, _field: int, body: bytes) -> CacheReset:
    _empty(body)
    return CacheReset()


def _decode_cache_response(_version: Version, session_id: int, body: bytes) -> CacheResponse:
    _empty(body)
    return CacheResponse(session_id)


_DECODERS: dict[PduType, Callable[[Version, int, bytes], Pdu]] = {
    PduType.SERIAL_NOTIFY: lambda _, session_id, body: SerialNotify(session_id, *_SERIAL.unpack(body)),
    PduType.SERIAL_QUERY: lambda _, session_id, body: SerialQuery(session_id, *_SERIAL.unpack(body)),
    PduType.RESET_QUERY: _decode_reset_query,
    PduType.CACHE_RESPONSE: _decode_cache_response,
    PduType.IPV4_PREFIX: lambda version, field, body: _decode_prefix(version, field, body, _IPV4),
    PduType.IPV6_PREFIX: lambda version, field, body: _decode_prefix(version, field, body, _IPV6),
    PduType.END_OF_DATA: _decode_end_of_data,
    PduType.CACHE_RESET: _decode_cache_reset,
    PduType.ROUTER_KEY: _decode_router_key,
    PduType.ERROR_REPORT: _decode_error_report,
    PduType.ASPA: _decode_aspa,
}
