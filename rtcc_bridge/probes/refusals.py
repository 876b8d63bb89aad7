"""A refused attempt leaves a trace too: an audit entry in a transaction of its own, and a count."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

from rtcc_bridge.audit.entries import REFUSED, AuditLog
from rtcc_bridge.errors import PolicyRefusalError, TransientError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage.engine import Database

_MOST_SUBJECT_CHARACTERS: Final = 256
"""What the audit log keeps of a subject that somebody outside has named."""

log = structlog.get_logger()


class RefusalLog:
    """Records what the policy refused (P22)."""

    def __init__(self, database: Database, audit: AuditLog, metrics: Metrics) -> None:
        self._database = database
        self._audit = audit
        self._metrics = metrics

    @asynccontextmanager
    async def watching(
        self, *, actor: str, action: str, subject: str, authority: Mapping[str, Any]
    ) -> AsyncIterator[None]:
        """Records a PolicyRefusalError of the block and lets it pass on. `authority` holds no name and no case number.

        subject: as it was named, which nobody has looked at yet: what a database would refuse of it is not kept.
        The block must not be inside a transaction: the entry has to stand although the act's own transaction is undone.
        """
        try:
            yield
        except PolicyRefusalError as refusal:
            self._metrics.policy_refusals_total.labels(refusal.rule).inc()
            await self._record(refusal, actor, action, subject, authority)
            raise

    async def _record(
        self, refusal: PolicyRefusalError, actor: str, action: str, subject: str, authority: Mapping[str, Any]
    ) -> None:
        details = {"rule": refusal.rule, "reason": str(refusal)}
        kept = subject.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_MOST_SUBJECT_CHARACTERS]
        try:
            async with self._database.write() as tx:
                await self._audit.append(
                    tx,
                    actor=actor,
                    action=action,
                    subject=kept,
                    outcome=REFUSED,
                    authority=authority,
                    details=details,
                )
        except TransientError as error:
            # The act stays refused whether or not the log can be written.
            log.error("a refusal could not be audited", action=action, rule=refusal.rule, error=str(error))
