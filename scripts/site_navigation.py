"""What mkdocs.yml calls a hook: fills the navigation with the pages that are there.

An entry with a * stands for every page that matches it and that no other entry names; an entry whose page is not there
is left out, and so is a section without a page. So the site builds whichever pages a version has, and shows each once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Called by MkDocs once it has read its settings."""
    config["nav"] = filled(config["nav"], Path(config["docs_dir"]))
    return config


def filled(entries: list[Any], docs: Path) -> list[Any]:
    """The navigation `entries` with what is in the folder `docs`."""
    return _filled(entries, docs, set(_pages(entries)))


def _pages(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values():
                yield from _pages(below if isinstance(below, list) else [below])


def _filled(entries: list[Any], docs: Path, named: set[str]) -> list[Any]:
    result: list[Any] = []
    for entry in entries:
        if isinstance(entry, dict):
            sections = {title: _filled(below, docs, named) for title, below in entry.items()}
            result.extend({title: below} for title, below in sections.items() if below)
        elif "*" in entry:
            found = sorted(str(page.relative_to(docs)) for page in docs.glob(entry))
            result.extend(page for page in found if page not in named)
        elif (docs / entry).is_file():
            result.append(entry)
    return result
