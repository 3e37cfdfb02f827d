"""Hypothesis profiles: no deadline, since machines differ; in CI the same examples every time. Long tests go first."""

import os

import pytest
from hypothesis import settings

# A worker that begins with one of these at the end is waited for by the other.
LONG = {"test_kill.py", "test_follow.py", "test_replay.py"}

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)
