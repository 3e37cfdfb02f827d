"""What a peer did wrong, in a form that is answered in one line."""

from __future__ import annotations

from pyrtr.errors import PyrtrError
from pyrtr.wire.enums import ErrorCode


class ProtocolError(PyrtrError):
    """A peer sent what RTR forbids.

    Attributes:
        code: the error code that says so (8210bis §12).
        erroneous_pdu: the octets to copy into the Error Report; empty where the error is generic.
    """

    def __init__(self, code: ErrorCode, text: str, erroneous_pdu: bytes = b"") -> None:
        super().__init__(text)
        self.code = code
        self.erroneous_pdu = erroneous_pdu

    @property
    def text(self) -> str:
        """What is wrong, in English, for the Error Report and the log."""
        return str(self)
