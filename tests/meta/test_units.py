"""The units of systemd: understood by it, and as closed as we say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "packaging" / "systemd"
UNITS = sorted(path.name for path in FOLDER.iterdir())
MAX_EXPOSURE = 2.0
# `.ci/run` installs it. Where there is no systemd, its units are not used either.
ANALYZE = shutil.which("systemd-analyze")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_all_units_are_known():
    assert UNITS == ["pyrtr-http.socket", "pyrtr.service", "pyrtr.socket"]


if ANALYZE is not None:

    @pytest.fixture
    def units(tmp_path: Path) -> Path:
        """The units with a program that exists."""
        for name in UNITS:
            text = (FOLDER / name).read_text()
            (tmp_path / name).write_text(text.replace("/opt/pyrtr/bin/pyrtr", f"{sys.executable} -m pyrtr"))
        return tmp_path

    def test_the_exposure_is_low(units: Path):
        threshold = f"--threshold={MAX_EXPOSURE * 10:.0f}"
        result = analyze("security", "--offline=true", threshold, str(units / "pyrtr.service"))
        assert result.returncode == 0, result.stdout

    @pytest.mark.parametrize("name", UNITS)
    def test_systemd_understands_every_line(units: Path, name: str):
        result = analyze("verify", "--man=no", str(units / name))
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
