"""Imports point one way, `payload ← wire ← session ← everything else`, and the pure packages stay pure."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pyrtr

SOURCE = Path(pyrtr.__file__).parent.parent

# What each pure package may import of pyrtr.
ALLOWED_ROOMS = {
    "payload": {"payload", "errors"},
    "wire": {"payload", "wire", "errors"},
    "session": {"payload", "wire", "session", "errors"},
    "errors": set[str](),
}
# What they may import from elsewhere: value modules, which know no socket, clock, task, file or logger.
VALUE_MODULES = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "heapq",
    "ipaddress",
    "itertools",
    "math",
    "numpy",
    "operator",
    "struct",
    "types",
    "typing",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((SOURCE / "pyrtr").rglob("*.py"))}


def room_of(module: str) -> str:
    """`wire` of `pyrtr.wire.codec`; nothing of `pyrtr` itself."""
    return [*module.split("."), ""][1]


PURE = [module for module in MODULES if room_of(module) in ALLOWED_ROOMS]


def imports_of(module: str, nodes: Iterator[ast.AST]) -> set[str]:
    """The modules that import statements name; `from package import module` is told from `from module import name`."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            members = {f"{base}.{alias.name}" for alias in node.names}
            names |= {member if member in MODULES else base for member in members}
    return names


def all_imports(module: str) -> set[str]:
    """Those in functions and for type checkers too."""
    return imports_of(module, ast.walk(ast.parse(MODULES[module].read_text("utf-8"))))


def imports_on_load(module: str) -> set[str]:
    """Those that run when the module is loaded."""
    return imports_of(module, iter(ast.parse(MODULES[module].read_text("utf-8")).body))


def test_the_rooms_are_where_this_test_looks():
    assert {"payload", "wire", "errors"} <= {room_of(module) for module in PURE}
    assert "pyrtr.payload.values" in all_imports("pyrtr.wire.codec")
    assert "struct" in all_imports("pyrtr.wire.codec")


@pytest.mark.parametrize("module", PURE)
def test_imports_point_one_way(module):
    rooms = {room_of(name) for name in all_imports(module) if name.split(".")[0] == "pyrtr"}
    assert rooms <= ALLOWED_ROOMS[room_of(module)]


@pytest.mark.parametrize("module", PURE)
def test_pure_packages_import_values_only(module):
    outside = {name.split(".")[0] for name in all_imports(module)} - {"pyrtr"}
    assert outside <= VALUE_MODULES


def test_no_module_needs_itself_to_load():
    graph = {module: imports_on_load(module) & MODULES.keys() for module in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_imported(module):
    assert importlib.import_module(module).__doc__
