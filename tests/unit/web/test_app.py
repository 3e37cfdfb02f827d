"""What all endpoints have in common: methods, unknown paths, errors."""

from __future__ import annotations

import httpx
import pytest
from tests.unit.web.world import published, served, world

from pyrtr.payload.table import PayloadTable
from pyrtr.web import health
from pyrtr.web.app import PATHS, create_app

ENDPOINTS = [path.replace("{version}", "1") for path in PATHS if not path.startswith("/api/")]


@pytest.mark.parametrize("is_ready", [True, False])
async def test_head_has_the_headers_of_get_and_no_body(is_ready):
    first = published(PayloadTable.of()) if is_ready else published()
    async with world(first) as running, served(create_app(running.context)) as http:
        for path in ENDPOINTS:
            get, head = await http.client.get(path), await http.client.head(path)
            assert get.content
            assert head.content == b""
            assert head.status_code == get.status_code
            assert set(head.headers) == set(get.headers)
            varying = {"date", "content-length"} if path in ("/healthz", "/metrics") else {"date"}
            assert without(head.headers, varying) == without(get.headers, varying)


def without(headers: httpx.Headers, names: set[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


async def test_other_methods_are_refused_in_json():
    async with world(published()) as running:
        for path in ENDPOINTS:
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                reply = await running.client.request(method, path)
                assert reply.status_code == 405
                assert reply.headers["allow"] == "GET, HEAD"
                assert reply.json() == {"error": f"{method} is not allowed on {path}: expected GET, HEAD"}
        reply = await running.client.get("/api/v1/accept")
        assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/clients/", "/healthz/x", "/copies/1/2"])
async def test_what_does_not_exist_is_refused_in_json(path):
    async with world(published()) as running:
        reply = await running.client.get(path)
        assert reply.status_code == 404
        assert reply.headers["content-type"] == "application/json"
        assert reply.json()["error"].startswith(f"{path} does not exist: expected /, /clients, ")
        assert (await running.client.head(path)).status_code == 404


async def test_an_unknown_path_can_not_smuggle_control_characters():
    async with world(published()) as running:
        reply = await running.client.get("/%1b%5b31m%ff")
        assert reply.status_code == 404
        assert reply.json()["error"].isprintable()


async def test_nothing_tells_what_serves():
    async with world(published()) as running, served(create_app(running.context)) as http:
        assert "server" not in (await http.client.get("/readyz")).headers


async def test_a_bug_is_answered_in_json_and_the_server_goes_on(monkeypatch, caplog):
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("a bug")

    async with world(published()) as running, served(create_app(running.context)) as http:
        monkeypatch.setattr(health, "_health", broken)
        reply = await http.client.get("/healthz")
        assert reply.status_code == 500
        assert "log" in reply.json()["error"]
        assert "ZeroDivisionError" in caplog.text
        assert (await http.client.get("/readyz")).status_code == 503
