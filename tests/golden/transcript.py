"""Reads conversations that are written out in hex.

A line is a sender, `router` or `cache`, and the octets of one PDU; a line that starts with a space carries the PDU on.
What follows a `#` is a comment.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Message:
    """One PDU of a conversation."""

    sender: str
    octets: bytes


def read_transcript(path: Path) -> list[Message]:
    """The PDUs of a conversation in their order."""
    messages: list[tuple[str, str]] = []
    for line in path.read_text("utf-8").splitlines():
        text = line.partition("#")[0].rstrip()
        if not text:
            continue
        if text.startswith(" "):
            sender, octets = messages.pop()
            messages.append((sender, octets + text))
        else:
            sender, _, octets = text.partition(" ")
            messages.append((sender, octets))
    return [Message(sender, bytes.fromhex(octets)) for sender, octets in messages]
