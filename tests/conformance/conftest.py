"""Every test that takes `version` runs once for each protocol version."""

import pytest
from tests.conformance.harness import ALL_VERSIONS


@pytest.fixture(params=ALL_VERSIONS, ids=lambda version: f"v{version}")
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)
