"""The rights that the unit of systemd leaves are enough, and nothing is written but to the state folder."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tests.certificates import Authority
from tests.inputs import SMALL, visible, vrp
from tests.program import Program

SANDBOX = Path(__file__).parents[1] / "sandbox.py"
MORE = (*SMALL, vrp("203.0.113.128/25"))

if os.geteuid() == 0:  # only root can make the sandbox

    def test_everything_works_for_nobody_on_a_read_only_tree(tmp_path: Path) -> None:
        state, pem = tmp_path / "state", Authority(tmp_path / "ca").issue("cache", ["127.0.0.77"])
        state.mkdir()
        settings: dict[str, Any] = {"HOST": "127.0.0.77", "RTR_PORT": 323, "HTTP_TLS_CERT": pem, "HTTP_TLS_KEY": pem}
        with Program.idle(tmp_path, **settings) as program:
            program.prefix = (sys.executable, str(SANDBOX), str(state))
            program.start()
            status = Path(f"/proc/{program.pid}/status").read_text()
            assert "Uid:\t65534\t65534\t65534\t65534" in status
            assert "NoNewPrivs:\t1" in status
            with program.router() as router:
                assert router.sync().payload == visible(2, SMALL)
                program.load(MORE)
                router.expect_notify()
                assert router.sync().payload == visible(2, MORE)
                assert len(program.clients()) == 1
            assert program.command("accept").stdout == "nothing is held back\n"
            assert program.health() == (200, "ok")
            assert program.metrics()["process_start_time_seconds"] > 1e9
            program.signal(signal.SIGHUP)
            program.wait_for(partial(program.has_logged, "HTTP certificate reloaded"), what="the certificate is read")
            assert program.stop() == 0
            program.start()
            with program.router() as router:
                router.core.session_id, router.core.serial = None, 0
                assert router.sync().payload == visible(2, MORE)
            assert program.stop() == 0
            complaints = [line for line in program.events() if line["level"] not in ("debug", "info")]
            assert complaints == []
        assert {path.name for path in state.iterdir()} >= {"history.db", "lock"}
        assert all(path.owner() == "nobody" for path in state.iterdir())
        assert {path.name for path in tmp_path.iterdir()} == {"state", "ca", "rpki.json", "pyrtr.log"}
