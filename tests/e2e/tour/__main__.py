"""Takes the pictures and outlines of `docs/tour.md` anew, of those pages that no longer look like them.

    python -m tests.e2e.tour [--all]

Needs Debian's package `chromium-headless-shell`, and npm for the libraries of the pages. It says what has changed; look
at the pictures before they are committed.
"""

import argparse
import asyncio
from pathlib import Path

from rich.console import Console

from tests.e2e.bench_kit import bring_libraries
from tests.e2e.tour.pictures import FOLDER, changes, keep, look_round, own_database, tour_site
from tests.e2e.visitors import running_browser


async def renew(folder: Path, *, everything: bool) -> None:
    """everything: also what looks the same, for which each renewal would make the repository larger."""
    console = Console()
    bring_libraries()
    async with (
        own_database() as (database, scratch),
        running_browser() as browser,
        tour_site(database, scratch) as (site, night),
    ):
        async for seen in look_round(browser, site, night, scratch):
            found = list(changes(seen, folder))
            for words in found or [f"{seen.name}: as it was"]:
                console.print(words, markup=False, highlight=False, soft_wrap=True)
            if found or everything:
                keep(seen, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes the pictures of docs/tour.md anew where a page has changed.")
    parser.add_argument("--all", action="store_true", help="also those of pages that have not")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where they lie")
    asked = parser.parse_args()
    asyncio.run(renew(asked.folder, everything=asked.all))


if __name__ == "__main__":
    main()
