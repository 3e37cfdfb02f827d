"""Every alert fires when it should, keeps quiet when it should, and says what to do: as promtool judges."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.monitoring.cases import CASES, MORE, Series

from pyrtr.session.actions import Parting

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "monitoring" / "alerts.yml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
SEVERITIES = {"critical", "warning", "info"}
LABELS = {"instance": "cache:8080", "job": "pyrtr"}


def promtool(*arguments: str | Path, given: str | None = None) -> str:
    """Run it, with this on its standard input; what it says, if it finds nothing wrong."""
    found = shutil.which("promtool")
    assert found is not None, "promtool is missing: apt-get install --no-install-recommends prometheus has it"
    done = subprocess.run([found, *arguments], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def trial(alert: str, series: Series, after: str, *, fires: bool) -> dict[str, Any]:
    """A test of one alert, as promtool reads them."""
    firing = f'group(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    return {
        "name": f"{alert} {'fires' if fires else 'is quiet'}",
        "interval": "1m",
        "input_series": [{"series": with_target(name), "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": firing, "eval_time": after, "exp_samples": [{"labels": "{}", "value": 1}] if fires else []}
        ],
    }


def with_target(series: str) -> str:
    """The series as it is after a scrape."""
    name, _, labels = series.partition("{")
    given = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    return f"{name}{{{','.join(f'{label}={json.dumps(value)}' for label, value in (LABELS | given).items())}}}"


def judge(folder: Path, *trials: dict[str, Any]) -> None:
    file = folder / "trials.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": list(trials)}))
    promtool("test", "rules", file)


def test_the_rules_are_well_formed():
    assert f"{len(RULES)} rules found" in promtool("check", "rules", ALERTS)


def test_every_alert_is_tried():
    names = [rule["alert"] for rule in RULES]
    assert sorted(names) == sorted(CASES)
    assert MORE.keys() <= CASES.keys()


@pytest.mark.parametrize("alert", CASES)
def test_it_fires_when_it_should_and_only_then(alert, tmp_path):
    case = CASES[alert]
    more = [trial(alert, MORE[alert], case.after, fires=True)] if alert in MORE else []
    judge(
        tmp_path,
        trial(alert, case.fires, case.after, fires=True),
        *more,
        trial(alert, case.is_quiet, case.after, fires=False),
    )


def test_a_trial_can_fail(tmp_path):
    case = CASES["PyrtrDown"]
    with pytest.raises(AssertionError, match="FAILED"):
        judge(tmp_path, trial("PyrtrDown", case.is_quiet, case.after, fires=True))


def test_what_somebody_reads_at_night(tmp_path):
    """The texts as they arrive."""
    rule = next(rule for rule in RULES if rule["alert"] == "PyrtrTrustAnchorShrunk")
    told = {
        "summary": "Trust anchor example has lost much on cache:8080",
        "description": "It had 500 VRPs an hour ago, and has lost a fifth of them or more. "
        "Compare with another validator.",
        "runbook": rule["annotations"]["runbook"],
    }
    case = CASES["PyrtrTrustAnchorShrunk"]
    told_at_night = trial("PyrtrTrustAnchorShrunk", case.fires, case.after, fires=True)
    labels = {**LABELS, "ta": "example", "severity": "warning"}
    expected = [{"exp_labels": labels, "exp_annotations": told}]
    told_at_night["alert_rule_test"] = [
        {"eval_time": case.after, "alertname": "PyrtrTrustAnchorShrunk", "exp_alerts": expected}
    ]
    judge(tmp_path, told_at_night)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_it_says_what_is_wrong_and_where_to_read_on(rule):
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["labels"]["severity"] in SEVERITIES
    document, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / document).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert "{{ $labels.instance }}" in rule["annotations"]["summary"]


def test_the_document_lists_every_alert_with_its_severity():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs" / "monitoring.md").read_text(), re.MULTILINE)
    assert rows == [(rule["alert"], rule["labels"]["severity"]) for rule in RULES]


def test_the_document_lists_every_parting():
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \|$", (ROOT / "docs" / "operating.md").read_text(), re.MULTILINE)
    assert set(Parting) <= set(rows)
