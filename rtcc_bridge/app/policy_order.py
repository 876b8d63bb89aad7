"""That no earlier policy comes back into force (P21)."""

from datetime import date, datetime, timedelta
from typing import Final

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.storage import audit_search
from rtcc_bridge.storage.engine import Transaction

LOOK_BACK: Final = timedelta(days=731)
"""As long as a policy may hold: what was taken before that has expired. Ahead too, for a clock that was set back."""
_MOST: Final = 500


async def require_no_earlier(tx: Transaction, policy: Policy, now: datetime) -> None:
    """Both signatures stay good for as long as a policy is in date: whoever has kept the file could undo by it what
    the administrator and the city have decided since.

    Raises ConfigurationError for a policy that holds from an earlier day on than a signed one that was in force.
    """
    taken = await audit_search.newest_policies(tx, now - LOOK_BACK, now + LOOK_BACK, "taken", _MOST)
    said = [one.entry["details"] for one in taken]
    newest = max((date.fromisoformat(one["validFrom"]) for one in said if one["signed"]), default=policy.valid_from)
    if policy.valid_from < newest:
        raise ConfigurationError(
            ConfigurationProblem(
                "valid_from",
                f"the policy holds from {policy.valid_from.isoformat()} on, and one that holds from "
                f"{newest.isoformat()} on was in force already",
                "Put that one back, or have the administrator and the city sign this one with a later valid_from",
            )
        )
