"""Answers of the lookup process as responses: whole, or streamed a piece at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import msgspec
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Send

from pyrtr.logs import get_logger
from pyrtr.web.api.errors import ProblemError
from pyrtr.web.coding import Coding, accepted
from pyrtr.web.lookup.client import Lookup
from pyrtr.web.lookup.messages import Asked, Piece


async def answer(
    lookup: Lookup, request: Request, question: Asked, media_type: str, headers: Mapping[str, str]
) -> Response:
    """The answer to a question, coded as the client likes it best.

    Raises:
        ProblemError: there is none (see `Lookup.ask`); what goes wrong after the first piece cuts the answer short.
    """
    coding = accepted(request.headers.get("accept-encoding", ""))
    question = msgspec.structs.replace(question, coding=coding)
    first = await lookup.ask(question)
    coded = {} if coding is Coding.IDENTITY else {"content-encoding": coding.value}
    headers = {"cache-control": "no-cache", "vary": "accept, accept-encoding", **coded, **headers}
    if first.next is None:
        return Response(first.octets, headers=headers, media_type=media_type)
    return _Stream(
        _pieces(lookup, question, first, is_head=request.method == "HEAD"), headers=headers, media_type=media_type
    )


async def _pieces(lookup: Lookup, question: Asked, first: Piece, *, is_head: bool) -> AsyncIterator[bytes]:
    yield first.octets
    place = None if is_head else first.next
    while place is not None:
        await lookup.give_way()
        piece = await lookup.ask(msgspec.structs.replace(question, place=place))
        yield piece.octets
        place = piece.next


class _Stream(StreamingResponse):
    """An answer that is cut off where it can't go on: without its end it is recognised as broken."""

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        except ProblemError as error:
            get_logger().warning("answer cut short", reason=error.detail)
