"""A long answer as sections of items, which are written when their turn comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from pyrtr.web.lookup.messages import Page

# A piece is so much, or what was written after so long, whichever comes first.
PIECE_BYTES = 2**18
PIECE_S = 0.01
_TURN = 100

Render = Callable[[int, int], tuple[bytes, int]]
"""Items from one index to another, or as many of them as take a few milliseconds: their octets, and the next index."""


class Answer(Protocol):
    """An answer in pieces."""

    def piece(self, at: Sequence[int]) -> tuple[bytes, tuple[int, ...] | None]:
        """The octets from a place on (empty for the start), and the place where they end; None at the end.

        Raises:
            ProblemError: there is no answer.
            StoreError: what it is made of is gone.
        """


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
        size, end = 0, time.perf_counter() + PIECE_S
        while number < len(self.sections):
            section = self.sections[number]
            if index == section.start:
                parts.append(section.before)
            while index < section.stop:
                if size >= PIECE_BYTES or (size and time.perf_counter() >= end):
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
            if size >= PIECE_BYTES or len(parts) == _TURN:
                break
        return separator.join(parts), start + len(parts)

    return render


def paged(
    page: Page, start: int, total: int, write: Callable[[int], bytes], cursor_after: Callable[[int], str]
) -> Listing:
    """A page of entries as JSON, each written by itself.

    Args:
        page: what was asked.
        start: the first entry of this page.
        total: how many there are on all pages.
        write: writes one.
        cursor_after: of the page that follows after an entry.
    """
    stop = total if page.limit is None else min(total, start + page.limit)
    url = f"{page.url}cursor={cursor_after(stop - 1)}" if start < stop < total else None
    return Listing((Section(head_of_items(page.head, total), start, stop, one_by_one(write)),), end_of_items(url))


def head_of_items(head: bytes, total: int) -> bytes:
    """The members before a list, with how many there are on all pages, and the begin of it."""
    return head[:-1] + b',"total":%d,"items":[' % total


def end_of_items(url: str | None) -> bytes:
    """The end of a list, with where it goes on."""
    return b'],"next":' + msgspec.json.encode(url) + b"}"
