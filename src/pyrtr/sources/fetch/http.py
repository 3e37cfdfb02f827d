"""One conditional GET (RFC 9110 section 13), its body streamed to a file.

This runs in a fetch process (see `worker`). Whatever goes wrong is a SourceError in words of ours: those of the
libraries may hold the URL, and with it a password.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version

import httpx

from pyrtr.errors import SourceError
from pyrtr.sources.fetch.compression import Coding, decompress
from pyrtr.sources.fetch.connection import tls_context, words
from pyrtr.sources.fetch.request import Limits, Reply, Request, SourceTls

# Mirrors and load balancers take one or two.
MAX_REDIRECTS = 5

_CONDITIONS = {"ETag": b"If-None-Match", "Last-Modified": b"If-Modified-Since"}
_CODINGS = {"gzip": Coding.GZIP, "x-gzip": Coding.GZIP, "br": Coding.BROTLI, "zstd": Coding.ZSTD}
_HEADERS = {"User-Agent": f"pyrtr/{version('pyrtr')}", "Accept-Encoding": "gzip, br, zstd"}


def get(request: Request) -> Reply:
    """Ask for what may have changed, and write the body, if there is one, to the request's path.

    Raises:
        SourceError: there is no whole answer, or one that can't be used. What was written is not to be used then.
    """
    known = request.known
    try:
        conditions = [(asks, known[name].encode("latin-1")) for name, asks in _CONDITIONS.items() if name in known]
        with (
            open_client(request.tls, request.limits) as client,
            closing(_send(client, request.url, conditions)) as response,
        ):
            if response.status_code == HTTPStatus.NOT_MODIFIED and not conditions:
                raise SourceError("it answers that nothing changed (status 304), but was asked for the whole")
            body_bytes = _save(response, request) if response.status_code == HTTPStatus.OK else 0
            now = time.time()
            modified = _time(response.headers, "Last-Modified", now)
            return Reply(response.status_code, body_bytes, modified, _validators(response.headers, now))
    except SourceError:
        raise
    except Exception as error:  # none may pass as it is
        raise SourceError(reason(error, request.limits)) from None


def open_client(tls: SourceTls, limits: Limits) -> httpx.Client:
    """A client that keeps to the limits.

    Raises:
        SourceError: the files of TLS, or proxy variables of the environment, can't be used.
    """
    timeout = httpx.Timeout(limits.silence_s, connect=limits.connect_s)
    context = tls_context(tls)
    try:
        return httpx.Client(headers=_HEADERS, timeout=timeout, verify=context)
    except (ValueError, ImportError, httpx.InvalidURL):
        raise SourceError("a proxy variable of the environment makes no sense: expected http://HOST:PORT") from None


def _send(client: httpx.Client, url: str, conditions: list[tuple[bytes, bytes]]) -> httpx.Response:
    """Send the request, and where it is redirected to. httpx sends a password on to the same host only."""
    sent = client.build_request("GET", url, headers=conditions)
    asked = [sent.url]
    while True:
        response = client.send(sent, stream=True)
        if response.next_request is None:
            break
        response.close()
        sent = response.next_request
        if sent.url in asked:
            raise SourceError("it redirects in a circle")
        if len(asked) > MAX_REDIRECTS:
            raise SourceError(f"it redirects more than {MAX_REDIRECTS} times")
        if asked[-1].scheme == "https" != sent.url.scheme:
            raise SourceError("it redirects from https to another scheme, where anybody could answer")
        asked.append(sent.url)
    response.headers.encoding = "latin-1"  # RFC 9110 section 5.5: any octets; validators are given back as they came
    return response


def _save(response: httpx.Response, request: Request) -> int:
    """Write the body; returns how many octets of it came."""
    limits = request.limits
    pieces = _received(response, limits.octets)
    named = response.headers.get("Content-Encoding", "identity").strip().lower()
    if named in _CODINGS:
        pieces = decompress(_CODINGS[named], pieces, limits.octets)
    elif named != "identity":
        raise SourceError(f"its Content-Encoding is {named[:40]!r}: expected none, or {', '.join(_CODINGS)}")
    try:
        with open(request.path, "xb") as file:
            file.writelines(pieces)
    except OSError as error:
        raise SourceError(f"{request.path} can't be written: {error.strerror}") from None
    return response.num_bytes_downloaded


def _received(response: httpx.Response, max_bytes: int) -> Iterator[bytes]:
    """The body as it comes."""
    declared = response.headers.get("Content-Length")
    if declared is not None and int(declared) > max_bytes:
        raise SourceError(f"it has {declared} octets: at most {max_bytes} are read")
    try:
        for chunk in response.iter_raw():
            if response.num_bytes_downloaded > max_bytes:
                raise SourceError(f"it has more than {max_bytes} octets, the most that is read")
            yield chunk
    except (httpx.RemoteProtocolError, httpx.ReadError):
        whole = "" if declared is None else f" of {declared}"
        raise SourceError(f"it was cut short after {response.num_bytes_downloaded}{whole} octets") from None


def _validators(headers: Mapping[str, str], now: float) -> dict[str, str]:
    """What to ask with next time."""
    validators = {name: headers[name] for name in _CONDITIONS if name in headers}
    # RFC 9110 section 8.8.2.2: within the second in which it was written it may have been written again.
    if _time(headers, "Last-Modified", now) + 1 > _time(headers, "Date", now):
        validators.pop("Last-Modified", None)
    return validators


def _time(headers: Mapping[str, str], name: str, default: float) -> float:
    """The time in a header field (Unix seconds)."""
    try:
        return parsedate_to_datetime(headers[name]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return default


def reason(error: Exception, limits: Limits) -> str:
    """Why a request came to nothing, without its URL."""
    match error:
        case httpx.ConnectTimeout():
            return f"no connection within {limits.connect_s:g} s"
        case httpx.TimeoutException():
            return f"not an octet for {limits.silence_s:g} s"
        case httpx.ConnectError():
            return f"no connection: {_cause(error)}"
        case httpx.ProxyError():
            return f"the proxy makes no connection: {error}"
        case httpx.NetworkError():
            return f"the connection was lost: {_cause(error)}"
        case httpx.RemoteProtocolError():
            return "it gives no answer, or none that is HTTP"
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return "nothing can be asked for by such a URL"
        case _:
            return f"the request failed with {type(error).__name__}"


def _cause(error: BaseException) -> str:
    """What the system said first; who connects to several addresses at once has what it said of each in a group."""
    while not (isinstance(error, OSError) and error.errno):
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif (cause := error.__cause__ or error.__context__) is not None:
            error = cause
        else:
            return words(error) if isinstance(error, OSError) else type(error).__name__
    return words(error)
