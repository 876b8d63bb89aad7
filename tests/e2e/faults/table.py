"""The table of what was done and what came of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. count: how often it was done, 0 when it was left out. lost, doubled, wrong: how many events, probes,
    leads or places of the feed are; remark: what was not done, or how it was done."""

    fault: str
    count: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    recovery_seconds: float = 0.0
    remark: str = ""
    problems: tuple[str, ...] = ()


_HEAD = ("fault", "count", "lost", "doubled", "wrong", "recovery s", "remark")


def cells(row: Row) -> tuple[str, ...]:
    return (
        row.fault,
        str(row.count),
        str(row.lost),
        str(row.doubled),
        str(row.wrong),
        f"{row.recovery_seconds:.1f}" if row.count else "",
        row.remark,
    )


def markdown(rows: Sequence[Row]) -> str:
    """The table for a document."""
    lines = [_HEAD, ("---", *("---:" for _ in _HEAD[1:-1]), "---"), *map(cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(rows: Sequence[Row], folder: Path) -> None:
    """Writes faults.json and faults.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "faults.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    (folder / "faults.md").write_text(markdown(rows), encoding="utf-8")
