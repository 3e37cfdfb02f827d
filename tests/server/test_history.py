"""The real program tells what it published, over restarts and kills, as routers saw it."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
from functools import partial
from typing import Any

from tests.archived import change_set, net, told
from tests.inputs import SMALL, Payload, aspa, router_key, vrp
from tests.program import Program

SETS: tuple[tuple[Payload, ...], ...] = (
    SMALL,
    (*SMALL, vrp("192.0.2.128/25")),
    (*SMALL[1:], router_key(2)),
    (*SMALL[1:-1], aspa(64496, 64499)),
    SMALL,
)


def asked(program: Program, path: str, coding: str = "identity") -> tuple[int, Any]:
    url = f"http://{program.web[0]}:{program.web[1]}/api/v1/{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": coding})) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def serials(program: Program) -> list[int]:
    status, answer = asked(program, "generations?fields=serial")
    assert status == 200
    return [item["serial"] for item in answer["items"]][::-1]


def has(program: Program, count: int) -> bool:
    """Whether there are so many generations."""
    return len(serials(program)) == count


def test_what_was_published_is_told_over_restarts_and_kills(tmp_path):
    with Program.idle(tmp_path, SETS[0]) as program:
        program.start()
        for number, payload in enumerate(SETS[1:], 1):
            program.load(payload)
            program.wait_for(partial(has, program, number + 1), 10.0, "it is in the history")
            if number == 2:
                program.kill()
                program.start()
            elif number == 3:
                program.stop()
                program.start()
        names = dict(zip(serials(program), map(frozenset, SETS), strict=True))
        for first, last in itertools.product(names, names):
            status, answer = asked(program, f"diff?from={first}&to={last}")
            assert status == 200
            assert net(answer) == change_set(names[first], names[last])
        everything: list[Any] = []
        for before, after in itertools.pairwise(names):
            status, answer = asked(program, f"generations/{after}")
            assert status == 200
            assert told(answer["changes"]) == change_set(names[before], names[after])
            assert {change["by"]["name"] for change in answer["changes"]} == {str(program.file)}
            assert answer["generation"]["why"].startswith(f"new data at {program.file}, built 20")
            everything = [*answer["changes"], *everything]
        assert asked(program, "changes")[1]["items"] == everything
        of_prefix = asked(program, "changes?prefix=192.0.2.0/24")[1]["items"]
        assert [(change["action"], change["prefix"]) for change in of_prefix] == [
            ("announce", "192.0.2.0/24"),
            ("withdraw", "192.0.2.0/24"),
            ("withdraw", "192.0.2.128/25"),
            ("announce", "192.0.2.128/25"),
        ]
        found: list[Any] = []
        url: str | None = "changes?limit=2"
        while url is not None:
            page = asked(program, url)[1]
            found += page["items"]
            url = page["next"] and page["next"].removeprefix("/api/v1/")
        assert found == everything


def test_what_can_not_be_told_is_a_problem(tmp_path):
    with Program(tmp_path) as program:
        (serial,) = serials(program)
        for path, status, words in (
            ("diff?from=1", 404, "serial 1 is not in the history, which reaches back to 20"),
            (f"diff?from={serial}&to=7", 404, "serial 7 is not in the history"),
            ("generations/7", 404, "serial 7 is not in the history"),
            ("changes?since=7", 404, "serial 7 is not in the history"),
            ("changes?since=2026-02-30", 400, 'since is "2026-02-30": expected a serial, or a time'),
            ("generations?fields=colour", 400, 'fields is "colour": expected some of id, serial'),
            ("changes?kind=roa", 400, 'kind is "roa": expected vrp or router_key or aspa'),
            ("diff", 400, "from is missing"),
        ):
            code, problem = asked(program, path)
            assert (code, problem["status"]) == (status, status), path
            assert words in problem["detail"]


def test_without_days_there_is_none(tmp_path):
    with Program(tmp_path, HISTORY_DAYS=False) as program:
        for path in ("generations", "generations/1", "changes", "diff?from=1"):
            code, problem = asked(program, path)
            assert (code, problem["detail"]) == (
                404,
                "HISTORY_DAYS is False, so no history is kept: set it to a number of days",
            )
        assert not (tmp_path / "state" / "archive.db").exists()
