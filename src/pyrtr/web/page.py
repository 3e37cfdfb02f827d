"""`/`: the page for people. Its files are in the folder `page`, and are sent as they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from pyrtr.web.api.tags import is_known, not_modified
from pyrtr.web.replies import METHODS

FOLDER = Path(__file__).with_name("page")
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    # A browser asks whether there is another one, so that the files of two releases never meet.
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def routes() -> APIRouter:
    """The endpoints."""
    router = APIRouter()
    files = {path.name: _File.read(path) for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES}

    @router.api_route("/", methods=METHODS)
    async def page(request: Request) -> Response:
        return files["index.html"].reply(request)

    @router.api_route("/page/{name}", methods=METHODS)
    async def part(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return files[name].reply(request)

    return router


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    tag: str
    media_type: str

    @classmethod
    def read(cls, path: Path) -> _File:
        body = path.read_bytes()
        return cls(body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"', MEDIA_TYPES[path.suffix])

    def reply(self, request: Request) -> Response:
        headers = HEADERS | {"etag": self.tag}
        if is_known(request, self.tag):
            return not_modified(headers)
        return Response(self.body, headers=headers, media_type=self.media_type)
