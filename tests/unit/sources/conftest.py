"""Requests go where a test says, whatever proxies and certificates the machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.http_server import HttpServer


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):  # to read the system's takes most of a request's time
        monkeypatch.setenv(name, os.devnull)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as running:
        yield running
