"""The same story with the user's own pictures: how many enrolled people come back, how many others stay unnamed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from rtcc_bridge.demo.checklist import require
from rtcc_bridge.demo.client import StillRefusedError
from rtcc_bridge.demo.pictures import Person
from rtcc_bridge.demo.story import VIOLENT, Searched, Story, on_floor, search

SEARCHES = 50
"""At most so many people of each kind are searched."""
LEAST_RANK_ONE = 0.80
LEAST_NO_CANDIDATE = 0.90


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """What came of the stills of several people. unusable: of which there was no search, each with the reason."""

    searched: list[tuple[Person, Searched]] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)

    def of_type(self, kind: str) -> int:
        return sum(searched.lead["type"] == kind for _, searched in self.searched)


async def measure(
    story: Story,
    mated: Sequence[Person],
    nonmated: Sequence[Person],
    first_of_list: Callable[[str], Awaitable[str | None]],
) -> Person:
    """Searches for people who are enrolled and for people who are not.

    A still that is refused or cannot be read counts as a failure, as one that is too poor does, and is named.
    first_of_list tells, for a lead, the subject reference on rank 1 of its sealed list; the feed never does.
    Returns an enrolled person that came back on rank 1 with nobody else on the list: once they are expunged the same
    still gives no candidate. Raises CheckFailedError when a rate is too low or when there is no such person.
    """
    checklist = story.checklist
    incident = await story.publish_incident()
    await on_floor(story, incident)
    async with checklist.step(f"{len(mated)} enrolled people are searched"):
        enrolled = await _search_for(story, incident, mated)
        recognised = [
            (person, found)
            for person, found in enrolled.searched
            if await first_of_list(found.data["leadId"]) == person.reference
        ]
    async with checklist.step(f"{len(nonmated)} people who are not enrolled are searched"):
        others = await _search_for(story, incident, nonmated)
    no_candidate = others.of_type("lead.no_candidate")
    poor = enrolled.of_type("lead.rejected_quality") + others.of_type("lead.rejected_quality")
    unusable = enrolled.unusable + others.unusable
    mated_rate, nonmated_rate = len(recognised) / len(mated), no_candidate / len(nonmated)
    checklist.say(f"enrolled people on rank 1: {len(recognised)} of {len(mated)} ({mated_rate:.0%})")
    checklist.say(f"others without any candidate: {no_candidate} of {len(nonmated)} ({nonmated_rate:.0%})")
    checklist.say(f"stills that were too poor to compare (they count as failures above): {poor}")
    checklist.say(f"stills that were refused or cannot be read (they count as failures above): {len(unusable)}")
    for remark in unusable:
        checklist.say(f"  {remark}")
    require(mated_rate >= LEAST_RANK_ONE, f"only {mated_rate:.0%} of the enrolled came back on rank 1")
    require(nonmated_rate >= LEAST_NO_CANDIDATE, f"only {nonmated_rate:.0%} of the others gave no candidate")
    alone = [person for person, found in recognised if found.data["candidateCount"] == 1]
    require(
        bool(alone),
        "the rates hold, but nobody came back as the only candidate: expunging one person would leave the others on "
        "the list, so it cannot be shown that the same still then gives no candidate",
    )
    return alone[0]


async def _search_for(story: Story, incident: str, people: Sequence[Person]) -> _Outcomes:
    outcomes = _Outcomes()
    for person in people:
        try:
            picture = await asyncio.to_thread(person.probe.read_bytes)
        except OSError as error:
            outcomes.unusable.append(f"{person.probe}: {error.strerror}")
            continue
        try:
            outcomes.searched.append((person, await search(story, incident, VIOLENT, picture)))
        except StillRefusedError as error:
            outcomes.unusable.append(f"{person.probe}: {error}")
    return outcomes
