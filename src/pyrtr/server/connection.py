"""The transport of one conversation: drives a `CacheSession`, and knows nothing of the protocol itself."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never, cast

from pyrtr.logs import get_logger, printable
from pyrtr.server.lines import WINDOW_S
from pyrtr.server.peers import Peer, owner_of
from pyrtr.server.pump import Pump
from pyrtr.session.actions import Action, Close, Note, Parting, Respond, Send
from pyrtr.session.cache import CacheSession, Phase
from pyrtr.wire.enums import ErrorCode
from pyrtr.wire.errors import ProtocolError
from pyrtr.wire.image import Image

if TYPE_CHECKING:
    from pyrtr.server.registry import Registry


class Transport(StrEnum):
    """What carries a conversation."""

    TCP = "tcp"
    TLS = "tls"
    SSH = "ssh"


# How long a router may take to read our last words and close its side. Closing at once, with octets of the router's
# unread, would send a reset, which can overtake and destroy them.
LINGER_S = 5.0

# What may be handed over at once. TLS and SSH encrypt it into a copy, and keep that for a router that does not read.
SLICE_BYTES = {Transport.TCP: 2**20, Transport.TLS: 2**16, Transport.SSH: 2**16}


class Connection(asyncio.Protocol):
    """One router's connection.

    Attributes:
        session: the conversation.
        transport: what carries it.
        peer: the router; `address` is its "ADDR:PORT".
        connected_at: Unix time.
        bytes_received, bytes_sent: octets, the latter as they were handed to the transport.
        full_sync_s, delta_sync_s: how long the last response of either kind took, None before the first.
        synced_at: Unix time of the last End of Data, None before the first.
        close_reason: why it ends; empty while nobody decided.
        parting: the same in one word; None while it lasts.
        is_reset: whether the router has reset it.
    """

    def __init__(
        self, registry: Registry, session: CacheSession, transport: Transport, peer: Peer, left: Callable[[], None]
    ) -> None:
        self.session = session
        self.transport = transport
        self.peer = peer
        self.address = peer.name
        self.connected_at = time.time()
        self.bytes_received = 0
        self.bytes_sent = 0
        self.full_sync_s: float | None = None
        self.delta_sync_s: float | None = None
        self.synced_at: float | None = None
        self.close_reason = ""
        self.parting: Parting | None = None
        self.is_reset = False
        self._left = left
        self._registry = registry
        self._publisher = registry.publisher
        self._loop = asyncio.get_running_loop()
        self._log = get_logger()
        self._logged_from = 0.0
        self._actions: deque[Action] = deque()
        self._response: Respond | None = None
        self._response_started = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._has_eof = False
        self._is_lost = False
        self._is_going_on = False
        self._transport: asyncio.Transport
        self._pump: Pump

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast("asyncio.Transport", transport)
        self._log = self._log.bind(router=self.address)
        self._pump = Pump(self._transport, self._slice_bytes, self._pumped)
        self._registry.add(self)
        if (unlogged := self._registry.arrivals.unlogged_before(owner_of(self.peer.address))) is None:
            self._logged_from = self._loop.time() + WINDOW_S
        else:
            self._log.info("router connected", transport=self.transport, unlogged=unlogged)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        self.bytes_received += len(data)
        self._perform(self.session.receive(data, self._publisher.current, self._loop.time()))

    def eof_received(self) -> bool:  # noqa: D102
        # A router may close its sending side and still wait for the answer.
        self._has_eof = True
        self._close_when_idle()
        return self.transport is not Transport.TLS  # which ends both directions at once, after what it was handed

    def pause_writing(self) -> None:  # noqa: D102
        self.session.blocked(self._publisher.current, self._loop.time())
        self._pump.pause()

    def resume_writing(self) -> None:  # noqa: D102
        self.session.progressed(self._publisher.current, self._loop.time())
        self._pump.resume()
        self._perform([])

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        if self._timer is not None:
            self._timer.cancel()
        self._is_lost = True
        self._pump.stop()
        self._actions.clear()
        reason = self.close_reason or (f"connection lost: {exc}" if exc else "closed by the router")
        self.parting = (
            self.session.parting or self.parting or (Parting.CONNECTION_LOST if exc else Parting.ROUTER_CLOSED)
        )
        self._registry.sending.discard(self)
        self.is_reset = isinstance(exc, ConnectionResetError)
        self._registry.remove(self)
        self._left()
        if self._is_logged:
            self._log.info("router disconnected", reason=printable(reason), parting=self.parting)

    @property
    def _is_logged(self) -> bool:
        """Whether it may be spoken of: one of too many from its address has to last first (see `Registry.arrivals`)."""
        return self._loop.time() >= self._logged_from

    # What the server asks

    def notify(self) -> None:
        """Something new was published."""
        self._perform(self.session.notify(self._publisher.current, self._loop.time()))

    def leave(self, farewell: ErrorCode | None, reason: str) -> None:
        """Routers are no longer served: finish what is under way, say farewell, and close."""
        self._perform(self.session.leave(farewell, reason))

    def abort(self, reason: str) -> None:
        """End it now, whatever is lost: the program has no more time."""
        self.close_reason = self.close_reason or reason
        self.parting = self.parting or Parting.STOPPING
        self._transport.abort()

    # What the session asks

    def _perform(self, actions: list[Action]) -> None:
        if self._is_lost:  # a turn that was due when the connection was lost: there is nobody to answer
            return
        self._actions.extend(actions)
        if any(isinstance(action, Close) and action.abort for action in actions):
            self._give_up()
        while self._actions and self._response is None:
            match self._actions.popleft():
                case Send(data):
                    self._write(data)
                case Respond() as response:
                    self._respond(response)
                case Note(event, fields, is_warning):
                    log = self._log.warning if is_warning else self._log.debug
                    if self._is_logged:
                        log(event, **fields)
                case Close(reason, abort):
                    self._close(reason, abort=abort)
                case other:
                    assert_never(other)
        self._go_on_later()
        self._control_reading()
        self._arm_timer()
        self._close_when_idle()

    def _go_on_later(self) -> None:
        """Work off what was received beyond one turn, when others have had theirs and the router takes our answers."""
        if self.session.has_more and not self._is_going_on and not self._pump.is_paused:
            self._is_going_on = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_going_on = False
        self._perform(self.session.proceed(self._publisher.current, self._loop.time()))

    def _give_up(self) -> None:
        """Nothing that waits can arrive any more, so nothing waits for it."""
        self._response = None
        self._registry.sending.discard(self)
        self._pump.stop()
        self._actions = deque(action for action in self._actions if isinstance(action, Note | Close))

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():  # as in the pump
            self.bytes_sent += len(data)
            self._transport.write(data)

    def _respond(self, response: Respond) -> None:
        self._response = response
        self._response_started = self._loop.time()
        if response.image.ready is not None:
            self._send_response(response.image.ready)
        else:
            self._publisher.encode(response.image).add_done_callback(self._encoded)

    def _encoded(self, future: asyncio.Future[Image]) -> None:
        if self._response is None or self._transport.is_closing() or future.cancelled():
            return  # given up meanwhile
        error = future.exception()
        if error is None:
            self._send_response(future.result())
            return
        self._log.error("encoding failed", error=repr(error))
        self._response = None
        self._perform(self.session.fail(ProtocolError(ErrorCode.INTERNAL_ERROR, "the answer can't be made")))

    def _send_response(self, image: Image) -> None:
        assert self._response is not None
        head, tail = self._response.head, self._response.tail
        self._registry.sending.add(self)
        self.bytes_sent += len(head) + len(image.body) + len(tail)
        self._pump.start(head, image.body, tail)

    def _slice_bytes(self) -> int:
        return min(SLICE_BYTES[self.transport], self._registry.slice_bytes(self))

    def _pumped(self) -> None:
        """The response has been handed over to the transport."""
        response, self._response = self._response, None
        if response is None:  # given up meanwhile
            return
        self._registry.sending.discard(self)
        seconds = self._loop.time() - self._response_started
        if response.is_full:
            self.full_sync_s = seconds
        else:
            self.delta_sync_s = seconds
        self.synced_at = time.time()
        kind = "full" if response.is_full else "delta"
        self._registry.syncs[kind].observe(seconds)
        actions = self.session.responded(self._publisher.current, self._loop.time())
        held = self.session.held
        serial = None if held is None else held.serial
        self._log.debug("router synced", kind=kind, serial=serial, seconds=round(seconds, 3))
        self._perform(actions)
        self._registry.synced(self)

    def _close(self, reason: str, *, abort: bool) -> None:
        self.close_reason = self.close_reason or reason
        if self._transport.is_closing():
            return
        if abort and (self._pump.is_cut or self._pump.is_paused):  # else all was handed over, and can arrive
            self._transport.abort()
        elif self._has_eof or self.transport is not Transport.TCP:
            self._transport.close()  # TLS and SSH tell the router, and give it as long to answer
        else:
            self._transport.write_eof()
            self._loop.call_later(LINGER_S, self._transport.abort)

    def _close_when_idle(self) -> None:
        is_waiting = self.session.has_more or self.session.phase is Phase.WAITING
        is_idle = self._response is None and not self._actions and not is_waiting
        if self._has_eof and is_idle and not self._transport.is_closing():
            self.close_reason = self.close_reason or "closed by the router"
            self.parting = Parting.ROUTER_CLOSED
            self._transport.close()

    def _control_reading(self) -> None:
        if self._transport.is_closing() or self._has_eof:
            return
        # A closed session reads on, to throw away what still comes (see LINGER_S).
        # A router that does not take our answers is not read from: they would pile up.
        if (self.session.wants_input and not self._pump.is_paused) or self.close_reason:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _arm_timer(self) -> None:
        deadline = self.session.deadline
        if deadline is None or (self._timer is not None and self._timer.when() <= deadline):
            return  # a timer that fires too early is armed again then
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        self._perform(self.session.timer(self._publisher.current, self._loop.time()))
