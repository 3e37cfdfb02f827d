"""The error that becomes a problem (see `problems`); it stands alone, since HTTP is loaded after all the rest."""

from __future__ import annotations

from collections.abc import Mapping

from pyrtr.errors import PyrtrError


class ProblemError(PyrtrError):
    """A request that can't be answered as it was meant.

    Attributes:
        status: of HTTP.
        detail: names the thing, the value, the limit and what to do; hostile text in it is escaped.
        parameter: which one is at fault, if one is.
        headers: to send beside it.
    """

    def __init__(
        self, status: int, detail: str, parameter: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.parameter = parameter
        self.headers = headers or {}
