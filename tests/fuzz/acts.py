"""A conversation that the octets of an input tell."""

from __future__ import annotations

from collections.abc import Callable


def play(data: bytes, hear: Callable[[bytes], None], act: Callable[[int], None]) -> None:
    """Each octet is an act: one below 192 is followed by a quarter as many octets of the peer; the others are ours."""
    at = 0
    while at < len(data):
        number = data[at]
        at += 1
        if number < 192:
            hear(data[at : at + number // 4])
            at += number // 4
        else:
            act(number - 192)
