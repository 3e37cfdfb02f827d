"""What a program exposes: the families of a text in Prometheus' format, with the labels and values of each series."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}


@dataclass
class Family:
    """One family.

    Attributes:
        kind: its type.
        series: its sample names, each with the values that its labels have.
    """

    kind: str
    series: dict[str, dict[str, set[str]]] = field(default_factory=dict)

    @property
    def labels(self) -> set[str]:
        return {label for labels in self.series.values() for label in labels} - {"le"}


def families(text: str) -> dict[str, Family]:
    """By their names in the text: `x_total` for a counter."""
    found = {name: Family(kind) for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)}
    for parsed in text_string_to_metric_families(text):
        for sample in parsed.samples:
            labels = _family_of(sample.name, found).series.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def _family_of(name: str, found: dict[str, Family]) -> Family:
    if name in found:
        return found[name]
    return next(
        family
        for prefix, family in found.items()
        if any(name == prefix + suffix for suffix in _SUFFIXES.get(family.kind, ()))
    )
