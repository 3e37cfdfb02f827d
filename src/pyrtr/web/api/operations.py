"""What an endpoint does, told once: for the document that describes all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyrtr.web.api.parameters import Parameter

JSON = "application/json"
CSV = "text/csv"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a path.

    Attributes:
        path: with parameters in braces.
        summary: what it is for, in a few words.
        answers: what it answers with 200, each a model; none where it is text alone.
        example: of an answer.
        parameters: that it knows.
        problems: the statuses of the problems that it can have, beside those that all have.
        method: of HTTP, lower case; who answers GET answers HEAD.
        body: the model of what is sent to it; None for nothing.
        body_example: of that.
        texts: examples of what it answers as text, by media type.
        is_tagged: whether answers have an ETag, and If-None-Match is obeyed.
        refusals: statuses that are told in JSON with `error`, as before there were problems.
        needs_token: whether HTTP_TOKEN has to be sent.
    """

    path: str
    summary: str
    answers: tuple[type, ...]
    example: object
    parameters: Sequence[Parameter[object]] = ()
    problems: tuple[int, ...] = ()
    method: str = "get"
    body: type | None = None
    body_example: object = field(default=None)
    texts: Mapping[str, str] = field(default_factory=dict)
    is_tagged: bool = False
    refusals: tuple[int, ...] = ()
    needs_token: bool = False
