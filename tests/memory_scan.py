"""Looks for bytes where they must not be: in files, and in the memory of processes as the kernel shows it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

Needles = Mapping[str, bytes]
"""By name, what is looked for: long enough that it is nowhere by chance."""

_PIECE_BYTES: Final = 16 << 20
_LEAST_BYTES: Final = 16


def windows(name: str, content: bytes, size: int = 32, count: int = 16) -> dict[str, bytes]:
    """So many pieces of the content, spread over it, each with as many different bytes as an ordinary one has.

    A copy of a part of it holds some of them. A piece of one colour would be found anywhere.
    """
    step = max(size, (len(content) - size) // count)
    found = {f"{name} at {at}": content[at : at + size] for at in range(0, len(content) - size + 1, step)}
    return {where: piece for where, piece in found.items() if len(set(piece)) >= size // 3}


def found_in_files(needles: Needles, *folders: Path) -> list[str]:
    """Which of the needles is in which file below the folders. What a server removes meanwhile is left out."""
    found = []
    for file in sorted(file for folder in folders for file in _files(folder)):
        with suppress(FileNotFoundError):
            content = file.read_bytes()
            found += [f"{name} in {file}" for name, needle in needles.items() if needle in content]
    return found


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):  # which passes over a folder that is gone when its turn comes
        yield from (file for name in names if (file := Path(place, name)).is_file() and not file.is_symlink())


def found_in_memory(needles: Needles, process_id: int) -> list[str]:
    """Which of the needles is where in the memory of a process; it may go on working meanwhile."""
    assert all(len(needle) >= _LEAST_BYTES for needle in needles.values())
    overlap = max(map(len, needles.values())) - 1
    found = []
    with Path(f"/proc/{process_id}/mem").open("rb", 0) as memory:
        for start, end, name in _resident(process_id):
            for at in range(start, end, _PIECE_BYTES):
                piece = _read(memory.fileno(), at, min(_PIECE_BYTES + overlap, end - at))
                found += [f"{needle} in {name} at {at:x}" for needle, bytes_ in needles.items() if bytes_ in piece]
    return found


def family(process_id: int) -> list[int]:
    """The process and everything that it has started, their children too."""
    found = [process_id]
    for one in found:
        for task in _tasks(one):
            found += [int(child) for child in _text(Path(f"/proc/{one}/task/{task}/children")).split()]
    return found


def _tasks(process_id: int) -> list[str]:
    try:
        return [task.name for task in Path(f"/proc/{process_id}/task").iterdir()]
    except FileNotFoundError:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _resident(process_id: int) -> Iterator[tuple[int, int, str]]:
    """The readable parts of which anything is in memory or swapped out, each with its name."""
    start = end = 0
    name, readable, held = "", False, 0
    for line in [*_text(Path(f"/proc/{process_id}/smaps")).splitlines(), "0-0 ---p 0 0 0"]:
        first, *rest = line.split()
        if first in {"Rss:", "Swap:"}:
            held += int(rest[0])
        elif "-" in first and not first.endswith(":"):
            if readable and held:
                yield start, end, name
            start, end = (int(text, 16) for text in first.split("-"))
            readable, held, name = "r" in rest[0], 0, rest[4] if len(rest) > 4 else "anonymous memory"


def _read(descriptor: int, at: int, size: int) -> bytes:
    """What the kernel shows of it: nothing of a part that has gone, or is a device's."""
    try:
        return os.pread(descriptor, size, at)
    except OSError:
        return b""
