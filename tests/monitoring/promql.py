"""Which series, labels and values a PromQL expression names: as much of the language as our own expressions use."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:\\.|[^"\\])*)"')
_NAME = re.compile(r"(?<![\w.:$])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")
_KEYWORDS = {"and", "or", "unless", "offset", "bool", "by", "on"}


@dataclass(frozen=True)
class Matcher:
    """`label operator "value"` of a selector of the series `name`."""

    name: str
    label: str
    operator: str
    value: str


@dataclass(frozen=True)
class Expression:
    """What one names.

    Attributes:
        names: of series.
        matchers: what their labels have to be.
        groupings: labels in `by`, `on` and the like.
    """

    names: frozenset[str]
    matchers: tuple[Matcher, ...]
    groupings: frozenset[str]


def parse(text: str) -> Expression:
    """Take it apart."""
    matchers = tuple(
        Matcher(name, *matcher) for name, inside in _SELECTOR.findall(text) for matcher in _MATCHER.findall(inside)
    )
    bare = _SELECTOR.sub(r"\1", text)
    groupings = {label.strip() for labels in _GROUPING.findall(bare) for label in labels.split(",") if label.strip()}
    bare = re.sub(r"\boffset\s+\w+", " ", _RANGE.sub(" ", _STRING.sub(" ", _GROUPING.sub(" ", bare))))
    names = {name for name in _NAME.findall(bare) if name not in _KEYWORDS}
    return Expression(frozenset(names), matchers, frozenset(groupings))
