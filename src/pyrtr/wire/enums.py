"""The protocol's numbers: versions, PDU types and error codes, and what each version knows of them.

Version 0 is RFC 6810, version 1 RFC 8210, version 2 draft-ietf-sidrops-8210bis ("8210bis").
"""

from enum import IntEnum
from types import MappingProxyType


class Version(IntEnum):
    """Protocol versions that can be spoken."""

    V0 = 0
    V1 = 1
    V2 = 2


class PduType(IntEnum):
    """PDU types (8210bis §14); 5 was never assigned, 255 is reserved."""

    SERIAL_NOTIFY = 0
    SERIAL_QUERY = 1
    RESET_QUERY = 2
    CACHE_RESPONSE = 3
    IPV4_PREFIX = 4
    IPV6_PREFIX = 6
    END_OF_DATA = 7
    CACHE_RESET = 8
    ROUTER_KEY = 9
    ERROR_REPORT = 10
    ASPA = 11


class ErrorCode(IntEnum):
    """Error codes (8210bis §12)."""

    CORRUPT_DATA = 0
    INTERNAL_ERROR = 1
    NO_DATA_AVAILABLE = 2
    INVALID_REQUEST = 3
    UNSUPPORTED_PROTOCOL_VERSION = 4
    UNSUPPORTED_PDU_TYPE = 5
    WITHDRAWAL_OF_UNKNOWN_RECORD = 6
    DUPLICATE_ANNOUNCEMENT_RECEIVED = 7
    UNEXPECTED_PROTOCOL_VERSION = 8
    ASPA_PROVIDER_LIST_ERROR = 9
    TRANSPORT_FAILURE = 10
    ORDERING_ERROR = 11
    CACHE_RESTART = 12
    CACHE_SHUTDOWN = 13


ANNOUNCE = 1  # bit 0 of Flags; the other bits are zero

# A type outside its version's set is an unknown type there (RFC 8210 §14, 8210bis §14).
PDU_TYPES = MappingProxyType(
    {
        Version.V0: frozenset(PduType) - {PduType.ROUTER_KEY, PduType.ASPA},
        Version.V1: frozenset(PduType) - {PduType.ASPA},
        Version.V2: frozenset(PduType),
    }
)

# 8210bis §12: a code is only sent in the versions that define it.
HIGHEST_ERROR_CODE = MappingProxyType(
    {
        Version.V0: ErrorCode.DUPLICATE_ANNOUNCEMENT_RECEIVED,
        Version.V1: ErrorCode.UNEXPECTED_PROTOCOL_VERSION,
        Version.V2: ErrorCode.CACHE_SHUTDOWN,
    }
)

# Codes that do not end the session (RFC 6810 §10, RFC 8210 §12, 8210bis §12).
NON_FATAL_ERROR_CODES = MappingProxyType(
    {
        Version.V0: frozenset({ErrorCode.NO_DATA_AVAILABLE}),
        Version.V1: frozenset({ErrorCode.NO_DATA_AVAILABLE}),
        Version.V2: frozenset(
            {ErrorCode.NO_DATA_AVAILABLE, ErrorCode.UNSUPPORTED_PROTOCOL_VERSION, ErrorCode.CACHE_RESTART}
        ),
    }
)
