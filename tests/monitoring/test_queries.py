"""Every query of the alerts and the dashboard names series, labels and values that the program tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.monitoring.exposition import Family
from tests.monitoring.promql import Expression, parse
from tests.monitoring.test_alerts import RULES, promtool

DASHBOARD: dict[str, Any] = json.loads((Path(__file__).parents[2] / "monitoring" / "dashboard.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# What Prometheus itself adds.
TARGET_LABELS = {"instance", "job"}
SYNTHETIC = {"up": Family("gauge", {"up": {}})}


def queries() -> Iterator[tuple[str, str, str]]:
    """Where each stands, the expression, and the text that is made of its labels."""
    for rule in RULES:
        texts = " ".join(rule["annotations"].values())
        yield rule["alert"], rule["expr"], re.sub(r"\$labels\.(\w+)", r"{{\1}}", texts)
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"], target["legendFormat"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"], annotation["textFormat"]


QUERIES = {where: (expression, text) for where, expression, text in queries()}


def faults(expression: Expression, text: str, known: dict[str, Family]) -> Iterator[str]:
    """What an expression, and a text made of its labels, name that does not exist."""
    series = {name: labels for family in (known | SYNTHETIC).values() for name, labels in family.series.items()}
    yield from (f"no series {name}" for name in expression.names - series.keys())
    if not expression.names:
        yield "no series at all"
    labels = TARGET_LABELS.union(*(series.get(name, {}) for name in expression.names))
    used = set(re.findall(r"{{\s*(\w+)\s*}}", text)) | expression.groupings
    yield from (f"no label {label}" for label in used - labels)
    for matcher in expression.matchers:
        if matcher.label in TARGET_LABELS or matcher.name not in series:
            continue
        values = series[matcher.name].get(matcher.label)
        if values is None:
            yield f"{matcher.name} has no label {matcher.label}"
            continue
        wanted = matcher.value.split("|") if "~" in matcher.operator else [matcher.value]
        yield from (f"{matcher.name}: {matcher.label} is never {value}" for value in wanted if value not in values)


@pytest.mark.parametrize("where", QUERIES)
def test_it_names_what_there_is(where: str, known: dict[str, Family]) -> None:
    expression, text = QUERIES[where]
    assert [*faults(parse(expression), text, known)] == []


@pytest.mark.parametrize(
    ("expression", "text", "fault"),
    [
        ("rate(pyrtr_querys_total[5m]) > 0", "", "no series pyrtr_querys_total"),
        ("sum by (sort) (pyrtr_queries_total offset 1h)", "", "no label sort"),
        ('pyrtr_queries_total{sort="reset"}', "", "pyrtr_queries_total has no label sort"),
        ('pyrtr_queries_total{instance=~"$instance", kind="rest"}', "", "pyrtr_queries_total: kind is never rest"),
        ('pyrtr_payload{kind=~"ipv4|ipv5"}', "", "pyrtr_payload: kind is never ipv5"),
        ("pyrtr_queries_total and on (instance) pyrtr_serial", "{{kind}} {{sort}}", "no label sort"),
        ("time() - 86400", "", "no series at all"),
    ],
)
def test_what_there_is_not_is_found(expression: str, text: str, fault: str, known: dict[str, Family]) -> None:
    assert [*faults(parse(expression), text, known)] == [fault]


def test_prometheus_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    plain = {
        where: expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
        for where, (expression, _) in QUERIES.items()
    }
    assert not any("$" in expression for expression in plain.values())
    rules = [{"record": f"query:{number}", "expr": expression} for number, expression in enumerate(plain.values())]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


def test_the_dashboard_can_be_imported() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["instance"]["query"]["query"] == "label_values(pyrtr_healthy, instance)"
    assert DASHBOARD["id"] is None  # else it would take the place of another
    uids = {target["datasource"]["uid"] for panel in PANELS for target in [panel, *panel["targets"]]}
    assert uids == {"${datasource}"}
    assert all("$instance" in target["expr"] for panel in PANELS for target in panel["targets"])
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        "Health and freshness", "Payload", "Churn", "Routers", "Transports and errors", "Sources", "Process",
    ]  # fmt: skip


def test_no_panel_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + right, place["y"] + down) for right in range(place["w"]) for down in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
