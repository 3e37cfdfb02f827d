"""Tells routers that come back again and again because they do not understand our ASPAs.

Before draft -14 of 8210bis an ASPA PDU looked different, and some routers still expect that: they end the session, and
come back soon, for ever.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from pyrtr.logs import get_logger
from pyrtr.wire.enums import ErrorCode, Version

if TYPE_CHECKING:
    from pyrtr.server.connection import Connection
    from pyrtr.server.peers import Address

# A session that ends within a minute, so many in a row.
SHORT_SESSION_S = 60.0
MIN_SHORT_SESSIONS = 3
MAX_ADDRESSES = 1024
_CODES = frozenset({ErrorCode.CORRUPT_DATA, ErrorCode.ASPA_PROVIDER_LIST_ERROR})


class Advice:
    """Looks at how sessions end."""

    def __init__(self) -> None:
        self._short_sessions: OrderedDict[Address, int] = OrderedDict()
        self._log = get_logger()

    def ended(self, connection: Connection, address: Address, lasted_s: float) -> None:
        """A router is gone: log what to do if it is likely to have stumbled over ASPAs, at most once for each row."""
        session = connection.session
        if session.version is not Version.V2 or not session.full_responses:
            return
        report = session.error_received
        has_refused = connection.is_reset if report is None else report.code in _CODES
        if not has_refused or lasted_s > SHORT_SESSION_S:
            self._short_sessions.pop(address, None)
            return
        count = self._short_sessions.pop(address, 0) + 1
        self._short_sessions[address] = count
        if len(self._short_sessions) > MAX_ADDRESSES:
            self._short_sessions.popitem(last=False)
        if count == MIN_SHORT_SESSIONS:
            self._log.warning(
                "router may not know the ASPAs of this version",
                router=connection.address,
                sessions=count,
                cure=f"VERSION_CAPS={address}=1",
            )
