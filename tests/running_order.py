"""In which order tests are handed out: the files that take long come first, so that no worker waits at the end.

`make test` hands out file after file (pytest-xdist's `loadfile`): what a file's tests share is made once, and the last
files are those that are done in no time.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest

from tests.brokers import KAFKA

_OF_TIMEOUT: Final = 1 / 8
"""Of the seconds that a test is given of its own: its mark `timeout`."""
_OF_MARK: Final[Mapping[str, float]] = MappingProxyType({KAFKA: 8})
_OF_FIXTURE: Final[Mapping[str, float]] = MappingProxyType(
    {
        "own_broker": 6, "browser": 5, "place": 4, "promtool": 2, "pytester": 2, "broker": 2,
        "database_server": 0.3, "_helm": 0.2,
    }
)  # fmt: skip
_OF_FOLDER: Final[Mapping[str, float]] = MappingProxyType({"integration": 0.5, "matching": 0.2})
_OF_OTHERS: Final = 0.02
"""How many seconds a test takes by and large: one that has the mark or the fixture or lies there, and any other."""


def longest_files_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """All of them; those of a file stay beside each other, in their order."""
    seconds: defaultdict[Path, float] = defaultdict(float)
    for item in items:
        seconds[item.path] += _guess(item)
    return sorted(items, key=lambda item: (-seconds[item.path], item.path))


def _guess(item: pytest.Item) -> float:
    """What takes longest of all that it has."""
    fixtures = set(getattr(item, "fixturenames", ()))
    given = item.get_closest_marker("timeout")
    return max(
        _OF_FOLDER.get(item.path.parent.name, _OF_OTHERS),
        _OF_TIMEOUT * given.args[0] if given else 0,
        *(seconds for name, seconds in _OF_MARK.items() if item.get_closest_marker(name)),
        *(seconds for name, seconds in _OF_FIXTURE.items() if name in fixtures),
    )
