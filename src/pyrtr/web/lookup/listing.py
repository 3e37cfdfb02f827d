"""A long answer as sections of items, which are written when their turn comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# So much is written at once: 10 ms of work, and little enough that four streams fill no memory.
PIECE_BYTES = 2**18

Render = Callable[[int, int], tuple[bytes, int]]
"""Items from one index to another, or as many of them as make a piece: their octets, and the index that comes next."""


@dataclass(frozen=True, slots=True)
class Section:
    """Items in a row.

    Attributes:
        before: the octets before the first.
        start, stop: the indexes of the first item, and after the last.
        render: writes items, with `separator` between them.
        separator: between any two items.
    """

    before: bytes
    start: int
    stop: int
    render: Render
    separator: bytes = b","


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole answer.

    Attributes:
        sections: one after another.
        after: the octets after the last.
    """

    sections: tuple[Section, ...]
    after: bytes

    def piece(self, at: Sequence[int]) -> tuple[bytes, tuple[int, ...] | None]:
        """The octets from a place on (empty for the start), and the place where they end; None at the end."""
        number, index = at or (0, self.sections[0].start)
        parts: list[bytes] = []
        size = 0
        while number < len(self.sections):
            section = self.sections[number]
            if index == section.start:
                parts.append(section.before)
            while index < section.stop:
                if size >= PIECE_BYTES:
                    return b"".join(parts), (number, index)
                octets, index_after = section.render(index, section.stop)
                if index > section.start:
                    parts.append(section.separator)
                parts.append(octets)
                size += len(octets)
                index = index_after
            number += 1
            index = self.sections[number].start if number < len(self.sections) else 0
        return b"".join((*parts, self.after)), None


def one_by_one(write: Callable[[int], bytes], separator: bytes = b",") -> Render:
    """Render items of any size, each written by itself."""

    def render(start: int, stop: int) -> tuple[bytes, int]:
        parts, size = [], 0
        for index in range(start, stop):
            parts.append(write(index))
            size += len(parts[-1])
            if size >= PIECE_BYTES:
                break
        return separator.join(parts), start + len(parts)

    return render
