"""What `serve` asks of the topics before it starts."""

import asyncio
from collections.abc import Collection

import structlog

from rtcc_bridge.broker.credentials import credential_problems
from rtcc_bridge.broker.topics import compare_topics
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, UnavailableError
from rtcc_bridge.settings import KafkaSettings

_log = structlog.get_logger(__name__)


async def require_topics(kafka: KafkaSettings, names: Collection[str]) -> None:
    """Looks at the topics that this process's roles use, once.

    Raises ConfigurationError for one that is missing or that compaction would tear, and for certificates and secrets
    that cannot be used. Everything else that breaks the promise of delivery is logged. A broker that does not answer
    stops no start: a topic that is missing when it comes back is waited for, and readiness names it.
    """
    if not names:
        return
    if found := await asyncio.to_thread(credential_problems, kafka):
        raise ConfigurationError(*found)
    try:
        state = await compare_topics(kafka, names)
    except UnavailableError as error:
        _log.warning("the topics were not looked at: the process starts and waits for the broker", error=str(error))
        return
    problems = [
        ConfigurationProblem(
            f"topic {name}",
            "is missing, or this client may not see it",
            "Run `rtcc-bridge topics create`, or grant what `rtcc-bridge topics acls` prints",
        )
        for name in state.missing
    ]
    for difference in state.differences:
        if difference.breaks and difference.setting == "cleanup.policy":
            cause = f"has cleanup.policy {difference.found}: {difference.why}"
            remedy = "Run `rtcc-bridge topics check --apply`"
            problems.append(ConfigurationProblem(f"topic {difference.topic}", cause, remedy))
        elif difference.breaks:
            _log.warning(
                "a topic does not keep the promise of delivery: see `rtcc-bridge topics check`",
                topic=difference.topic,
                setting=difference.setting,
                found=difference.found,
                wanted=difference.wanted,
                why=difference.why,
            )
    if problems:
        raise ConfigurationError(*problems)
