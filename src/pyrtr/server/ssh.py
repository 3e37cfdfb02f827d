"""RTR over SSH (8210bis §9.1): the subsystem `rpki-rtr`, for routers that log in with a key or a password.

There is nothing else: no shell, command, terminal, forwarding or agent, and nobody comes in without logging in.
"""

from __future__ import annotations

import asyncio
import os
import socket
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import asyncssh
from cryptography.utils import CryptographyDeprecationWarning

from pyrtr.errors import PyrtrError
from pyrtr.logs import get_logger
from pyrtr.server.connection import LINGER_S, Connection, Transport
from pyrtr.server.passwords import PasswordError, Passwords, read_passwords
from pyrtr.server.peers import Peer
from pyrtr.server.refusals import Reason
from pyrtr.server.registry import Registry
from pyrtr.server.turns import Turns

SUBSYSTEM = "rpki-rtr"
# From the connection to the end of the login, and from there to the subsystem.
LOGIN_TIMEOUT_S = 20.0
SESSION_TIMEOUT_S = 20.0
MAX_LOGINS = 1024
MAX_LOGINS_PER_ADDRESS = 256
MAX_PASSWORDS = 3
MAX_SESSIONS = 4
# asyncssh works packet by packet, at some 30 us each: so much in one turn, since others want theirs. It holds what any
# router sends at once.
SLICE_BYTES = 2**12
# What is sent before the login. One with a dozen large keys takes half of it.
MAX_LOGIN_BYTES = 2**15
# Answers to a router that has begun to exchange keys anew, and sends other things all the same.
MAX_DEFERRED = 64
# A router sends queries of twelve octets.
WINDOW_BYTES = 2**16
MAX_PACKET_BYTES = 2**15

KEY_EXCHANGES = (
    "mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
)  # fmt: skip
CIPHERS = (
    "chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes192-ctr",
    "aes128-ctr",
)  # fmt: skip
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
SIGNATURES = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip
# What releases of IOS-XR know that are in use; only on request.
OLD_KEY_EXCHANGES = (
    "diffie-hellman-group16-sha512", "diffie-hellman-group14-sha256", "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1", "diffie-hellman-group1-sha1",
)  # fmt: skip
OLD_CIPHERS = ("aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc")
OLD_MACS = ("hmac-sha1",)
OLD_SIGNATURES = ("ssh-rsa",)
_OLD_HOST_KEY_BITS = 3072


class SshError(PyrtrError):
    """A key or a file of them can't be used."""


@dataclass(frozen=True, slots=True)
class SshFiles:
    """What SSH is served with.

    Attributes:
        host_key: our keys; made if the file is missing.
        authorized_keys: those of routers, as OpenSSH has them; None for none.
        passwords: `user:password-hash` lines; None for none.
    """

    host_key: Path
    authorized_keys: Path | None
    passwords: Path | None


@dataclass(frozen=True, slots=True)
class _Identity:
    """What the files held when they were read: used whole, or not at all."""

    options: asyncssh.SSHServerConnectionOptions
    passwords: Passwords | None


class SshDoor:
    """Takes in routers over SSH.

    Args:
        files: read now, and by `reload`.
        registry: of the routers that come in.
        with_old_algorithms: whether those are offered, too, that are known to be weak.

    Raises:
        SshError, PasswordError: the files can't be used.
    """

    transport = Transport.SSH

    def __init__(self, files: SshFiles, registry: Registry, *, with_old_algorithms: bool) -> None:
        self._files = files
        self._registry = registry
        self._with_old_algorithms = with_old_algorithms
        if with_old_algorithms:  # the library would say on stderr that they are old
            warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)
        if not files.host_key.exists():
            _make_host_key(files.host_key, with_old_algorithms=with_old_algorithms)
        self._identity = self._read()
        self._turns = Turns(MAX_LOGINS, MAX_LOGINS_PER_ADDRESS)
        # One look at a password at a time, and one of each address waits: who guesses delays those who know.
        self._password_turns = Turns(1, 1)
        self._password_thread = ThreadPoolExecutor(1, thread_name_prefix="password")

    def reload(self) -> None:
        """Read the files again, for routers that connect from now on; files that can't be used change nothing."""
        try:
            self._identity = self._read()
        except (SshError, PasswordError) as error:
            get_logger().error("ssh keys not reloaded: the former ones stay in use", reason=str(error))
        else:
            get_logger().info("ssh keys reloaded")

    async def enter(self, router: socket.socket, peer: Peer) -> None:
        """Let a router log in, or turn it away."""
        async with self._turns.turn(peer.address):
            loop = asyncio.get_running_loop()
            carrier = _Carrier(loop, self._identity.options, self, peer)
            await loop.connect_accepted_socket(lambda: carrier, router)
            await carrier.is_decided.wait()

    async def is_password(self, peer: Peer, user: str, password: str) -> bool:
        """Whether it is the password of this user; takes its time, and none of the event loop's."""
        passwords = self._identity.passwords
        if passwords is None:
            return False
        async with self._password_turns.turn(peer.address):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._password_thread, passwords.fit, user, password)

    def connect(self, peer: Peer) -> Connection:
        """A connection for a session that has just begun."""
        return self._registry.connect(self.transport, peer)

    def refuse(self, reason: Reason, peer: Peer, detail: str) -> None:
        """Somebody did not get in."""
        self._registry.refusals.refuse(self.transport, reason, peer.name, detail)

    def _read(self) -> _Identity:
        files = self._files
        passwords = None if files.passwords is None else read_passwords(files.passwords)
        old = self._with_old_algorithms
        try:
            host_keys = asyncssh.read_private_key_list(files.host_key)
        except (OSError, asyncssh.KeyImportError) as error:
            raise SshError(f"SSH_HOST_KEY={files.host_key}: {_words(error)}") from error
        if not host_keys:
            raise SshError(f"SSH_HOST_KEY={files.host_key}: no private key; without the file one is made")
        authorized = None
        if files.authorized_keys is not None:
            try:
                authorized = asyncssh.read_authorized_keys(files.authorized_keys)
            except (OSError, ValueError) as error:
                raise SshError(f"SSH_AUTHORIZED_KEYS={files.authorized_keys}: {_words(error)}") from error
        options = asyncssh.SSHServerConnectionOptions(
            server_factory=_Visitor,
            server_host_keys=host_keys,
            authorized_client_keys=authorized,
            public_key_auth=authorized is not None,
            password_auth=passwords is not None,
            host_based_auth=False,
            kbdint_auth=False,
            gss_host=None,
            allow_pty=False,
            line_editor=False,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_scp=False,
            compression_algs=None,
            kex_algs=KEY_EXCHANGES + (OLD_KEY_EXCHANGES if old else ()),
            encryption_algs=CIPHERS + (OLD_CIPHERS if old else ()),
            mac_algs=MACS + (OLD_MACS if old else ()),
            signature_algs=SIGNATURES + (OLD_SIGNATURES if old else ()),
            login_timeout=LOGIN_TIMEOUT_S,
            server_version="pyRTR",
        )
        return _Identity(options, passwords)


class _Carrier(asyncssh.SSHServerConnection):
    """One SSH connection. asyncssh reads and writes on whatever TCP takes; here it waits, as the pump does.

    Attributes:
        door: by which it came.
        peer: who it is.
        is_decided: whether the login has succeeded, or failed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: asyncssh.SSHServerConnectionOptions,
        door: SshDoor,
        peer: Peer,
    ) -> None:
        super().__init__(loop, options)
        self.door = door
        self.peer = peer
        self.is_decided = asyncio.Event()
        self._is_stalled = False
        self._heard_bytes = 0
        self._unread = bytearray()
        self._is_reading_on = False

    @property
    def takes_data(self) -> bool:
        """Whether what is sent now leaves at once: while keys are exchanged again it would pile up."""
        return self._kex_complete and not self._is_stalled

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=1, low=0)
        super().connection_made(transport)

    def data_received(self, data: bytes, datatype: int | None = None) -> None:  # noqa: ARG002
        self._heard_bytes += len(data)
        if not self._auth_complete and self._heard_bytes > MAX_LOGIN_BYTES:
            text = f"{self._heard_bytes} octets before the login: expected at most {MAX_LOGIN_BYTES}"
            self.connection_lost(asyncssh.ProtocolError(text))
            return
        self._unread += data
        if not self._is_reading_on:
            self._read_on()

    def _read_on(self) -> None:
        """Take a slice of what has come, and the next in another turn; none while our answers are not taken."""
        self._is_reading_on = False
        if self._is_stalled:
            return
        part = bytes(self._unread[:SLICE_BYTES])
        del self._unread[:SLICE_BYTES]
        super().data_received(part)
        if len(self._deferred_packets) > MAX_DEFERRED:
            text = f"more than {MAX_DEFERRED} answers wait for a key exchange to end"
            self.connection_lost(asyncssh.ProtocolError(text))
        if self._transport is None or self._transport.is_closing():
            self._unread.clear()
        elif self._unread:
            self._transport.pause_reading()
            self._is_reading_on = True
            self._loop.call_soon(self._read_on)
        elif not self._is_stalled:
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self._is_stalled = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_stalled = False
        self._go_on()
        if not self._is_reading_on:
            self._read_on()

    def _send_deferred_packets(self) -> None:
        super()._send_deferred_packets()
        self._go_on()

    def _go_on(self) -> None:
        for channel in list(self._channels.values()):
            channel._flush_send_buf()


class _Channel(asyncssh.SSHServerChannel[bytes]):
    """One session's channel, as the transport of a `Connection`."""

    _conn: _Carrier

    def __init__(self, carrier: _Carrier, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            carrier, loop, allow_pty=False, line_editor=False, line_echo=False, line_history=0, max_line_length=0,
            encoding=None, errors="strict", window=WINDOW_BYTES, max_pktsize=MAX_PACKET_BYTES,
        )  # fmt: skip
        self._carrier = carrier

    def write(self, data: bytes, datatype: int | None = None) -> None:
        if not self.is_closing():  # the router may close it at any time
            super().write(data, datatype)

    def close(self) -> None:
        """Close it, and give the router as long to close its side as over other transports."""
        super().close()
        self._loop.call_later(LINGER_S, self.abort)

    def abort(self) -> None:
        """End the connection under it: what the router does not read stands in the way of any message."""
        if self._recv_state != "closed":
            self._carrier.abort()

    def _flush_send_buf(self) -> None:
        if self._carrier.takes_data:
            super()._flush_send_buf()
        else:
            self._pause_resume_writing()

    def _process_env_request(self, packet: asyncssh.packet.SSHPacket) -> bool:  # noqa: ARG002
        return False  # asyncssh would keep whatever it is sent


class _Visitor(asyncssh.SSHServer):
    """What asyncssh asks about one connection."""

    _carrier: _Carrier

    def __init__(self) -> None:
        self._user: str | None = None
        self._is_in = False
        self._wrong_passwords = 0
        self._sessions: set[_Session] = set()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._carrier = cast("_Carrier", conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._carrier.peer.left()
        self._carrier.is_decided.set()
        if not self._is_in:
            self._carrier.door.refuse(self._reason(exc), self._carrier.peer, self._detail(exc))

    def begin_auth(self, username: str) -> bool:
        self._user = username
        return True  # 8210bis §9.1: "none" must not be accepted

    def auth_completed(self) -> None:
        self._is_in = True
        self._carrier.is_decided.set()
        asyncio.get_running_loop().call_later(SESSION_TIMEOUT_S, self._leave_if_idle)

    def password_auth_supported(self) -> bool:
        return True  # the options say whether it is

    async def validate_password(self, username: str, password: str) -> bool:
        if await self._carrier.door.is_password(self._carrier.peer, username, password):
            return True
        self._wrong_passwords += 1
        if self._wrong_passwords == MAX_PASSWORDS:
            self._carrier.close()
        return False

    def session_requested(self) -> tuple[_Channel, _Session] | bool:
        if len(self._sessions) == MAX_SESSIONS:
            return False
        session = _Session(self._carrier.door.connect(self._carrier.peer), self._ended)
        self._sessions.add(session)
        return _Channel(self._carrier, asyncio.get_running_loop()), session

    def _ended(self, session: _Session) -> None:
        self._sessions.discard(session)
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if not self._sessions:
            self._carrier.close()

    def _reason(self, exc: Exception | None) -> Reason:
        if isinstance(exc, asyncssh.ConnectionLost) and "timeout" in exc.reason:
            return Reason.HANDSHAKE_TIMEOUT
        return Reason.HANDSHAKE_FAILED if self._user is None else Reason.LOGIN_FAILED

    def _detail(self, exc: Exception | None) -> str:
        words = "" if exc is None else _words(exc)
        return words if self._user is None else f"user {self._user}; {words}".rstrip("; ")


class _Session(asyncssh.SSHServerSession[bytes]):
    """One session of a router: hands on to its `Connection` what asyncssh tells."""

    _channel: _Channel

    def __init__(self, connection: Connection, ended: Callable[[_Session], None]) -> None:
        self._connection = connection
        self._ended = ended
        self._is_started = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = cast("_Channel", chan)
        self._timer = asyncio.get_running_loop().call_later(SESSION_TIMEOUT_S, self._leave_if_idle)

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == SUBSYSTEM

    def session_started(self) -> None:
        self._is_started = True
        self._connection.connection_made(cast("asyncio.Transport", self._channel))

    def data_received(self, data: bytes, datatype: int | None) -> None:  # noqa: ARG002
        self._connection.data_received(data)

    def eof_received(self) -> bool:
        return self._connection.eof_received()

    def pause_writing(self) -> None:
        if self._is_started:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        if self._is_started:
            self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._is_started:
            self._connection.connection_lost(exc)
        self._ended(self)

    def _leave_if_idle(self) -> None:
        if not self._is_started:
            self._channel.close()


def _make_host_key(file: Path, *, with_old_algorithms: bool) -> None:
    """Make a key for the first start, for its owner only; and one that old routers know, where these are served."""
    keys = [asyncssh.generate_private_key("ssh-ed25519")]
    if with_old_algorithms:
        keys.append(asyncssh.generate_private_key("ssh-rsa", key_size=_OLD_HOST_KEY_BITS))
    new = file.with_name(file.name + ".new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as content:
            content.write(b"".join(key.export_private_key() for key in keys))
            content.flush()
            os.fsync(content.fileno())
        new.rename(file)
    except OSError as error:
        raise SshError(f"SSH_HOST_KEY={file}: it is missing, and can't be made: {error.strerror}") from error
    get_logger().info("ssh host key made", file=file, fingerprints=" ".join(key.get_fingerprint() for key in keys))


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
