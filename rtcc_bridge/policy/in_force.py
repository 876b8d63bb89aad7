"""The policy in force: one place that every part asks, so that all of them decide by the same one."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from rtcc_bridge.errors import PolicyRefusalError
from rtcc_bridge.policy.opening import OpenedPolicy
from rtcc_bridge.policy.policy_file import Policy

Preparation = Callable[[Policy], Awaitable[Callable[[], None]]]
"""Works out what a part derives from a policy; returns what puts that into force, which must not fail or wait.

It raises ConfigurationError when the part could not work under the policy, which is refused then.
"""


class PolicyInForce:
    """Holds the policy that decides. Who decides several things by it asks for `current` once and goes on with that."""

    def __init__(self, opened: OpenedPolicy) -> None:
        self._opened = opened
        self._preparations: list[Preparation] = []

    @property
    def current(self) -> Policy:
        return self._opened.policy

    @property
    def remark(self) -> str:
        """What keeps it from deciding outside the demo; empty when nothing does."""
        return self._opened.remark

    def require_in_date(self, now: datetime) -> None:
        """P21: an expired policy begins no search, although the daemon was started before it expired.

        Raises PolicyRefusalError. Work that was begun before goes on.
        """
        if self._opened.ends_at is not None and now >= self._opened.ends_at:
            raise PolicyRefusalError(
                "P21", "The policy has expired, and nothing is begun under it: have the administrator put the next in."
            )

    def derive(self, prepare: Preparation) -> None:
        """What a part has worked out from the policy changes together with it, or not at all."""
        self._preparations.append(prepare)

    async def prepared(self, opened: OpenedPolicy) -> Callable[[], None]:
        """Lets every part prepare for the policy; returns what puts it into force for all of them at once.

        Raises ConfigurationError, and nothing has changed then.
        """
        changes = [await prepare(opened.policy) for prepare in self._preparations]

        def put_into_force() -> None:
            self._opened = opened
            for change in changes:
                change()

        return put_into_force
