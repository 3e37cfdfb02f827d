"""The program for tests that leave it as they found it, and a folder for those that start their own."""

from collections.abc import Iterator

import pytest
from tests.program import Program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One program with `inputs.SMALL` for all tests of a module, none of which loads anything else or stops it."""
    with Program(tmp_path_factory.mktemp("program")) as program:
        yield program


@pytest.fixture(params=(0, 1, 2), ids=lambda version: f"v{version}")
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)
