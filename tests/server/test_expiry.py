"""The real program takes payload away when its own time is over, without another look at the source."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tests.inputs import NEVER, SMALL, Payload, aspa, router_key, rpki_client_json, vrp
from tests.model_core import identity
from tests.program import Program, ago

LATE_S = 2.0
GROUPS = (
    (vrp("192.0.2.128/25"), aspa(64499, 64500)),
    (vrp("198.51.100.128/25", 64499), router_key(9)),
    (vrp("2001:db8:9::/48"),),
)


def document(expires: Mapping[Payload, int]) -> bytes:
    """A file in which each entry has its own end."""
    whole = rpki_client_json((), build_time=ago(0))
    for payload, end in expires.items():
        for kind, records in rpki_client_json([payload], expires=end).items():
            known = whole[kind]
            if isinstance(known, list) and isinstance(records, list):
                known += records
    return json.dumps(whole).encode()


def test_entries_leave_at_their_own_time(tmp_path: Path) -> None:
    """Three groups, three serials, each within two seconds of its end and none before it."""
    with Program(tmp_path, RELOAD=86400) as program, program.router() as router:
        router.sync()
        now = int(time.time())
        ends = [now + 3, now + 5, now + 7]
        expires = dict.fromkeys(SMALL, NEVER)
        expires |= {payload: end for group, end in zip(GROUPS, ends, strict=True) for payload in group}
        program.load_bytes(document(expires))
        program.wait_for(lambda: router.sync().payload == expires.keys(), what="the groups are there")
        serial = router.serial
        for count, (group, end) in enumerate(zip(GROUPS, ends, strict=True), start=1):
            sync = program.wait_for(partial(news, router.sync), what="a group has left")
            late_s = time.time() - end
            assert set(map(identity, sync.withdrawn)) == set(map(identity, group))
            assert sync.announced == []
            assert 0 <= late_s < LATE_S, f"{late_s:.3f} s after its time"
            assert sync.serial == (serial + count) % 2**32
        assert router.payload == set(SMALL)
        assert (router.full_syncs, router.core.cache_resets) == (1, 0)


def news(sync: object) -> object:
    """What an answer brings, None if that is nothing."""
    assert callable(sync)
    answer = sync()
    return answer if answer.pdus else None


def test_what_ends_while_the_program_is_down_is_not_served(tmp_path: Path) -> None:
    """After a restart without a source the state is served, but for what has ended meanwhile."""
    with Program(tmp_path) as program, program.router() as router:
        router.sync()
        end = int(time.time()) + 3
        program.load_bytes(document(dict.fromkeys(SMALL, NEVER) | dict.fromkeys(GROUPS[0], end)))
        program.wait_for(lambda: router.sync().payload == {*SMALL, *GROUPS[0]}, what="the group is there")
        router.close()
        program.stop()
        program.file.unlink()
        time.sleep(max(0.0, end - time.time()))
        program.start()
        router.reconnect()
        sync = router.sync()
        assert set(map(identity, sync.withdrawn)) == set(map(identity, GROUPS[0]))
        assert (router.payload, router.full_syncs) == (set(SMALL), 1)
