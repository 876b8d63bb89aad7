"""The same story with the user's own pictures: how many enrolled people come back, how many others stay unnamed."""

from collections.abc import Awaitable, Callable, Sequence

from rtcc_bridge.demo.checklist import require
from rtcc_bridge.demo.pictures import Person
from rtcc_bridge.demo.story import VIOLENT, Story, on_floor, search

SEARCHES = 50
"""At most so many people of each kind are searched."""
LEAST_RANK_ONE = 0.80
LEAST_NO_CANDIDATE = 0.90


async def measure(
    story: Story,
    mated: Sequence[Person],
    nonmated: Sequence[Person],
    first_of_list: Callable[[str], Awaitable[str | None]],
) -> Person:
    """Searches for people who are enrolled and for people who are not.

    first_of_list tells, for a lead, the subject reference on rank 1 of its sealed list; the feed never does.
    Returns the first enrolled person that came back on rank 1. Raises CheckFailedError when either rate is too low.
    """
    checklist = story.checklist
    incident = await story.publish_incident()
    await on_floor(story, incident)
    refused = no_candidate = 0
    recognised: list[Person] = []
    async with checklist.step(f"{len(mated)} enrolled people are searched"):
        for person in mated:
            found = await search(story, incident, VIOLENT, person.probe.read_bytes())
            refused += found.lead["type"] == "lead.rejected_quality"
            if await first_of_list(found.data["leadId"]) == person.reference:
                recognised.append(person)
    async with checklist.step(f"{len(nonmated)} people who are not enrolled are searched"):
        for person in nonmated:
            found = await search(story, incident, VIOLENT, person.probe.read_bytes())
            refused += found.lead["type"] == "lead.rejected_quality"
            no_candidate += found.lead["type"] == "lead.no_candidate"
    mated_rate, nonmated_rate = len(recognised) / len(mated), no_candidate / len(nonmated)
    checklist.say(f"enrolled people on rank 1: {len(recognised)} of {len(mated)} ({mated_rate:.0%})")
    checklist.say(f"others without any candidate: {no_candidate} of {len(nonmated)} ({nonmated_rate:.0%})")
    checklist.say(f"stills that were too poor to compare (they count as failures above): {refused}")
    require(mated_rate >= LEAST_RANK_ONE, f"only {mated_rate:.0%} of the enrolled came back on rank 1")
    require(nonmated_rate >= LEAST_NO_CANDIDATE, f"only {nonmated_rate:.0%} of the others gave no candidate")
    return recognised[0]
