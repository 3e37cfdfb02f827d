"""Entity tags (RFC 9110 §8.8.3): what is published, and in which form, so that nobody is sent the same twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from fastapi import Request, Response

from pyrtr.server.publisher import Published

_TAG_BYTES = 12


def tag_of(published: Published, *form: str) -> str:
    """The tag of an answer that follows from what is published, its table file included, and from its form."""
    sessions = sorted((int(version), ids) for version, ids in published.session_ids.items())
    named = msgspec.msgpack.encode((sessions, published.serial, published.content, published.digest, form))
    return f'"{hashlib.blake2b(named, digest_size=_TAG_BYTES).hexdigest()}"'


def is_known(request: Request, tag: str) -> bool:
    """Whether the client has that already (RFC 9110 §13.1.2)."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or tag in (entry.strip().removeprefix("W/") for entry in given.split(","))


def not_modified(headers: Mapping[str, str]) -> Response:
    """What it is answered then."""
    return Response(status_code=304, headers=headers)
