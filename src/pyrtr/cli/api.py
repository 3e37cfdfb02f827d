"""Questions to the running program over HTTP."""

from __future__ import annotations

import asyncio
import ssl
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Generic, TypeVar

import httpx
import msgspec

from pyrtr.cli.arguments import NO_ANSWER, USAGE_ERROR, Ended
from pyrtr.cli.output import print_problems
from pyrtr.errors import SettingsError, SourceError
from pyrtr.logs import printable
from pyrtr.settings import Settings
from pyrtr.sources.fetch.connection import tls_context, words
from pyrtr.sources.fetch.http import reason
from pyrtr.sources.fetch.request import Limits, SourceTls
from pyrtr.sources.location import Location

# 20,000 routers are some ten megabytes.
_MAX_BYTES = 2**27

Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Shape]):
    """What was answered: as the command reads it, and all of it."""

    content: Shape
    document: object


def ask(path: str, shape: type[Shape], options: Namespace, environ: Mapping[str, str]) -> Answer[Shape]:
    """What the program answers to a question under `/api/v1`.

    Args:
        path: behind that, with its query.
        shape: what has to be in the answer.
        options: of a command that has `--url`, `--ca` and `--timeout`.
        environ: says where the program is, if the options do not.

    Raises:
        Ended: there is no answer; why has been said.
    """
    try:
        url, context = _program(options, environ)
    except SettingsError as error:
        print_problems(error.problems)
        raise Ended(USAGE_ERROR) from None
    except (SourceError, ValueError, OSError) as error:
        print_problems([f"pyrtr: {error}"])
        raise Ended(USAGE_ERROR) from None
    try:
        body = asyncio.run(_body(f"{url}/api/v1/{path}", context, options.timeout))
        try:
            return Answer(msgspec.json.decode(body, type=shape), msgspec.json.decode(body))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise SourceError(f"it does not answer as a pyRTR of this release: {error}") from None
    except SourceError as error:
        print_problems([f"pyrtr: {Location.parse(url)}: {printable(str(error))}"])
        raise Ended(NO_ANSWER) from None


def _program(options: Namespace, environ: Mapping[str, str]) -> tuple[str, ssl.SSLContext]:
    """Where the program is, and how its certificate is checked.

    Raises:
        SettingsError, SourceError, ValueError, OSError: it can't be known.
    """
    context = tls_context(SourceTls(ca=options.ca))
    if options.url is not None:
        location = Location.parse(options.url)
        if location.scheme not in ("http", "https"):
            raise ValueError(f"--url {location}: expected http://HOST:PORT or https://HOST:PORT")
        return options.url.rstrip("/"), context
    settings, _ = Settings.load(environ)
    if not settings.http_port:
        raise ValueError(f"HTTP_PORT={settings.http_port} says no port where the program could be asked: set --url")
    scheme = "http"
    if settings.http_tls_cert is not None:
        # It is our own: whoever has it is the program, by whatever name.
        scheme, context = "https", ssl.create_default_context(cafile=options.ca or settings.http_tls_cert)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return f"{scheme}://{_host(settings.host[0])}:{settings.http_port}", context


def _host(bound: str) -> str:
    """The host of a URL for what the program is bound to: the unspecified address is everywhere, and so here."""
    try:
        address = ip_address(bound)
    except ValueError:
        return bound
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{address}]" if address.version == 6 else str(address)


async def _body(url: str, context: ssl.SSLContext, timeout_s: float) -> bytes:
    """The body of a good answer.

    Raises:
        SourceError: there is none, with the reason in words.
    """
    body = bytearray()
    response = None
    try:
        # No proxy: the program is near, or asked for by an address that is meant. The timeouts of httpx are for each
        # read, so that who sends an octet now and then would never run into them.
        async with (
            asyncio.timeout(timeout_s),
            httpx.AsyncClient(verify=context, timeout=None, trust_env=False) as client,
            client.stream("GET", url) as response,
        ):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise SourceError(f"an answer of more than {_MAX_BYTES} octets")
    except TimeoutError:
        came = "none was begun" if response is None else f"{len(body)} octets of it came"
        raise SourceError(f"no whole answer within {timeout_s:g} s: {came}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(reason(error, Limits())) from None
    except OSError as error:
        raise SourceError(words(error)) from None
    if response.status_code != httpx.codes.OK:
        raise SourceError(_detail(body) or f"HTTP status {response.status_code}")
    return bytes(body)


class _Problem(msgspec.Struct):
    """Problem details (RFC 9457)."""

    detail: str


def _detail(body: bytearray) -> str | None:
    try:
        return msgspec.json.decode(body, type=_Problem).detail
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
