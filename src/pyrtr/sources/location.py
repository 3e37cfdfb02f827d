"""Where a source is: a local path or a URL, and how it is shown to people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_NEXT_URL = re.compile(r",(?=\s*[A-Za-z][A-Za-z0-9+.-]*://)")
_FILE = "file"


@dataclass(frozen=True, slots=True)
class Location:
    """One place.

    Attributes:
        scheme: of a URL, in lower case; `file` for a local path.
        text: the path, or the whole URL. It may hold a password: it goes to whom it is meant for, and nowhere else.
    """

    scheme: str
    text: str

    @classmethod
    def parse(cls, text: str) -> Location:
        """Read a path, a `file:` URL or another URL.

        Raises:
            ValueError: it is empty, or a URL that names no host or port that can be.
        """
        if text.lower().startswith("file:"):
            parts = urlsplit(text)
            if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
                raise ValueError(f"{masked(text)!r} names no local file: expected file:///PATH")
            return cls(_FILE, unquote(parts.path))
        if (match := _SCHEME.match(text)) is None:
            if not text:
                raise ValueError("a location is empty")
            return cls(_FILE, text)
        parts = urlsplit(text)
        try:
            is_complete = bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number, or too large
            is_complete = False
        if not is_complete:
            raise ValueError(f"{cls(match[1].lower(), text)} names no host, or a port that can't be")
        return cls(match[1].lower(), text)

    @property
    def is_local(self) -> bool:
        """Whether it is a local path."""
        return self.scheme == _FILE

    @property
    def path(self) -> Path:
        """The local path."""
        assert self.is_local
        return Path(self.text)

    def __str__(self) -> str:
        """The location as it may be shown: what stands before the host, and what follows `?` or `#`, is masked."""
        return self.text if self.is_local else _masked_url(self.text)


def names_of(locations: Iterable[Location]) -> tuple[str, ...]:
    """How each of them may be shown, by names that differ: where only what is masked does, they are numbered."""
    names: list[str] = []
    for location in locations:
        name, number = str(location), 1
        while name in names:
            number += 1
            name = f"{location} ({number})"
        names.append(name)
    return tuple(names)


def reason_at(name: str, error: object) -> str:
    """Why nothing can be had of a location, beginning with its name: most errors do already."""
    reason = str(error)
    return reason if reason.startswith(f"{name}: ") else f"{name}: {reason}"


def masked(text: str) -> str:
    """The text, in which URLs stand between commas, without their user names, passwords, queries and fragments.

    What stands between two URLs may be a part of the first that holds a comma, and is masked as if it were.
    """
    return ",".join(map(_masked_url, _NEXT_URL.split(text)))


def _masked_url(text: str) -> str:
    scheme, colon, rest = text.partition("://")
    user, at, place = rest.rpartition("@")  # to the last @: a password may hold any sign, rightly or not
    if re.search(r"[?#]", user):  # or it is no password, and what follows belongs to a query
        return f"{scheme}{colon}***"
    shown = re.sub(r"[?#].*", lambda match: match[0][0] + "***", place, count=1, flags=re.DOTALL)
    return f"{scheme}{colon}{'***@' if at else ''}{shown}" if colon else text
