"""The program for tests that leave it as they found it, and a folder for those that start their own."""

from collections.abc import Iterator

import pytest
from tests.carriers import CARRIERS, Carrier
from tests.program import Program


@pytest.fixture(params=CARRIERS, scope="module")
def carrier(request: pytest.FixtureRequest) -> Carrier:
    """By which routers come: a test that asks for this runs over each transport."""
    return CARRIERS[request.param]()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, carrier: Carrier) -> Iterator[Program]:
    """One program with `inputs.SMALL` for all tests of a module, none of which loads anything else or stops it."""
    with Program(tmp_path_factory.mktemp("program"), carrier=carrier) as program:
        yield program


@pytest.fixture(params=(0, 1, 2), ids=lambda version: f"v{version}")
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)
