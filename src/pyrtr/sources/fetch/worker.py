"""The fetch process: no octet of a body passes the event loop that serves routers."""

from __future__ import annotations

from pyrtr import processes
from pyrtr.sources.fetch import http
from pyrtr.sources.fetch.request import Request

if __name__ == "__main__":
    processes.answer(Request, http.get)
