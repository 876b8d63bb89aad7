"""Passwords of local accounts: argon2id (RFC 9106), and a few at a time, since each takes 64 MiB and a core."""

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LEAST_CHARACTERS: Final = 12
MOST_CHARACTERS: Final = 256
_AT_ONCE: Final = 2


class Passwords:
    """Hashes and compares, in threads."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._of_nobody: str | None = None

    async def hash(self, password: str) -> str:
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def fits(self, password: str, hashed: str | None) -> bool:
        """hashed: None for an account that does not exist, which takes as long to be told."""
        if hashed is None:
            if self._of_nobody is None:
                self._of_nobody = await self.hash("")
            await self._verify(self._of_nobody, password)
            return False
        return await self._verify(hashed, password)

    async def _verify(self, hashed: str, password: str) -> bool:
        async with self._turns:
            try:
                return await asyncio.to_thread(self._hasher.verify, hashed, password)
            except (VerificationError, InvalidHashError):
                return False
