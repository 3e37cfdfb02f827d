"""A protocol error carries what its Error Report needs."""

from pyrtr.errors import PyrtrError
from pyrtr.wire.enums import ErrorCode
from pyrtr.wire.errors import ProtocolError


def test_a_protocol_error():
    error = ProtocolError(ErrorCode.INVALID_REQUEST, "only a cache sends End of Data", b"\x01\x07")
    assert isinstance(error, PyrtrError)
    assert (error.code, error.text, error.erroneous_pdu) == (3, "only a cache sends End of Data", b"\x01\x07")


def test_a_generic_protocol_error_has_no_pdu():
    assert ProtocolError(ErrorCode.INTERNAL_ERROR, "").erroneous_pdu == b""
