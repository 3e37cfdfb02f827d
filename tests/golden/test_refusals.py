"""Octets that are no PDU, and the error code that says so."""

from __future__ import annotations

import pytest

from pyrtr.wire.codec import decode
from pyrtr.wire.enums import ErrorCode
from pyrtr.wire.errors import ProtocolError

CORRUPT = ErrorCode.CORRUPT_DATA
VERSION = ErrorCode.UNSUPPORTED_PROTOCOL_VERSION
TYPE = ErrorCode.UNSUPPORTED_PDU_TYPE
LIST = ErrorCode.ASPA_PROVIDER_LIST_ERROR

SKI = "00112233445566778899aabbccddeeff01234567"
ADDRESS = "20010db8 00000000 00000000 00000000"

REFUSED = [
    # No whole header
    ("nothing", "", CORRUPT),
    ("seven octets", "02 02 0000 000000", CORRUPT),
    # Versions, looked at before anything else
    ("version 3", "03 02 0000 00000008", VERSION),
    ("version 255 of no known type", "ff ff 0000 00000008", VERSION),
    ("HTTP", "474554202f20485454502f312e310d0a", VERSION),
    # Types, looked at before lengths
    ("type 5", "01 05 0000 00000008", TYPE),
    ("type 12", "02 0c 0000 00000008", TYPE),
    ("type 255", "02 ff 0000 00000008", TYPE),
    ("type 255 of no length", "02 ff 0000 00000000", TYPE),
    ("router key in version 0", f"00 09 01 00 00000022 {SKI} 0000fbf0 3000", TYPE),
    ("aspa in version 0", "00 0b 01 00 00000010 0000fbf0 0000fbf1", TYPE),
    ("aspa in version 1", "01 0b 01 00 00000010 0000fbf0 0000fbf1", TYPE),
    # A length field that says something else
    ("length 0", "02 02 0000 00000000", CORRUPT),
    ("length 7", "02 02 0000 00000007", CORRUPT),
    ("length of 4 GiB", "02 02 0000 ffffffff", CORRUPT),
    ("length without the header", "02 01 1234 00000004 00000007", CORRUPT),
    # Lengths that a type does not have
    ("serial notify of 8", "02 00 1234 00000008", CORRUPT),
    ("serial query of 8", "02 01 1234 00000008", CORRUPT),
    ("serial query of 16", "02 01 1234 00000010 00000007 00000000", CORRUPT),
    ("reset query of 12", "02 02 0000 0000000c 00000000", CORRUPT),
    ("cache response of 12", "02 03 1234 0000000c 00000007", CORRUPT),
    ("ipv4 of 8", "02 04 0000 00000008", CORRUPT),
    ("ipv4 of 32", f"02 04 0000 00000020 01 18 18 00 {ADDRESS} 0000fbf0", CORRUPT),
    ("ipv6 of 20", "02 06 0000 00000014 01 18 18 00 c0000200 0000fbf0", CORRUPT),
    ("end of data of 8", "02 07 1234 00000008", CORRUPT),
    ("end of data of version 0 with timing", "00 07 1234 00000018 00000007 00000e10 00000258 00001c20", CORRUPT),
    ("end of data of version 1 without", "01 07 1234 0000000c 00000007", CORRUPT),
    ("end of data of version 2 without", "02 07 1234 0000000c 00000007", CORRUPT),
    ("end of data of version 2 with two intervals", "02 07 1234 00000014 00000007 00000e10 00000258", CORRUPT),
    ("cache reset of 12", "02 08 0000 0000000c 00000000", CORRUPT),
    # Prefixes
    ("ipv4 prefix length 33", "02 04 0000 00000014 01 21 21 00 c0000200 0000fbf0", CORRUPT),
    ("ipv4 prefix length 255", "02 04 0000 00000014 01 ff ff 00 c0000200 0000fbf0", CORRUPT),
    ("ipv4 max length 33", "02 04 0000 00000014 01 18 21 00 c0000200 0000fbf0", CORRUPT),
    ("ipv4 max length below prefix length", "02 04 0000 00000014 01 18 17 00 c0000200 0000fbf0", CORRUPT),
    ("ipv4 host bits", "02 04 0000 00000014 01 18 18 00 c0000201 0000fbf0", CORRUPT),
    ("ipv4 host bits of a withdrawal", "00 04 0000 00000014 00 00 00 00 80000000 0000fbf0", CORRUPT),
    ("ipv6 prefix length 129", f"02 06 0000 00000020 01 81 81 00 {ADDRESS} 0000fbf0", CORRUPT),
    ("ipv6 max length 129", f"02 06 0000 00000020 01 20 81 00 {ADDRESS} 0000fbf0", CORRUPT),
    ("ipv6 max length below prefix length", f"02 06 0000 00000020 01 20 1f 00 {ADDRESS} 0000fbf0", CORRUPT),
    ("ipv6 host bits", f"02 06 0000 00000020 01 1c 1c 00 {ADDRESS} 0000fbf0", CORRUPT),
    # Router keys
    ("router key of 8", "02 09 01 00 00000008", CORRUPT),
    ("router key without asn", f"02 09 01 00 0000001c {SKI}", CORRUPT),
    ("router key without spki", f"02 09 01 00 00000020 {SKI} 0000fbf0", CORRUPT),
    ("router key of a SET", f"02 09 01 00 00000022 {SKI} 0000fbf0 3100", CORRUPT),
    ("router key cut", f"01 09 01 00 00000024 {SKI} 0000fbf0 30030201", CORRUPT),
    ("router key with a tail", f"01 09 00 00 00000023 {SKI} 0000fbf0 300000", CORRUPT),
    # ASPAs; 8210bis §5.12, §12: an incorrect list of providers has a code of its own
    ("aspa without customer", "02 0b 01 00 00000008", CORRUPT),
    ("aspa with half a provider", "02 0b 01 00 0000000e 0000fbf0 0000", CORRUPT),
    ("aspa of customer 0", "02 0b 01 00 00000010 00000000 0000fbf1", CORRUPT),
    ("aspa announced without providers", "02 0b 01 00 0000000c 0000fbf0", LIST),
    ("aspa of as0 in company", "02 0b 01 00 00000014 0000fbf0 00000000 0000fbf1", LIST),
    ("aspa of as0 at the end", "02 0b 01 00 00000014 0000fbf0 0000fbf1 00000000", LIST),
    ("aspa of a provider twice", "02 0b 01 00 00000014 0000fbf0 0000fbf1 0000fbf1", LIST),
    ("aspa of descending providers", "02 0b 01 00 00000014 0000fbf0 80000000 0000fbf1", LIST),
    ("aspa withdrawn with providers", "02 0b 00 00 00000010 0000fbf0 0000fbf1", LIST),
    # Error Reports
    ("error report of 8", "02 0a 0000 00000008", CORRUPT),
    ("error report without text length", "02 0a 0000 0000000c 00000000", CORRUPT),
    ("error report of half a copy length", "02 0a 0000 0000000a 0000", CORRUPT),
    ("error report with too long a copy", "02 0a 0000 00000014 00000005 01020304 00000000", CORRUPT),
    ("error report with a copy of 4 GiB", "02 0a 0000 00000010 ffffffff 00000000", CORRUPT),
    ("error report with too long a text", "02 0a 0000 00000013 00000000 00000004 637574", CORRUPT),
    ("error report with too short a text", "02 0a 0000 00000013 00000000 00000002 637574", CORRUPT),
    ("error report with a text of 4 GiB", "02 0a 0000 00000010 00000000 ffffffff", CORRUPT),
]


@pytest.mark.parametrize(("octets", "code"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_refused(octets, code):
    data = bytes.fromhex(octets)
    with pytest.raises(ProtocolError) as caught:
        decode(data)
    assert caught.value.code is code
    assert caught.value.erroneous_pdu == data
    assert caught.value.text
