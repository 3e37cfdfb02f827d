"""Session ids: random, different for each version, and kept for as long as serials continue (RFC 8210 §5.1).

Version 0 gets a new one at every start, and the former ones hold as well. GoBGP speaks only version 0, asks for the
whole table whenever it reconnects, and forgets what it held before only if the session id is another one: with the same
one it would keep what was withdrawn while it was away. A router that comes back with a Serial Query is answered in the
session that it names, with the delta.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from pyrtr.wire.enums import Version

SessionIds = Mapping[Version, tuple[int, ...]]

MAX_FORMER = 256


def new_session_ids() -> SessionIds:
    """One for each version, all different."""
    chosen = secrets.SystemRandom().sample(range(2**16), len(Version))
    return {version: (session_id,) for version, session_id in zip(Version, chosen, strict=True)}


def restarted(session_ids: SessionIds) -> SessionIds:
    """What they are after a restart."""
    taken = {session_id for former in session_ids.values() for session_id in former}
    fresh = secrets.choice([session_id for session_id in range(2**16) if session_id not in taken])
    return {**session_ids, Version.V0: (fresh, *session_ids[Version.V0][:MAX_FORMER])}
