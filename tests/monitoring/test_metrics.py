"""What a program tells that has met with everything: well formed, and all of it in `docs/metrics.md`."""

from __future__ import annotations

import re
from pathlib import Path

from tests.monitoring.exposition import Family
from tests.monitoring.test_alerts import promtool

DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


def documented() -> dict[str, tuple[str, set[str], str]]:
    """Type, labels and meaning by name."""
    found: dict[str, tuple[str, set[str], str]] = {}
    for line in DOCUMENT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            parts = cells[2].split(";") if ":" in cells[2] else cells[2].split(",")
            labels = {part.split("`")[1] for part in parts if part.strip()}
            found |= dict.fromkeys(re.findall("`([^`]+)`", cells[0]), (cells[1], labels, cells[3]))
    return found


def test_every_family_has_a_series(known: dict[str, Family]) -> None:
    """Else its labels could not be told."""
    assert [name for name, family in known.items() if not family.series] == []


def test_every_metric_is_documented_with_its_type_and_labels_and_no_other(known: dict[str, Family]) -> None:
    told = {name: (kind, labels) for name, (kind, labels, _) in documented().items()}
    assert told == {name: (family.kind, family.labels) for name, family in known.items()}


def test_values_of_labels_that_are_documented_exist(known: dict[str, Family]) -> None:
    """In a cell such as "`a`: `x`, `y`; `b`" the values of `a` are those that there are."""
    for line in DOCUMENT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 4 or ":" not in cells[2] or "to" in cells[2].split():
            continue
        name = cells[0].strip("`")
        for part in cells[2].split(";"):
            label, _, values = part.partition(":")
            found = {value for each in known[name].series.values() for value in each.get(label.strip(" `"), set())}
            assert set(re.findall("`([^`]+)`", values)) <= found | {""}, f"{name}: {part}"


def test_units(known: dict[str, Family]) -> None:
    """A name says its unit: base units, at its end."""
    for name, (kind, _, meaning) in documented().items():
        stem = name.removesuffix("_total")
        assert (kind == "counter") == (stem != name), name
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|percent|ratio)$", stem), name
        assert ("Unix time" in meaning) == stem.endswith(("_timestamp_seconds", "_start_time_seconds")), name
        assert meaning, name
    assert known


def test_promtool_finds_nothing_wrong(exposed: str) -> None:
    promtool("check", "metrics", given=exposed)


def test_nothing_tells_when_it_was_created(exposed: str) -> None:
    """OpenMetrics would allow it; it doubles what is scraped, and start times are told by the process."""
    assert "_created" not in exposed
