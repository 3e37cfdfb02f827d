"""Who is turned away is always counted, and logged so often and no more."""

from __future__ import annotations

import pytest
from tests.quiet import Log

from pyrtr.server import refusals
from pyrtr.server.connection import Transport
from pyrtr.server.lines import WINDOW_S
from pyrtr.server.refusals import LINES_PER_WINDOW, Reason, Refusals


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(refusals, "get_logger", lambda: log)
    return log


def test_a_flood_is_counted_and_logged_at_a_bounded_rate(log: Log) -> None:
    now = 1000.0
    turned_away = Refusals(lambda: now)
    for number in range(500):
        now += 0.1
        turned_away.refuse(Transport.TLS, Reason.NO_CERTIFICATE, f"192.0.2.1:{number}")
    assert turned_away.counts == {(Transport.TLS, Reason.NO_CERTIFICATE): 500}
    assert len(log.lines) == LINES_PER_WINDOW
    now += WINDOW_S
    turned_away.refuse(Transport.TLS, Reason.NO_CERTIFICATE, "192.0.2.1:1")
    assert len(log.lines) == LINES_PER_WINDOW + 1
    assert log.lines[-1][2]["unlogged"] == 500 - LINES_PER_WINDOW


def test_reasons_and_transports_have_room_of_their_own(log: Log) -> None:
    turned_away = Refusals(lambda: 0.0)
    for reason in Reason:
        for transport in Transport:
            for _ in range(LINES_PER_WINDOW + 5):
                turned_away.refuse(transport, reason, "192.0.2.1:1")
    assert len(log.lines) == LINES_PER_WINDOW * len(Reason) * len(Transport)


def test_what_a_router_sent_can_not_break_a_line(log: Log) -> None:
    Refusals().refuse(Transport.TLS, Reason.HANDSHAKE_FAILED, "192.0.2.1:1", "a\nb\x1b[2J")
    assert log.lines[0][2]["detail"] == "a\\nb\\x1b[2J"
