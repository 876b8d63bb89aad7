"""Follows every link and anchor of a built site, and refuses what a browser would load from elsewhere.

`scripts/check_site.py FOLDER` prints what is wrong and exits with 1. Links to other sites are for readers to follow and
are not asked for: a build must not depend on them.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

LOADED: Final = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}
"""What a browser fetches by itself, by element; `link` depends on what it is for."""
LOADING_RELATIONS: Final = frozenset({"stylesheet", "icon", "preload", "prefetch", "modulepreload", "preconnect"})
_CSS_ADDRESS: Final = re.compile(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""")


@dataclass
class Page(HTMLParser):
    """What one page links to, loads, and can be linked to by."""

    file: Path
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value is not None}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in LOADED and LOADED[tag] in values:
            self.loads.append(values[LOADED[tag]])
        elif tag == "link" and LOADING_RELATIONS & set(values.get("rel", "").split()):
            self.loads.append(values.get("href", ""))


def problems(site: Path) -> Iterator[str]:
    """What is wrong with the site in that folder, a sentence each."""
    pages = {file: Page(file) for file in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site} holds no page"
    for file, page in pages.items():
        here = file.relative_to(site)
        for link in page.links:
            if problem := _of_link(site, file, link, pages):
                yield f"{here}: {problem}"
        for address in page.loads:
            yield from (f"{here}: {problem}" for problem in _of_loaded(site, file, address))
    for sheet in sorted(site.rglob("*.css")):
        for first, second in _CSS_ADDRESS.findall(sheet.read_text(encoding="utf-8")):
            yield from (f"{sheet.relative_to(site)}: {one}" for one in _of_loaded(site, sheet, first or second))


def _of_link(site: Path, page: Path, link: str, pages: dict[Path, Page]) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    target = _file(site, page, parts.path)
    if target is None:
        return f"the link {link} leads nowhere"
    # The theme links to the top of a page as `#__…` and makes that by script; `#` alone is the top for every browser.
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return f"the link {link} names an anchor that {target.relative_to(site)} does not have"
    return None


def _of_loaded(site: Path, file: Path, address: str) -> Iterator[str]:
    parts = urlsplit(address)
    if parts.scheme == "data":
        return
    if parts.scheme or parts.netloc:
        yield f"{address} is loaded from elsewhere"
    elif parts.path and _file(site, file, parts.path) is None:
        yield f"{address} is loaded and is not there"


def _file(site: Path, page: Path, path: str) -> Path | None:
    """The file that a path on a page means, as a web server would serve it; None when there is none in the site."""
    if not path:
        return page
    base = site if path.startswith("/") else page.parent
    target = (base / unquote(path).lstrip("/")).resolve()
    if not target.is_relative_to(site.resolve()):
        return None
    if target.is_dir():
        target /= "index.html"
    return site / target.relative_to(site.resolve()) if target.is_file() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("site", type=Path)
    found = list(problems(parser.parse_args().site))
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
