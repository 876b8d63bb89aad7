"""Which tests a run consists of: those that its database and its broker have a part in; none runs for nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests import brokers, databases

FIRST_CASE_OF: Final = (
    "tests/integration/test_web_",
    "tests/policy/",
    *(f"tests/unit/{part}/" for part in ("app", "consumers", "gallery", "leads", "probes", "publishing", "web")),
)
"""Where the cases of a test say other things to the program, which says the same to a database: the first case stands
for all on a second kind of database or broker. A test whose cases make other statements has the mark `every_case`."""
NOT_READ: Final = frozenset(
    {
        "tests/chart",
        "tests/contracts",
        "tests/deploy",
        "tests/docs",
        "tests/monitoring",
        *(
            f"tests/unit/{part}"
            for part in (
                "broker", "commands", "incidents", "leads", "matching", "milvus", "modelpacks", "mutation", "policy",
                "qualification", "reports", "telemetry",
            )
        ),
    }
)  # fmt: skip
"""Folders of which no test uses a broker or a database. On others than the embedded ones they are not even read, which
is half of what a worker does before its first test."""
_EMBEDDED: Final = (databases.SQLITE, brokers.TANSU)
_NOT_ALIKE: Final = frozenset({"every_case", databases.POSTGRESQL, brokers.KAFKA})


def of_run(items: Sequence[pytest.Item], database: str, broker: str, *, every_case: bool = False) -> list[pytest.Item]:
    """The tests among these that a run on this database and this broker consists of, in their order."""
    chosen = [item for item in items if _belongs(item, database, broker)]
    if every_case or (database, broker) == _EMBEDDED:
        return chosen
    return _first_of_like_cases(chosen)


def is_read(path: Path, root: Path, database: str, broker: str) -> bool:
    """Whether a run on this database and this broker looks there for tests."""
    return (database, broker) == _EMBEDDED or not _is_apart(path, root)


def wrongly_apart(items: Sequence[pytest.Item], root: Path) -> list[pytest.Item]:
    """Those that no run on another database or broker would find, although they are about it."""
    return [
        item for item in items if _is_apart(item.path, root) and _belongs(item, databases.POSTGRESQL, brokers.KAFKA)
    ]


def _is_apart(path: Path, root: Path) -> bool:
    inside = path.relative_to(root)
    return not NOT_READ.isdisjoint(folder.as_posix() for folder in (inside, *inside.parents))


def _belongs(item: pytest.Item, database: str, broker: str) -> bool:
    """Says of a test whether the run is about it: all but what is about another one, or what uses a chosen one."""
    markers = {marker.name for marker in item.iter_markers()}
    if "once" in markers and (database, broker) != _EMBEDDED:
        return False
    kinds = {databases.SQLITE, databases.POSTGRESQL, brokers.TANSU, brokers.KAFKA}
    if markers & (kinds - {database, broker}):
        return False
    fixtures = set(getattr(item, "fixturenames", ()))
    chosen = []
    if database != databases.SQLITE:
        chosen.append("database_server" in fixtures or database in markers)
    if broker != brokers.TANSU:
        chosen.append(bool(fixtures & {"broker", "own_broker"}) or broker in markers)
    return not chosen or any(chosen)


def _first_of_like_cases(items: list[pytest.Item]) -> list[pytest.Item]:
    """All items but the later cases of those functions whose cases are alike for a database."""
    kept: dict[str, pytest.Item] = {}
    for item in items:
        name = item.nodeid
        if name.startswith(FIRST_CASE_OF) and not _NOT_ALIKE & {marker.name for marker in item.iter_markers()}:
            name = name.partition("[")[0]
        kept.setdefault(name, item)
    return list(kept.values())
