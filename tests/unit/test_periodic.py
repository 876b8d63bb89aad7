"""Work that is done again and again: an outage is waited out and told once, anything else ends it."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, IntegrityError, UnavailableError
from rtcc_bridge.periodic import periodically


async def run(*steps: Exception | None, **options: object) -> tuple[list[str], int]:
    """Does these steps, of which the last has to end it: what the log says, and how many were done."""
    left: Iterator[Exception | None] = iter(steps)
    done = 0

    async def step() -> None:
        nonlocal done
        done += 1
        error = next(left)
        if error is not None:
            raise error

    with capture_logs() as logs, pytest.raises(IntegrityError):
        await periodically("counting", step, every_seconds=0.0, **options)  # type: ignore[arg-type]  # whichever is tried
    assert {line["work"] for line in logs} <= {"counting"}
    return [line["event"] for line in logs], done


END = IntegrityError("the end")


async def test_an_outage_is_waited_out_and_told_when_it_begins_and_ends() -> None:
    later = UnavailableError("later")
    events, done = await run(None, later, later, later, None, None, later, END)
    assert done == 8
    assert events == [
        "interrupted: it is tried again",
        "going on after an interruption",
        "interrupted: it is tried again",
    ]


async def test_what_passes_by_itself_is_the_callers_to_say() -> None:
    unreadable = ConfigurationError(ConfigurationProblem("reports.roster_file", "it is unreadable", "Write it anew"))
    events, done = await run(unreadable, END, waits_out=ConfigurationError)
    assert (events, done) == (["interrupted: it is tried again"], 2)


async def test_any_other_error_ends_it_at_once() -> None:
    assert await run(END) == ([], 1)
