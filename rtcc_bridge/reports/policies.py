"""The policy in force for those who oversee: what it says, since when, and how another file differs from it (P21)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from rtcc_bridge.errors import ConfigurationError, InvalidInputError
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.policy_diff import differences
from rtcc_bridge.policy.policy_file import Policy, parse_policy
from rtcc_bridge.reports.parts import ReportParts
from rtcc_bridge.storage import audit_search
from rtcc_bridge.storage.audit_entries import AuditEntryRecord

HISTORY: Final = timedelta(days=731)
"""As long as a policy may hold, so that the one before the present one is in it."""
MOST_CHANGES: Final = 50

_VIEW: Final = "policy.view"
_COMPARE: Final = "policy.compare"
_TAKEN: Final = "taken"
_THE_FILE: Final = Path("the file")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyShown:
    """remark: what keeps the policy from deciding outside the demo; empty when nothing does. changes: entries of the
    log by which another policy came into force while the program ran, the newest first."""

    policy: Policy
    remark: str
    changes: Sequence[AuditEntryRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyComparison:
    """How a file differs from the policy in force. taken_at: when the log says that this very file came into force, by
    its hash; None where it does not say so. is_in_force: it is the very file. lines: field by field, in words."""

    title: str
    policy_hash: str
    taken_at: datetime | None
    is_in_force: bool
    lines: Sequence[str]


class PolicyDesk:
    """Read-only. The policy is no secret, so nothing is entered but refusals."""

    def __init__(self, parts: ReportParts) -> None:
        self._parts = parts

    async def look(self, account: Account) -> PolicyShown:
        """Raises PolicyRefusalError (P10), UnavailableError."""
        await self._require(account, _VIEW)
        in_force = self._parts.policy_in_force
        return PolicyShown(policy=in_force.current, remark=in_force.remark, changes=await self._changes())

    async def compare(self, account: Account, text: str, *, is_earlier: bool) -> PolicyComparison:
        """text: a policy file, signed or not. is_earlier: what the policy in force says otherwise than the file is
        told; otherwise what the file would change.

        Raises PolicyRefusalError (P10), InvalidInputError for what is no policy, UnavailableError.
        """
        await self._require(account, _COMPARE)
        current = self._parts.policy
        try:
            other = parse_policy(_THE_FILE, text.encode())
        except ConfigurationError as error:
            raise InvalidInputError(f"That is no policy. {_in_words(error)}", "fields") from error
        taken = [one.at for one in await self._changes() if one.subject == f"policy/{other.hash}"]
        return PolicyComparison(
            title=other.title,
            policy_hash=other.hash,
            taken_at=min(taken, default=None),
            is_in_force=other.hash == current.hash,
            lines=differences(other, current) if is_earlier else differences(current, other),
        )

    async def _changes(self) -> Sequence[AuditEntryRecord]:
        now = self._parts.clock.now()
        async with self._parts.database.read() as tx:
            before = now + timedelta(seconds=1)
            return await audit_search.newest_policies(tx, now - HISTORY, before, _TAKEN, MOST_CHANGES)

    async def _require(self, account: Account, action: str) -> None:
        async with self._parts.watching(account, action, "policy"):
            require_permission(account, Deed.SEE_POLICY)


def _in_words(error: ConfigurationError) -> str:
    """What is wrong, place by place, and what to do about it once and not at each place."""
    wrong: defaultdict[str, list[str]] = defaultdict(list)
    for one in error.problems:
        wrong[one.remedy].append(f"{one.path.removeprefix(f'{_THE_FILE}: ')}: {one.cause}")
    return " ".join(f"{'; '.join(causes)}. {remedy}." for remedy, causes in wrong.items())
