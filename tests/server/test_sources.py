"""The real program fed over HTTP, from several locations, and with SLURM files."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.http_server import Document, HttpServer, response
from tests.inputs import SMALL, Payload, rpki_client_bytes, visible, vrp
from tests.program import Program, ago

MORE = (*SMALL, vrp("198.18.0.0/24"))
OTHER = vrp("198.19.0.0/24")
CUTS = 12


def document(payload: Iterable[Payload]) -> bytes:
    """Written just now."""
    return rpki_client_bytes(payload, build_time=ago(0))


def used(program: Program) -> list[bool]:
    """Which locations are."""
    return [location["used"] for location in program.healthz()["locations"]]


def looks(program: Program, result: str) -> float:
    """How many looks at the only location came to this."""
    return next(
        count for name, count in program.metrics().items()
        if name.startswith("pyrtr_location_looks_total") and f'result="{result}"' in name
    )  # fmt: skip


def looked(program: Program) -> float:
    """How often it has looked."""
    metrics = program.metrics()
    return sum(metrics[f'pyrtr_source_attempts_total{{result="{kind}"}}'] for kind in ("success", "failure"))


def look(program: Program) -> None:
    """One more look, to its end."""
    before = looked(program)
    asked = len([line for line in program.events() if line["event"] == "reload asked for"])
    program.signal(signal.SIGHUP)
    program.wait_for(lambda: looked(program) > before, what="it has looked")
    assert program.has_logged("reload asked for", asked + 1)


def test_a_url_is_followed_and_its_password_is_nowhere(tmp_path: Path) -> None:
    with HttpServer() as server:
        location = server.url("/rpki.json?key=secret-key", user="me:secret-word")
        server.answers["/rpki.json?key=secret-key"] = Document(document(SMALL))
        with Program(tmp_path, None, LOCATION=location) as program:
            program.wait_for(lambda: program.get("/readyz")[0] == 200, what="it is ready")
            with program.router() as router:
                assert router.sync().payload == visible(2, SMALL)
                for count in (1, 2):
                    look(program)
                    assert looks(program, "unchanged") == count
                server.answers["/rpki.json?key=secret-key"] = Document(document(MORE))
                look(program)
                assert router.expect_notify().serial == router.serial + 1
                assert router.sync().payload == visible(2, MORE)
            program.kill()
            program.start()
            program.wait_for(lambda: looks(program, "unchanged") == 1, what="the server is asked for what is new")
            shown = program.get("/healthz")[1] + program.get("/metrics")[1] + program.log.read_bytes()
            assert b"secret" not in shown
            assert b"***@127.0.0.1" in shown
        assert not list((tmp_path / "state").glob("body-*"))
        assert b"secret" not in b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir() if path.is_file())


def test_a_body_that_is_cut_anywhere_is_not_published_and_fetched_whole_next_time(tmp_path: Path) -> None:
    """The validators of a body that was not accepted are not kept: no 304 can follow it."""
    whole, other = document(SMALL), document(MORE)
    with HttpServer() as server:
        server.answers["/json"] = Document(whole)
        with Program(tmp_path, None, LOCATION=server.url("/json")) as program:
            program.wait_for(lambda: program.get("/readyz")[0] == 200, what="it is ready")
            with program.router() as router:
                serial = router.sync().serial
                place = random.Random(1)
                for number in range(CUTS):
                    cut = other[: place.randrange(len(other))]
                    if number % 2:  # as long as it says
                        server.answers["/json"] = response(cut, ETag='"other"')
                    else:
                        server.answers["/json"] = response(cut, ETag='"other"', Content_Length=len(other))
                    look(program)
                    assert looks(program, "failure") > number
                    sync = router.sync()
                    assert (sync.serial, sync.payload) == (serial, visible(2, SMALL))
                asked = len(server.asked)
                server.answers["/json"] = Document(other)
                look(program)
                assert '"other"' not in str([request.headers for request in server.asked[asked:]])
                assert router.sync().payload == visible(2, MORE)
                assert router.full_syncs == 1


def test_the_next_location_takes_over_and_the_first_comes_back(tmp_path: Path) -> None:
    first, second = tmp_path / "rpki.json", tmp_path / "second.json"
    second.write_bytes(document(MORE))
    with Program(tmp_path, RELOAD=1, LOCATION=f"{first},{second}") as program, program.router() as router:
        assert router.sync().payload == visible(2, SMALL)
        first.unlink()
        program.wait_for(lambda: used(program) == [False, True], what="the second is used")
        assert router.sync().payload == visible(2, MORE)
        assert program.health()[0] == 200
        program.load(SMALL)
        program.wait_for(lambda: used(program) == [True, False], what="the first is used again")
        assert router.sync().payload == visible(2, SMALL)
        assert router.full_syncs == 1


def test_a_location_that_is_not_used_causes_no_looks(tmp_path: Path) -> None:
    """It is watched, and yet not looked at while the one before it is good."""
    first, second = tmp_path / "rpki.json", tmp_path / "second.json"
    second.write_bytes(document(MORE))
    with Program(tmp_path, LOCATION=f"{first},{second}") as program:
        program.wait_for(lambda: looked(program) == 2, what="it has looked again for the second")
        with pytest.raises(AssertionError):
            program.wait_for(lambda: looked(program) > 2, 2.0)


def test_a_location_that_fails_never_empties_the_union(tmp_path: Path) -> None:
    first, second = tmp_path / "rpki.json", tmp_path / "second.json"
    second.write_bytes(document([OTHER]))
    with Program(tmp_path, MERGE="union", LOCATION=f"{first},{second}") as program, program.router() as router:
        assert router.sync().payload == {*visible(2, SMALL), OTHER}
        second.unlink()
        look(program)
        assert "second.json" in str(program.healthz()["warnings"])
        program.kill()
        program.start()
        with program.router() as moved:
            assert moved.sync().payload == {*visible(2, SMALL), OTHER}
            look(program)
            assert moved.sync().payload == {*visible(2, SMALL), OTHER}
            assert used(program) == [True, True]


def test_slurm_is_applied_and_a_broken_file_is_told(tmp_path: Path) -> None:
    slurm = tmp_path / "slurm.json"
    slurm.write_text(exceptions({"prefix": SMALL[1][1]}))
    with Program(tmp_path, SLURM=slurm) as program, program.router() as router:
        assert router.sync().payload == visible(2, SMALL) - {SMALL[1]}
        os.replace(_written(tmp_path, '{"slurmVersion": 1,\n "oops"}'), slurm)
        program.wait_for(lambda: program.health()[0] == 503, what="it is told")
        assert f"{slurm}: " in program.health()[1]
        assert "line 2" in program.health()[1]
        assert router.sync().payload == visible(2, SMALL) - {SMALL[1]}
        os.replace(_written(tmp_path, exceptions()), slurm)
        program.wait_for(lambda: program.health()[0] == 200, what="it is well again")
        assert router.sync().payload == visible(2, SMALL)
        assert router.full_syncs == 1


def test_urls_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    """What differs is masked; both count all the same."""
    with HttpServer() as server:
        for number in (1, 2):
            server.answers[f"/json?{number}"] = Document(document(SMALL))
            server.answers[f"/slurm?{number}"] = response(exceptions({"prefix": SMALL[number][1]}).encode())
        locations, slurm = (
            ",".join(server.url(f"/{what}?{number}") for number in (1, 2)) for what in ("json", "slurm")
        )
        with Program(tmp_path, None, LOCATION=locations, SLURM=slurm) as program:
            program.wait_for(lambda: program.get("/readyz")[0] == 200, what="it is ready")
            with program.router() as router:
                assert router.sync().payload == visible(2, SMALL) - {*SMALL[1:3]}
            samples = program.get("/metrics")[1].decode().splitlines()
            names = [sample.rpartition(" ")[0] for sample in samples if not sample.startswith("#")]
            assert len(names) == len(set(names))
            assert f'pyrtr_slurm_filtered{{file="{server.url("/slurm?*** (2)")}",kind="vrps"}}' in names
            assert len(server.asked) == 3
            del server.answers["/slurm?2"]
            server.answers["/json?1"] = Document(document(MORE))
            look(program)
            assert not list((tmp_path / "state").glob("body-*")), "not of the first SLURM file either"


def exceptions(*filters: object) -> str:
    """A SLURM file."""
    return json.dumps(
        {
            "slurmVersion": 1,
            "validationOutputFilters": {"prefixFilters": filters, "bgpsecFilters": []},
            "locallyAddedAssertions": {"prefixAssertions": [], "bgpsecAssertions": []},
        }
    )


def _written(folder: Path, text: str) -> Path:
    path = folder / "slurm.new"
    path.write_text(text)
    return path
