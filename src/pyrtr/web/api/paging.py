"""A long list a page at a time: how many items at most, and where the page before ended."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import Request

from pyrtr.web.api.parameters import Parameter, number, text, without

MAX_LIMIT = 100_000
_CURSOR = "cursor"
LIMIT = number("limit", "how many items one page has at most; all of them where it is not given", 1, MAX_LIMIT, 100)


def cursor(pattern: str, example: str) -> Parameter[str]:
    """Where a page begins; every list has a form of its own for that, which clients need not know."""
    description = "where this page begins, as `next` of the page before says it"
    return text(_CURSOR, description, pattern, example, "what `next` of the page before says")


def url_of_next(request: Request, cursor: str) -> str:
    """The page that begins at a cursor: the URL of this one with another cursor."""
    return f"{url_to_continue(request)}cursor={cursor}"


def url_to_continue(request: Request) -> str:
    """The URL of a page with all parameters but its cursor, so that one can be put behind it."""
    others = urlencode(without(request.query_params.multi_items(), _CURSOR))
    return f"{request.url.path}?{others}&" if others else f"{request.url.path}?"
