"""Every input that fuzzing starts from, and every one that it has ever found, keeps its promise."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import CORPUS, TARGETS

INPUTS = sorted(path for path in CORPUS.glob("*/*"))


def test_every_target_has_a_corpus():
    assert {path.parent.name for path in INPUTS} == TARGETS.keys() == seeds().keys()


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_keeps_its_promise(path: Path):
    TARGETS[path.parent.name](path.read_bytes())
