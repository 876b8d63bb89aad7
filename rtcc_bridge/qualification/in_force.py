"""Whether a live gallery may be searched with a pack, under whatever policy is in force (P28)."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Self

from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.qualification.qualified import Qualification, qualify


class QualificationInForce:
    """Follows the policy, whose limits decide; the pack's files do not change while the program runs."""

    def __init__(self, pack: ModelPack, key_file: Path | None, qualification: Qualification) -> None:
        self._pack = pack
        self._key_file = key_file
        self._qualification = qualification

    @classmethod
    async def open(cls, pack: ModelPack, key_file: Path | None, policy: Policy) -> Self:
        """Raises ConfigurationError when the key cannot be read."""
        return cls(pack, key_file, await asyncio.to_thread(qualify, pack, key_file, policy.evaluation))

    def problem_at(self, now: datetime) -> str:
        """Why no live gallery may be searched at this moment; empty when one may."""
        return self._qualification.problem_at(now)

    async def prepare(self, policy: Policy) -> Callable[[], None]:
        """For `PolicyInForce.derive`. Raises ConfigurationError when the key cannot be read any more."""
        qualification = await asyncio.to_thread(qualify, self._pack, self._key_file, policy.evaluation)

        def put_into_force() -> None:
            self._qualification = qualification

        return put_into_force
