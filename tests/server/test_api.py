"""The real program's `/api/v1`: every endpoint as its OpenAPI document says, whatever is asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from tests.inputs import SMALL
from tests.program import Program
from tests.property.strategies import asns, vrps

from pyrtr.web.api.documentation import document

TOKEN = "hunter2hunter2hunter2"
EXAMPLES = 15
ENDLESS = "/api/v1/events"
OPERATIONS = [
    (path, method) for path, methods in json.loads(document())["paths"].items() for method in methods if path != ENDLESS
]

# What no pattern can say: a prefix has no bit beyond its length.
schemathesis.openapi.format("prefix", vrps().map(lambda vrp: str(vrp.prefix)))
schemathesis.openapi.format("asn", asns.map(lambda asn: f"AS{asn}") | asns.map(str))
schemathesis.openapi.format("asn-above-0", st.integers(1, 2**32 - 1).map(str))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("api"), SMALL, HTTP_TOKEN=TOKEN) as program:
        yield program


@pytest.fixture(scope="module")
def schema(program: Program):
    return schemathesis.openapi.from_url(f"http://{program.web[0]}:{program.web[1]}/api/v1/openapi.json")


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_as_it_is_described(program, schema, path, method, mode):
    """Schemathesis sends what the document allows, and what it does not, and looks at what comes back."""
    operation = schema[path][method]
    if mode is GenerationMode.NEGATIVE and not (operation.query or operation.path_parameters or operation.body):
        return  # there is nothing that it could get wrong

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case):
        is_part = case.query and case.query.get("format") == "rpki-client" and len(case.query) > 1
        assume(mode is GenerationMode.NEGATIVE or not is_part)  # each is allowed, but not beside the other
        case.call_and_validate()

    ask()
    assert "Traceback" not in program.log.read_text()
