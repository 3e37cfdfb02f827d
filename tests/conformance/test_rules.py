"""The rules that bind a cache's conversation are numbered B1 to B95, what routers do to it R1 to R16.

A test names those that it checks in its first line, so that none can be forgotten.
"""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
ELSEWHERE = {f"B{number}" for number in range(72, 78)}  # what may become payload at all: the tests of the sources
RULES = {f"B{number}" for number in range(1, 96)} - ELSEWHERE
HABITS = {"R1", "R2", "R4", "R5", "R7", "R10", "R11", "R15", "R16"}


def named_rules(path: Path) -> set[str]:
    """The rules that the docstrings of a file's tests name."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return set(re.findall(r"\b[BR]\d+\b", " ".join(ast.get_docstring(node) or "" for node in functions)))


def test_every_rule_is_checked() -> None:
    """All rules about the conversation, and the habits of routers that matter, are named by a test."""
    files = [*(TESTS / "conformance").glob("test_*.py"), *(TESTS / "server").glob("test_*.py")]
    assert not (RULES | HABITS) - set[str]().union(*map(named_rules, files))
