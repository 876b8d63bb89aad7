"""The rates of the demo's check fail when they should, and no still stops them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from rtcc_bridge.demo import rates
from rtcc_bridge.demo.checklist import CheckFailedError, Checklist
from rtcc_bridge.demo.client import CallError, StillRefusedError
from rtcc_bridge.demo.pictures import Person
from rtcc_bridge.demo.rates import measure
from rtcc_bridge.demo.story import Searched, Story

ALONE, AMONG_TWO, NOBODY, POOR = (
    "lead.candidates 1",
    "lead.candidates 2",
    "lead.no_candidate 0",
    "lead.rejected_quality 0",
)
REFUSED, FAILED = "refused", "failed"


class PlayedBack:
    """A story whose searches end as the probe's file says: its lead, the type of its first event, how many it lists."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.printed = io.StringIO()
        self.checklist = Checklist(Console(file=self.printed, width=200))

        async def incident() -> str:
            return "INC-1"

        async def on_floor(*_: Any) -> None:
            return None

        async def search(_story: Any, _incident: str, _request: Any, picture: bytes) -> Searched:
            lead_id, kind, *count = picture.decode().split()
            if kind == REFUSED:
                raise StillRefusedError("the still is damaged [/as it seems]")
            if kind == FAILED:
                raise CallError("POST /", 503, "not available now")
            return Searched({}, {"type": kind, "data": {"leadId": lead_id, "candidateCount": int(count[0])}})

        self.publish_incident = incident
        monkeypatch.setattr(rates, "on_floor", on_floor)
        monkeypatch.setattr(rates, "search", search)


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> PlayedBack:
    return PlayedBack(monkeypatch)


def people(folder: Path, prefix: str, outcomes: Sequence[str]) -> list[Person]:
    made = []
    for number, outcome in enumerate(outcomes):
        name = f"{prefix}{number}"
        probe = folder / name
        probe.write_text(f"{name if outcome.startswith('lead.candidates') else 'other'} {outcome}")
        made.append(Person(name, (), probe))
    return made


async def own_name(lead_id: str) -> str | None:
    return lead_id


async def measured(story: PlayedBack, mated: Sequence[Person], nonmated: Sequence[Person]) -> Person:
    return await measure(cast("Story", story), mated, nonmated, own_name)


async def rates_hold(folder: Path, story: PlayedBack, found: int, silent: int) -> Person:
    mated = people(folder, "mated", [ALONE] * found + [NOBODY] * (10 - found))
    nonmated = people(folder, "other", [NOBODY] * silent + [ALONE] * (10 - silent))
    return await measured(story, mated, nonmated)


async def test_rates_at_the_limits_pass(tmp_path: Path, story: PlayedBack) -> None:
    assert (await rates_hold(tmp_path, story, found=8, silent=9)).reference == "mated0"


@pytest.mark.parametrize(("found", "silent", "words"), [(7, 10, "70%"), (10, 8, "80%")])
async def test_rates_below_the_limits_fail(
    found: int, silent: int, words: str, tmp_path: Path, story: PlayedBack
) -> None:
    with pytest.raises(CheckFailedError, match=words):
        await rates_hold(tmp_path, story, found, silent)


async def test_who_is_expunged_was_alone_on_the_list(tmp_path: Path, story: PlayedBack) -> None:
    """The others of a longer list would still come back for the same still."""
    mated = people(tmp_path, "mated", [AMONG_TWO, AMONG_TWO, ALONE, AMONG_TWO])
    assert (await measured(story, mated, people(tmp_path, "other", [NOBODY]))).reference == "mated2"


async def test_it_is_said_when_nobody_was_alone_on_a_list(tmp_path: Path, story: PlayedBack) -> None:
    mated = people(tmp_path, "mated", [AMONG_TWO] * 3)
    with pytest.raises(CheckFailedError, match=r"the rates hold, but nobody came back as the only candidate"):
        await measured(story, mated, people(tmp_path, "other", [NOBODY]))
    assert "enrolled people on rank 1: 3 of 3 (100%)" in story.printed.getvalue()


async def test_stills_that_cannot_be_used_count_as_failures_and_are_named(tmp_path: Path, story: PlayedBack) -> None:
    mated = people(tmp_path, "mated", [REFUSED, *[ALONE] * 8])
    unreadable = tmp_path / "a folder.jpg"
    unreadable.mkdir()
    mated.append(Person("mated9", (), unreadable))
    nonmated = people(tmp_path, "other", [*[NOBODY] * 18, POOR, REFUSED])
    assert (await measured(story, mated, nonmated)).reference == "mated1"
    printed = story.printed.getvalue()
    assert "enrolled people on rank 1: 8 of 10 (80%)" in printed
    assert "others without any candidate: 18 of 20 (90%)" in printed
    assert "too poor to compare (they count as failures above): 1\n" in printed
    assert "refused or cannot be read (they count as failures above): 3\n" in printed
    assert f"{tmp_path / 'mated0'}: the still is damaged [/as it seems]\n" in printed
    assert f"{unreadable}: Is a directory\n" in printed
    assert f"{tmp_path / 'other19'}: the still is damaged" in printed


async def test_a_daemon_that_fails_is_no_refused_still(tmp_path: Path, story: PlayedBack) -> None:
    mated = people(tmp_path, "mated", [*[ALONE] * 9, FAILED])
    with pytest.raises(CallError, match="503"):
        await measured(story, mated, people(tmp_path, "other", [NOBODY]))
