"""`python kubernetes_schemas.py SWAGGER FOLDER [CRD…]`: schemas for kubeconform, of Kubernetes' own description.

Writes a file KIND.json for each kind of the OpenAPI description SWAGGER and of the definitions CRD. They are strict:
what is not described is refused.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

# Described as strings, though numbers are taken too.
NUMBERS_TOO = ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "io.k8s.apimachinery.pkg.api.resource.Quantity")


def main(swagger: str, folder: str, *definitions: str) -> None:
    """Write the schemas."""
    described = json.loads(Path(swagger).read_text())["definitions"]
    for name in NUMBERS_TOO:
        described[name] = {"type": ["string", "number"]}
    for schema in described.values():
        if kinds := schema.get("x-kubernetes-group-version-kind"):
            whole = {**schema, "definitions": _used(schema, described)}
            _write(Path(folder), kinds[0]["kind"], kinds[0]["group"], kinds[0]["version"], whole)
    for path in definitions:
        spec = yaml.safe_load(Path(path).read_text())["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            # Of the fields that all objects have.
            schema["properties"]["metadata"] = described["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]
            whole = {**schema, "definitions": _used(schema, described)}
            _write(Path(folder), spec["names"]["kind"], spec["group"], version["name"], whole)


def _used(schema: object, described: dict[str, Any]) -> dict[str, Any]:
    """The definitions that a schema refers to, and those that these do."""
    used: dict[str, Any] = {}
    waiting = [schema]
    while waiting:
        for name in re.findall(r'"#/definitions/([^"]+)"', json.dumps(waiting.pop())):
            if name not in used:
                used[name] = described[name]
                waiting.append(described[name])
    return used


def _write(folder: Path, kind: str, group: str, version: str, schema: dict[str, Any]) -> None:
    name = "-".join([kind.lower(), *filter(None, [group.split(".")[0]]), version])
    (folder / f"{name}.json").write_text(json.dumps(_strict(schema)))


def _strict(schema: Any) -> Any:  # noqa: ANN401  # JSON is anything
    """The same, with nothing in objects but what is described."""
    match schema:
        case {"x-kubernetes-int-or-string": True}:
            return {"type": ["string", "number"]}
        case {"properties": dict()} if "x-kubernetes-preserve-unknown-fields" not in schema:
            schema = {"additionalProperties": False, **schema}
    match schema:
        case dict():
            return {name: _strict(value) for name, value in schema.items()}
        case list():
            return [_strict(value) for value in schema]
        case _:
            return schema


if __name__ == "__main__":
    main(*sys.argv[1:])
