"""The blocks of a page that are marked to be run, and the files that it has a reader write.

    <!-- file: NAME -->                        the block after it is the content of a file
    <!-- runnable -->                          the shell block after it is run
    <!-- runnable after: OTHER-PAGE.md -->     likewise, where that page's blocks were run before

All of a page run in one shell, in their order, and the first command that fails ends it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
_MARK: Final = re.compile(r"^<!-- (?P<kind>runnable|file)(?: after)?(?:: (?P<name>[A-Za-z0-9._-]+))? -->$")
_FENCE: Final = re.compile(r"^```(?P<language>[a-z]*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """A marked block. name: of the file to write, or of the page before; None for a block that goes on in its page."""

    kind: str
    name: str | None
    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The marked blocks in their order. Raises ValueError for a mark that no block follows."""
    return list(_blocks(page.read_text(encoding="utf-8").splitlines(), page.name))


def _blocks(lines: list[str], page: str) -> Iterator[Block]:
    for number, line in enumerate(lines):
        mark = _MARK.match(line)
        if mark is None:
            if line.startswith(("<!-- runnable", "<!-- file")):
                raise ValueError(f"{page}, line {number + 1}: the mark {line} cannot be read")
            continue
        start = next((at for at in range(number + 1, len(lines)) if lines[at]), len(lines))
        fence = _FENCE.match(lines[start]) if start < len(lines) else None
        if fence is None:
            raise ValueError(f"{page}, line {number + 1}: no block follows the mark")
        end = lines.index("```", start + 1)
        text = "\n".join(lines[start + 1 : end]) + "\n"
        yield Block(mark["kind"], mark["name"], fence["language"], text, start + 1)


def script(page: Path) -> str:
    """What a reader of the page would type, as one script; files are written where they stand on the page."""
    parts: list[str] = []
    for block in blocks(page):
        if block.kind == "file":
            parts.append(f"cat > {block.name} <<'END-OF-FILE'\n{block.text}END-OF-FILE\n")
        else:
            parts.append(f"echo '--- {page.name}, line {block.line}'\n{block.text}")
    return "".join(parts)


def page_before(page: Path) -> Path | None:
    """The page whose blocks have to be run first, if this one names one."""
    return next((page.parent / one.name for one in blocks(page) if one.kind == "runnable" and one.name), None)


def runnable_pages() -> list[Path]:
    """Every page with a block to run."""
    return [page for page in sorted(DOCS.rglob("*.md")) if any(one.kind == "runnable" for one in blocks(page))]
