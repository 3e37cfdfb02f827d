"""`pyrtr check`: a verdict on each file, what is in it or wrong with it, and the exit status."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pyrtr.__main__ import main
from pyrtr.cli.check import check

NOW = 1_795_428_000.0  # 2026-11-23T10:00:00Z
FIXTURES = Path(__file__).parents[3] / "shared" / "data" / "real" / "fixtures"
ROA = {"asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe", "expires": 4_102_444_800}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def data(*roas: object, **members: object) -> str:
    return json.dumps({"metadata": {"buildtime": "2026-11-23T07:00:00Z"}, "roas": roas} | members)


def slurm(asns: tuple[object, ...] = (), prefixes: tuple[str, ...] = ()) -> str:
    return json.dumps(
        {
            "slurmVersion": 1,
            "validationOutputFilters": {"prefixFilters": [{"asn": asn} for asn in asns], "bgpsecFilters": []},
            "locallyAddedAssertions": {
                "prefixAssertions": [{"prefix": prefix, "asn": 64496} for prefix in prefixes],
                "bgpsecAssertions": [],
            },
        }
    )


def verdict(capsys: pytest.CaptureFixture[str], **files: str | bytes) -> tuple[int, list[str]]:
    for name, content in files.items():
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    status = check([*files], now=NOW)
    out, err = capsys.readouterr()
    assert err == ""
    return status, out.splitlines()


def test_of_data_it_says_what_is_in_it_what_is_dropped_and_how_old_it_is(capsys):
    roas = (ROA, ROA, ROA | {"asn": 0}, ROA | {"expires": 0}, ROA | {"prefix": "192.0.2.1/24"}, ROA | {"expires": 1})
    keys = [{"asn": 64496, "ski": "00" * 20, "pubkey": "MAMCASo=", "expires": 4_102_444_800}]
    aspas = [{"customer_asid": 64496, "providers": [64497], "expires": 4_102_444_800}]
    assert verdict(capsys, good=data(*roas, bgpsec_keys=keys, aspas=aspas)) == (
        0,
        [
            "good: OK",
            "  2 VRPs, 1 router keys, 1 ASPAs",
            "  dropped: 2 expired, 1 duplicate, 1 host_bits",
            "  built 3 hours ago",
        ],
    )


@pytest.mark.parametrize(
    ("buildtime", "age"),
    [
        ("2026-11-23T10:00:00Z", "built 0 seconds ago"),
        ("2026-11-23T09:58:01Z", "built 119 seconds ago"),
        ("2026-11-23T09:58:00Z", "built 2 minutes ago"),
        ("2026-11-21T10:00:01Z", "built 48 hours ago"),
        ("2026-11-21T10:00:00Z", "built 2 days ago"),
        ("0001-01-01T00:00:00+23:59", "built 739943 days ago"),
        ("2026-11-23T10:02:00Z", "built 2 minutes in the future"),
    ],
)
def test_the_age_is_told_in_one_unit(capsys, buildtime, age):
    assert verdict(capsys, good=data(metadata={"buildtime": buildtime}))[1][-1] == f"  {age}"


def test_data_without_a_build_time_is_as_old_as_its_file(capsys):
    status, lines = verdict(capsys, good=data(metadata={}))
    assert (status, lines[1]) == (0, "  0 VRPs, 0 router keys, 0 ASPAs")
    assert lines[2].startswith("  written ")
    assert lines[2].endswith("; it does not say when it was built")


def test_of_a_slurm_file_it_says_how_many_filters_and_assertions_there_are(capsys):
    files = {"one": slurm((1, 2), ("192.0.2.0/24",)), "two": slurm((1,), ("2001:db8::/32", "198.51.100.0/24"))}
    assert verdict(capsys, **files) == (
        0,
        [
            "one: OK",
            "  SLURM filters: 2 of VRPs, 0 of router keys, 0 of ASPAs",
            "  SLURM assertions: 1 VRPs, 0 router keys, 0 ASPAs",
            "two: OK",
            "  SLURM filters: 1 of VRPs, 0 of router keys, 0 of ASPAs",
            "  SLURM assertions: 2 VRPs, 0 router keys, 0 ASPAs",
        ],
    )


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "cut short": (data(ROA)[:-1], "not a whole JSON document: "),
    "not data": ("[]", ""),
    "a bad entry": (slurm(("AS1",)), "validationOutputFilters.prefixFilters[0].asn: expected a whole number from 0 "),
    "SLURM cut short": ('{\n"slurmVersion": 1,\n', "line 3 column 1: not JSON: "),
    "octets": (b'\xff"slurmVersion"', "line 1: not UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_file_has_its_reason_and_the_others_are_checked_too(capsys, case):
    body, reason = REFUSED[case]
    status, lines = verdict(capsys, bad=body, good=slurm())
    assert (status, lines[0], lines[2]) == (1, "bad: refused", "good: OK")
    assert lines[1].startswith(f"  {reason}")


def test_files_that_cannot_be_read_are_refused(capsys):
    Path("folder").mkdir()
    assert check(["missing", "folder"], now=NOW) == 1
    assert capsys.readouterr().out.splitlines() == [
        "missing: refused",
        "  No such file or directory",
        "folder: refused",
        "  Is a directory",
    ]


def test_slurm_files_that_conflict_are_refused_together(capsys):
    files = {"one": slurm((), ("192.0.2.0/24",)), "two": slurm((), ("192.0.2.0/25",))}
    status, lines = verdict(capsys, **files)
    assert (status, lines[0], lines[3]) == (1, "one: OK", "two: OK")
    assert lines[6:] == [
        "SLURM files: refused, for they conflict",
        "  192.0.2.0/25 in two lies within 192.0.2.0/24 in one",
    ]


def test_what_a_file_says_cannot_break_the_lines(capsys):
    _, lines = verdict(capsys, **{"a\nb": '{"slurmVersion": 1, "\u009b2J": 1}'})
    assert lines[0] == r"a\nb: refused"
    assert lines[1].startswith(r"  \u009b2J: is not known")


@pytest.mark.parametrize("argv", [[], ["-x"], ["file", "--none"]])
def test_without_files_or_with_options_it_says_how_it_is_called(capsys, argv):
    assert main(["check", *argv]) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[1]) == ("", "usage: pyrtr check [-h] [--json] FILE [FILE ...]")


def test_the_same_as_json(capsys):
    Path("good").write_text(data(ROA))
    Path("a\nb").write_text("nothing")
    assert main(["check", "--json", "good", "a\nb"]) == 1
    good, bad = json.loads(capsys.readouterr().out)["files"]
    assert (good["file"], good["good"], good["details"][0]) == ("good", True, "1 VRPs, 0 router keys, 0 ASPAs")
    assert (bad["file"], bad["good"], len(bad["details"])) == (r"a\nb", False, 1)


def test_the_command_line_checks_at_the_time_of_the_clock(capsys):
    Path("good").write_text(data(ROA | {"expires": int(time.time()) - 10}))
    assert main(["check", "good"]) == 0
    assert "  dropped: 1 expired" in capsys.readouterr().out


def test_every_file_of_other_projects_gets_a_verdict(capsys):
    paths = sorted(str(path) for path in FIXTURES.glob("*/*"))
    if not paths:
        print(f"{FIXTURES} is not there")
    for path in paths:
        status = check([path], now=NOW)
        first, *more = capsys.readouterr().out.splitlines()
        assert first == f"{path}: " + ("refused" if status else "OK")
        assert more
