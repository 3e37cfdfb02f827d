"""What is shipped fits the program: settings that it has, ports that it binds, paths that are there, all its files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyrtr.settings import VARIABLES, Settings

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
CHART = PACKAGING / "helm" / "pyrtr"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
KNOWN = VARIABLES.keys()
DEFAULTS = Settings()

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((PACKAGING / "compose.yaml").read_text())["services"]
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
TEMPLATES = "".join(path.read_text() for path in sorted((CHART / "templates").iterdir()))
UNIT = (PACKAGING / "systemd" / "pyrtr.service").read_text()
RULES = (PACKAGING / "debian" / "rules").read_text()


def environment_file() -> str:
    """What /etc/default/pyrtr is made of."""
    command = [sys.executable, str(PACKAGING / "environment.py")]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def dockerfile(instruction: str) -> list[str]:
    """What follows an instruction, wherever it stands, with lines that go on joined."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return re.findall(rf"^{instruction} (.*)$", text, re.MULTILINE)


def test_the_file_of_settings_lists_all_of_them_with_their_defaults():
    lines = re.findall(r"^#([A-Z0-9_]+)=(.*)$", environment_file(), re.MULTILINE)
    expected = {
        name: variable.syntax.write(getattr(DEFAULTS, variable.attribute)) for name, variable in VARIABLES.items()
    }
    assert dict(lines) == {name: default.removeprefix("-") for name, default in expected.items()}
    assert len(lines) == len(VARIABLES)


def test_the_file_of_settings_says_nothing_until_it_is_edited():
    assert [line for line in environment_file().splitlines() if line and not line.startswith("#")] == []


def test_the_file_of_settings_means_the_defaults_without_its_comment_signs():
    given = dict(re.findall(r"^#([A-Z0-9_]+)=(.*)$", environment_file(), re.MULTILINE))
    assert Settings.load(given) == (DEFAULTS, [])


def test_the_image_sets_what_is_known():
    (environment,) = dockerfile("ENV")
    given = dict(pair.split("=", 1) for pair in environment.split())
    assert given.pop("PATH") == "/opt/pyrtr/bin:$PATH"
    settings, warnings = Settings.load(given)
    assert (settings.host, settings.state, warnings) == (("0.0.0.0", "::"), Path("/state"), [])


def test_the_image_exposes_the_ports_of_the_program():
    assert dockerfile("EXPOSE") == [f"{DEFAULTS.rtr_port} {DEFAULTS.http_port}"]


def test_the_image_keeps_its_state_on_a_volume_and_is_not_root():
    assert dockerfile("VOLUME") == ["/state"]
    (user,) = dockerfile("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert f"fsGroup: {user.partition(':')[0]}\n" in TEMPLATES


def test_signals_reach_the_program_in_the_image():
    """No shell stands between."""
    assert [json.loads(text) for text in dockerfile("ENTRYPOINT")] == [["pyrtr"]]
    assert dockerfile("CMD") == []


def test_what_the_image_is_built_of_is_there_and_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [word for text in dockerfile("COPY") if "--from" not in text for word in text.split()[:-1]]
    assert copied
    assert [path for path in copied if not (ROOT / path).exists() or path.split("/")[0] not in kept] == []


def test_compose_sets_and_publishes_what_is_known():
    cache = COMPOSE["pyrtr"]
    assert cache["environment"].keys() <= KNOWN
    published = {int(port.rpartition(":")[2]) for port in cache["ports"]}
    assert published == {DEFAULTS.rtr_port, DEFAULTS.http_port}
    router = (PACKAGING / "frr" / "frr.conf").read_text()
    assert f"rpki cache pyrtr {DEFAULTS.rtr_port} " in router


@pytest.mark.parametrize("path", sorted((PACKAGING / "helm" / "values").iterdir()), ids=lambda path: path.stem)
def test_values_are_of_the_chart_and_settings_are_known(path: Path):
    given = yaml.safe_load(path.read_text())
    assert given["settings"].keys() <= KNOWN
    assert list(_unknown(given, VALUES)) == []


def _unknown(given: dict[str, Any], known: dict[str, Any]) -> Iterator[str]:
    for name, value in given.items():
        if name not in known:
            yield name
        elif isinstance(value, dict) and known[name] and name != "settings":
            yield from _unknown(value, known[name])


def test_the_chart_sets_what_is_known():
    named = set(re.findall(r"- name: ([A-Z][A-Z0-9_]*)$", TEMPLATES, re.MULTILINE))
    assert {"LOCATION", "STATE", "TLS_CERT", "FLEET"} <= named <= KNOWN
    assert VALUES["settings"].keys() <= KNOWN


def test_every_value_of_the_chart_is_used():
    assert [name for name in VALUES if f".Values.{name}" not in TEMPLATES] == []


def test_the_chart_is_of_this_release():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (PROJECT["version"], PROJECT["version"])


def test_old_data_restarts_no_pod_and_takes_none_away():
    assert re.findall(r"path: (/\w+)", TEMPLATES.partition("readinessProbe:")[2])[:2] == ["/readyz", "/metrics"]


def test_the_package_puts_the_program_where_the_unit_starts_it():
    assert "ExecStart=/opt/pyrtr/bin/pyrtr\n" in UNIT
    assert "debian/pyrtr/opt/pyrtr\n" in RULES
    assert "EnvironmentFile=-/etc/default/pyrtr\n" in UNIT
    assert "> debian/pyrtr.default\n" in RULES


def test_the_wheel_holds_every_file_of_the_program(tmp_path: Path):
    """Also those that are not Python: pages, styles, py.typed."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), "."]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60, env={**os.environ, "PIP_NO_INPUT": "1"})
    (wheel,) = tmp_path.glob("pyrtr-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("pyrtr/")}
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert held == {name.removeprefix("src/") for name in listed.splitlines()}


@pytest.mark.parametrize("name", ["try-image", "try-chart", "build-deb", "debian/rules"])
def test_scripts_can_be_run(name: str):
    assert os.access(PACKAGING / name, os.X_OK)
