"""Print poetry.lock as pip requirements with hashes, so that pip alone installs exactly what is locked.

`requirements.py` prints what developing takes, `requirements.py main` what running does.
"""

import sys
import tomllib
from pathlib import Path


def main() -> None:
    """Write one requirement a package, of all groups or of those named, to standard output."""
    lock = tomllib.loads((Path(__file__).parent.parent / "poetry.lock").read_text())
    groups = set(sys.argv[1:])
    for package in lock["package"]:
        if groups and groups.isdisjoint(package["groups"]):
            continue
        markers = package.get("markers", "")
        if isinstance(markers, dict):  # a marker for each group: needed where any of them holds
            markers = " or ".join(f"({marker})" for marker in markers.values())
        marker = f" ; {markers}" if markers else ""
        hashes = "".join(f" --hash={file['hash']}" for file in package["files"])
        sys.stdout.write(f"{package['name']}=={package['version']}{marker}{hashes}\n")


if __name__ == "__main__":
    main()
