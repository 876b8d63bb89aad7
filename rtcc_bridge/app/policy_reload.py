"""Reads the policy again when the operator asks for it (SIGHUP), and tells how long the one in force still holds."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NoReturn

import structlog

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.app.policy_order import LOOK_BACK, require_no_earlier
from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.errors import ConfigurationError, TransientError
from rtcc_bridge.policy.opening import PolicyFiles, open_policy
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.storage import audit_search
from rtcc_bridge.storage.audit_search import RELOAD

_MOST_REASON_CHARACTERS: Final = 1000

_log = structlog.get_logger(__name__)


class Reload(StrEnum):
    """What became of it."""

    TAKEN = "taken"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class PolicyReload:
    """`run` is a part of every process: each reads the policy for itself. asked: set by the signal's handler."""

    def __init__(self, core: Core, asked: asyncio.Event) -> None:
        self._core = core
        self._asked = asked
        self._tell_expiry()

    async def note_start(self) -> None:
        """Enters the policy that the process starts with, unless it is the one that came into force last.

        Not in the demo, which takes any. Raises UnavailableError: no entry, no start (P23).
        """
        core = self._core
        if core.settings.profile == "demo":
            return
        now = core.clock.now()
        async with core.database.read() as tx:
            newest = await audit_search.newest_policies(tx, now - LOOK_BACK, now + LOOK_BACK, Reload.TAKEN, 1)
        if [one.subject for one in newest] != [f"policy/{core.policy.hash}"]:
            details = {**_words(core.policy, is_signed=not core.policy_in_force.remark), "atStart": True}
            await self._audit(Reload.TAKEN, core.policy.hash, details)

    async def run(self) -> NoReturn:
        """Reads the policy whenever that is asked for, until it is cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.reload()

    async def reload(self) -> Reload:
        """Takes a policy that P21 lets decide, for all parts at once, and keeps the old one otherwise. Audits both.

        No entry, no new policy (P23): where the audit log cannot be written, the old one stays.
        """
        core = self._core
        try:
            outcome = await self._reload()
        except ConfigurationError as error:
            outcome = Reload.REFUSED
            _log.error("the policy is not taken, and the one before stays in force", reason=str(error))
            await self._audit_refusal(error)
        except TransientError as error:
            outcome = Reload.REFUSED
            _log.error("the policy cannot be audited, and the one before stays in force", error=str(error))
        core.metrics.policy_reloads_total.labels(outcome).inc()
        return outcome

    async def _reload(self) -> Reload:
        core = self._core
        before = core.policy
        opened = await asyncio.to_thread(
            open_policy,
            PolicyFiles.of(core.settings.policy),
            demo=core.settings.profile == "demo",
            now=core.clock.now(),
        )
        if core.settings.profile != "demo":
            async with core.database.read() as tx:
                await require_no_earlier(tx, opened.policy, core.clock.now())
        outcome = Reload.UNCHANGED if opened.policy.hash == before.hash else Reload.TAKEN
        put_into_force = await core.policy_in_force.prepared(opened)
        await self._audit(outcome, opened.policy.hash, _words(opened.policy, is_signed=not opened.remark))
        put_into_force()
        self._tell_expiry()
        _log.info("policy read again", outcome=outcome, policy_hash=opened.policy.hash, remark=opened.remark or None)
        return outcome

    async def _audit_refusal(self, error: ConfigurationError) -> None:
        try:
            reason = str(error)[:_MOST_REASON_CHARACTERS]
            await self._audit(Reload.REFUSED, self._core.policy.hash, {"rule": "P21", "reason": reason})
        except TransientError as unwritten:
            # It stays refused whether or not the log can be written.
            _log.error("the refusal of a policy could not be audited", error=str(unwritten))

    async def _audit(self, outcome: Reload, subject: str, details: Mapping[str, Any]) -> None:
        """authority: the policy under which it happens, which is the one before."""
        core = self._core
        async with core.database.write() as tx:
            await core.audit.append(
                tx,
                actor=SYSTEM,
                action=RELOAD,
                subject=f"policy/{subject}",
                outcome=outcome,
                authority={"policyHash": core.policy.hash},
                details=details,
            )

    def _tell_expiry(self) -> None:
        expires_at = self._core.policy.expires_at
        self._core.metrics.policy_expires_timestamp_seconds.set(expires_at.timestamp())


def _words(policy: Policy, *, is_signed: bool) -> Mapping[str, Any]:
    return {
        "title": policy.title,
        "validFrom": policy.valid_from.isoformat(),
        "validUntil": policy.valid_until.isoformat(),
        "signed": is_signed,
    }
