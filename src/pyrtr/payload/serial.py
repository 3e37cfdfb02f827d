"""Serial numbers (RFC 1982 with SERIAL_BITS = 32) and the state that a router is told (RFC 8210 §5.1)."""

from dataclasses import dataclass

SERIAL_MODULUS = 2**32


def next_serial(serial: int) -> int:
    """The serial after `serial`: one more, and 0 after 2^32-1, where zero is a value like any other."""
    return (serial + 1) % SERIAL_MODULUS


def previous_serial(serial: int) -> int:
    """The serial before `serial`: the inverse of `next_serial`."""
    return (serial - 1) % SERIAL_MODULUS


def is_newer(serial: int, than: int) -> bool:
    """Whether `serial` is greater than `than` (RFC 1982 §3.2).

    False both ways for equal serials and for two that lie exactly 2^31 apart, which the RFC leaves undefined.
    """
    return 0 < (serial - than) % SERIAL_MODULUS < SERIAL_MODULUS // 2


@dataclass(frozen=True, slots=True)
class State:
    """The position in one sequence of serials: session id (0..65535) and serial (0..2^32-1)."""

    session_id: int
    serial: int
