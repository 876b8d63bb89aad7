"""The rates of the demo's check fail when they should."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from rtcc_bridge.demo import rates
from rtcc_bridge.demo.checklist import CheckFailedError, Checklist
from rtcc_bridge.demo.pictures import Person
from rtcc_bridge.demo.rates import measure
from rtcc_bridge.demo.story import Searched, Story


class PlayedBack:
    """A story whose searches end as the probe's file says: its lead and the type of its first event."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checklist = Checklist(Console(quiet=True))

        async def incident() -> str:
            return "INC-1"

        async def on_floor(*_: Any) -> None:
            return None

        async def search(_story: Any, _incident: str, _request: Any, picture: bytes) -> Searched:
            lead_id, kind = picture.decode().split()
            return Searched({}, {"type": kind, "data": {"leadId": lead_id}})

        self.publish_incident = incident
        monkeypatch.setattr(rates, "on_floor", on_floor)
        monkeypatch.setattr(rates, "search", search)


def people(folder: Path, prefix: str, kinds: Sequence[str]) -> list[Person]:
    made = []
    for number, kind in enumerate(kinds):
        name = f"{prefix}{number}"
        probe = folder / name
        probe.write_text(f"{name if kind == 'lead.candidates' else 'other'} {kind}")
        made.append(Person(name, (), probe))
    return made


async def own_name(lead_id: str) -> str | None:
    return lead_id


async def rates_hold(folder: Path, monkeypatch: pytest.MonkeyPatch, found: int, silent: int) -> Person:
    mated = people(folder, "mated", ["lead.candidates"] * found + ["lead.no_candidate"] * (10 - found))
    nonmated = people(folder, "other", ["lead.no_candidate"] * silent + ["lead.candidates"] * (10 - silent))
    return await measure(cast("Story", PlayedBack(monkeypatch)), mated, nonmated, own_name)


async def test_rates_at_the_limits_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await rates_hold(tmp_path, monkeypatch, found=8, silent=9)).reference == "mated0"


@pytest.mark.parametrize(("found", "silent", "words"), [(7, 10, "70%"), (10, 8, "80%")])
async def test_rates_below_the_limits_fail(
    found: int, silent: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckFailedError, match=words):
        await rates_hold(tmp_path, monkeypatch, found, silent)
