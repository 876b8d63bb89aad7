"""Whether the removals ledger of the installation is there when a backup is restored, and what it says."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from rtcc_bridge.errors import ConflictError, IntegrityError, InvalidInputError
from rtcc_bridge.storage.removals_ledger import (
    Destruction,
    Expungement,
    LedgerEntry,
    ProbePurge,
    RemovalsLedger,
    purges_in_effect,
    read_entry,
)
from rtcc_bridge.upkeep.manifest import LEDGER, Manifest

_LONGEST_REASON: Final = 256
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What is to be carried out again. missing_because: the operator's reason where only the backup's copy was."""

    entries: Sequence[LedgerEntry]
    missing_because: str | None

    @property
    def expungements(self) -> Sequence[Expungement]:
        return [entry for entry in self.entries if isinstance(entry, Expungement)]

    @property
    def destroyed_objects(self) -> frozenset[str]:
        """The keys that were destroyed, by themselves or with a purge."""
        names = {name for entry in self.entries if isinstance(entry, Destruction) for name in entry.objects}
        return frozenset(names.union(*(purge.objects for purge in self.purges)))

    @property
    def purges(self) -> Sequence[ProbePurge]:
        return purges_in_effect(self.entries)


async def require_ledger(
    ledger: RemovalsLedger, manifest: Manifest, folder: Path, missing_because: str | None
) -> LedgerState:
    """The ledger of the installation, which has to hold every entry of the backup's copy.

    missing_because: with a reason the copy is enough where there is no such ledger, and what was removed after the
    backup comes back. Raises ConflictError when it is missing and no reason is given, UnavailableError.
    """
    copied = await asyncio.to_thread(lambda: list(read_copy(folder)))
    if missing_because is not None and not (missing_because.strip() and len(missing_because) <= _LONGEST_REASON):
        raise InvalidInputError(f"a reason of 1 to {_LONGEST_REASON} characters is needed")
    problem = await _problem(ledger, manifest, copied)
    if problem is None:
        return LedgerState([entry async for entry in ledger.entries()], None)
    if missing_because is None:
        raise ConflictError(
            f"{problem}. Without it, people who were expunged after the backup come back. Make the ledger readable "
            "(objects.ledger_url, else objects.url); only if it is lost for ever, restore with "
            "--without-removals-ledger REASON, which is recorded, and carry out again by hand what was removed since"
        )
    _log.error("restoring without the removals ledger", problem=problem, reason=missing_because)
    for entry in copied:
        await ledger.add_copy(entry)
    return LedgerState([entry async for entry in ledger.entries()], missing_because)


async def _problem(ledger: RemovalsLedger, manifest: Manifest, copied: Sequence[LedgerEntry]) -> str | None:
    try:
        found = await ledger.find_id()
        names = set(await ledger.names())
    except IntegrityError as error:
        return str(error)
    if found is None:
        return "the removals ledger is missing"
    if found != manifest.ledger_id:
        return f"the removals ledger here ({found}) is not that of the backup ({manifest.ledger_id})"
    lost = [entry.entry_id for entry in copied if entry.entry_id not in names]
    if lost:
        return f"the removals ledger lacks {len(lost)} entries that the backup knows, the first of {lost[0]}"
    return None


def read_copy(folder: Path) -> Iterator[LedgerEntry]:
    """The entries of the backup's copy. Blocks. Raises IntegrityError."""
    try:
        with (folder / LEDGER).open("rb") as opened:
            for line in opened:
                yield read_entry(line)
    except OSError as error:
        raise IntegrityError(f"{LEDGER} of the backup cannot be read ({error.strerror})") from error
