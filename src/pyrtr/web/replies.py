"""What the endpoints share: JSON, times, streams, and long lists in short turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from pyrtr.times import iso_time as iso_time  # where the endpoints look for what they share

METHODS = ["GET", "HEAD"]
# Describing a router takes a few microseconds: so many hold up the event loop for about a millisecond.
SLICE = 100

Item = TypeVar("Item")


def json_reply(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON document; never cached, since all of them tell of now."""
    headers = {"cache-control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def stream(request: Request, chunks: Iterator[bytes] | AsyncIterator[bytes], media_type: str) -> Response:
    """A long body made while it is sent, and not at all for HEAD. A plain iterator runs on a thread."""
    content = iter(()) if request.method == "HEAD" else chunks
    return StreamingResponse(content, headers={"cache-control": "no-store"}, media_type=media_type)


async def in_slices(items: Sequence[Item], size: int = SLICE) -> AsyncIterator[Sequence[Item]]:
    """A long list in slices, with a turn of the event loop after each."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
        await asyncio.sleep(0)
