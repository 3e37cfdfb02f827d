"""Requests to the other pyRTR. This runs in a follow process; whatever goes wrong is a SourceError in words of ours."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import httpx
import msgspec

from pyrtr.errors import SourceError
from pyrtr.sources.fetch.http import open_client, reason
from pyrtr.sources.fetch.request import Limits, SourceTls
from pyrtr.sources.follow.messages import Position

_WORDS_BYTES = 2000  # of an error, as many as are read


class Client:
    """One connection, which is kept open from one request to the next.

    Args:
        url: of the other pyRTR.
        tls, limits: see there.

    Attributes:
        received_bytes: octets of all bodies.

    Raises:
        SourceError: the files of TLS, or proxy variables of the environment, can't be used; from the others, there is
            no whole answer, or none that can be used.
    """

    def __init__(self, url: str, tls: SourceTls, limits: Limits) -> None:
        self.received_bytes = 0
        self._url = url.rstrip("/")
        self._limits = limits
        self._client = open_client(tls, limits)

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def steps(self, known: Position, wait_s: float) -> bytes | None:
        """What leads from where we stand to where the other does; None if it does not know where we stand.

        Args:
            known: where we stand.
            wait_s: seconds to wait while the other stands where we last heard that it does.
        """
        parameters = {"from": str(known.serial), "content": known.content.hex()}
        if known.tag:
            parameters |= {"after": known.tag, "wait": f"{wait_s:g}"}
        return self._get("/generation/steps", parameters, wait_s)

    def table(self) -> bytes:
        """All that there is."""
        body = self._get("/generation/table", {}, 0.0)
        if body is None:
            raise SourceError("it has no /generation/table: is it a pyRTR that can be followed?")
        return body

    def _get(self, path: str, parameters: Mapping[str, str], wait_s: float) -> bytes | None:
        """The body; None if there is nothing (404)."""
        limits = self._limits
        timeout = httpx.Timeout(limits.silence_s, connect=limits.connect_s, read=limits.silence_s + wait_s)
        headers = {"Accept-Encoding": "identity"}
        try:
            with self._client.stream(
                "GET", self._url + path, params=parameters, headers=headers, timeout=timeout
            ) as response:
                if response.status_code == HTTPStatus.OK:
                    return self._body(response)
                said = next(response.iter_raw(_WORDS_BYTES), b"")
        except SourceError:
            raise
        except Exception as error:  # none may pass as it is
            raise SourceError(reason(error, limits)) from None
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        raise SourceError(f"HTTP status {response.status_code}{_words(said)}")

    def _body(self, response: httpx.Response) -> bytes:
        if (coding := response.headers.get("Content-Encoding", "identity")) != "identity":
            raise SourceError(f"its Content-Encoding is {coding[:40]!r}, though none was asked for")
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > self._limits.octets:
                raise SourceError(f"it sends more than {self._limits.octets} octets, the most that is read")
        self.received_bytes += len(body)
        return bytes(body)


class _Error(msgspec.Struct):
    error: str


def _words(body: bytes) -> str:
    """What a pyRTR says is wrong."""
    try:
        return f": {msgspec.json.decode(body, type=_Error).error}"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
