"""Hooks of mkdocs: the site is docs/, README.md, and whatever else of the project these link to.

A file of docs/ stands at the root of the site, any other one at its path in the project: so a link that leaves docs/
has one step up too many there, and one into docs/ a folder too many.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")


def on_files(files: Files, *, config: MkDocsConfig) -> None:
    """Add README.md, and what the pages link to outside docs/."""
    pages = ["README.md", *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    add(files, "README.md", config)
    for page in pages:
        for target in (resolve(page, link) for link in LINK.findall((ROOT / page).read_text())):
            if (ROOT / target).is_file() and files.get_file_from_path(target.removeprefix("docs/")) is None:
                add(files, target, config)
                if target.endswith(".md"):
                    pages.append(target)


def add(files: Files, path: str, config: MkDocsConfig) -> None:
    """Take a file of the project into the site."""
    files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))


def resolve(page: str, link: str) -> str:
    """The path in the project that a link on a page means."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Make links on a page lead to where their targets are in the site."""
    assert page.file.abs_src_path is not None
    path = Path(page.file.abs_src_path).relative_to(ROOT).as_posix()

    def there(match: re.Match[str]) -> str:
        target = resolve(path, match[1]).removeprefix("docs/")
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")

    return LINK.sub(there, markdown)
