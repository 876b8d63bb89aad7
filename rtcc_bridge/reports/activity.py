"""What somebody has done here, and what the audit log holds about them: for themselves alone.

Nothing in it differs with what another examiner thinks of a list (P12): of searches it has what stands on the floor's
board, of reviews that the person took and filed them, of the log the entries that are the person's own, and those few
by which somebody else has changed what the person may do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.reports.parts import ReportParts, page_end
from rtcc_bridge.storage import audit_search, examinations, probes
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.audit_search import EntryQuery
from rtcc_bridge.storage.examinations import ExaminationRecord
from rtcc_bridge.storage.probes import ProbeRecord

ACTION: Final = "activity.view"
MOST_LISTED: Final = 50
MOST_ACTS: Final = 100

ABOUT_A_PERSON: Final = ("account.add", "account.disable", "account.password", "deferral.lift", "people.end_sessions")
"""What others do to somebody that the person is shown. A closed list: whatever is new says nothing of examinations
before somebody has thought about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Each list begins with the newest.

    searches: whose stills the person attached; decisions: those that they approved. Both as long as they are kept.
    acts: entries of the person's own, from `since` on. next: to be given as `behind` for the rest of them; None at the
    end. about: entries of others' acts, from `since` on.
    """

    since: datetime
    searches: Sequence[ProbeRecord]
    decisions: Sequence[ProbeRecord]
    examinations: Sequence[ExaminationRecord]
    acts: Sequence[AuditEntryRecord]
    next: str | None
    about: Sequence[AuditEntryRecord]


class ActivityDesk:
    """Where everybody sees their own part, and nobody another's."""

    def __init__(self, parts: ReportParts) -> None:
        self._parts = parts

    async def of(self, account: Account, days: int, behind: str | None = None) -> Activity:
        """The person's own acts of so many days. behind: `next` of the page before.

        Raises PolicyRefusalError (P10), InvalidInputError (no such page), UnavailableError.
        """
        async with self._parts.watching(account, ACTION, ACTION):
            require_permission(account, Deed.SEE_OWN_ACTIVITY)
        now = self._parts.clock.now()
        since, before = now - timedelta(days=days), now + timedelta(seconds=1)
        names = {account.name, account.person}
        own = EntryQuery(since=since, before=before, actors=names)
        # An act of one's own that is about oneself stands among one's own.
        about = EntryQuery(
            since=since,
            before=before,
            actions=ABOUT_A_PERSON,
            subjects={*names, *({f"account/{account.login}"} if account.login else ())},
        )
        async with self._parts.database.read() as tx:
            acts = await audit_search.newest(tx, own, await page_end(tx, behind), MOST_ACTS)
            others = [one for one in await audit_search.newest(tx, about, None, MOST_ACTS) if one.actor not in names]
            return Activity(
                since=since,
                searches=await probes.newest_of_analyst(tx, names, MOST_LISTED),
                decisions=await probes.newest_approved_by(tx, names, MOST_LISTED),
                examinations=await examinations.newest_of(tx, account.person, MOST_LISTED),
                acts=acts,
                next=acts[-1].entry_id if len(acts) == MOST_ACTS else None,
                about=others,
            )
