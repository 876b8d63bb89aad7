"""What `serve` asks of the topics before it starts."""

import asyncio
from collections.abc import Collection, Iterator

import structlog

from rtcc_bridge.broker.credentials import credential_problems
from rtcc_bridge.broker.topic_check import CLEANUP, Difference
from rtcc_bridge.broker.topics import TopicsState, compare_topics_when_told
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, UnavailableError
from rtcc_bridge.settings import KafkaSettings

_log = structlog.get_logger(__name__)


async def require_topics(kafka: KafkaSettings, names: Collection[str]) -> None:
    """Looks at the topics that this process's roles use.

    Raises ConfigurationError for one that is missing or that compaction would tear, and for certificates and secrets
    that cannot be used. Whatever else is not as it should be is logged. A broker that does not answer stops no start:
    a topic that is missing when it comes back is waited for, and readiness names it.
    """
    if not names:
        return
    if found := await asyncio.to_thread(credential_problems, kafka):
        raise ConfigurationError(*found)
    try:
        state = await compare_topics_when_told(kafka, names)
    except UnavailableError as error:
        _log.warning("the topics were not looked at: the process starts and waits for the broker", error=str(error))
        return
    for difference in state.differences:
        _log.warning(
            "a topic is not as it should be: see `rtcc-bridge topics check`",
            topic=difference.topic,
            setting=difference.setting,
            found=difference.found,
            wanted=difference.wanted,
            breaks_delivery=difference.breaks,
            why=difference.why,
        )
    if problems := tuple(_problems(state)):
        raise ConfigurationError(*problems)


def _problems(state: TopicsState) -> Iterator[ConfigurationProblem]:
    for name in state.missing:
        remedy = "Run `rtcc-bridge topics create`, or grant what `rtcc-bridge topics acls` prints"
        yield ConfigurationProblem(f"topic {name}", "is missing, or this client may not see it", remedy)
    for difference in filter(_tears, state.differences):
        cause = f"has {CLEANUP} {difference.found}: {difference.why}"
        yield ConfigurationProblem(f"topic {difference.topic}", cause, "Run `rtcc-bridge topics check --apply`")


def _tears(difference: Difference) -> bool:
    return difference.breaks and difference.setting == CLEANUP
