"""The ledger of removals: what was removed for ever, kept outside the database so that no backup brings it back.

One small object for each act, never changed, in the object store or in a store of its own (`objects.ledger_url`). It is
written inside the transaction of the act, before that commits: a removal that stands is in the ledger. An act that is
in the ledger and whose transaction failed after all was ordered, and is carried out by a restoration as well.

It holds digests and object names, no reason and no reference in words. Whoever can write there can make a restoration
remove more, and whoever can delete there can make it remove less: give the store to this program alone.
"""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import obstore
from obstore.exceptions import AlreadyExistsError

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import IntegrityError, NotFoundError
from rtcc_bridge.storage.durability import sync_to_disk
from rtcc_bridge.storage.galleries import RemovalKind
from rtcc_bridge.storage.store_errors import translated

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PREFIX: Final = "removals"
_HEAD: Final = f"{PREFIX}/ledger.json"
_ENTRIES: Final = f"{PREFIX}/entries"
_ENTRY_ID = re.compile(r"[0-9][0-9A-Za-z.+-]{0,99}")
_READ_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Expungement:
    """A removal from a gallery. entry_id: begins with the moment (UTC), so that names are in the order of the acts.

    kind and digest: as in `gallery_removals`; images: the sha256 of each picture removed with it.
    """

    entry_id: str
    at: str
    gallery: str
    kind: RemovalKind
    digest: str
    images: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destruction:
    """Objects, by name, whose keys were destroyed. entry_id: as of an expungement."""

    entry_id: str
    at: str
    objects: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePurge:
    """A search whose pictures and words were purged at the end of its time. entry_id: as of an expungement.

    outcome: how the search had ended. objects: by name the sha256 of the sealed bytes, none where there were none.
    """

    entry_id: str
    at: str
    probe_id: str
    outcome: str
    objects: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldNote:
    """A legal hold that was placed on these searches, or lifted. entry_id: as of an expungement."""

    entry_id: str
    at: str
    hold_id: str
    probes: Sequence[str] = ()
    lifted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenedNote:
    """A case was taken up again: what was released of these searches of it is held. entry_id: as of an expungement."""

    entry_id: str
    at: str
    disposition_id: str
    probes: Sequence[str] = ()


LedgerEntry: TypeAlias = Expungement | Destruction | ProbePurge | HoldNote | ReopenedNote


def purges_in_effect(entries: Sequence[LedgerEntry]) -> Sequence[ProbePurge]:
    """The purges that stand, in their order: not one that failed after it was noted here and before a hold was placed.

    Nor before the case was taken up again. entries: in the order of the acts.
    """
    found: dict[str, ProbePurge] = {}
    for entry in entries:
        if isinstance(entry, ProbePurge):
            found[entry.probe_id] = entry
        elif isinstance(entry, ReopenedNote) or (isinstance(entry, HoldNote) and not entry.lifted):
            for probe_id in entry.probes:
                found.pop(probe_id, None)
    return list(found.values())


class RemovalsLedger:
    """Appends and reads entries."""

    def __init__(self, store: "ObjectStore", folder: Path | None, timeout_seconds: float) -> None:
        """folder: where a local store lies, so that what is written can be made to survive a loss of power."""
        self._store = store
        self._folder = folder
        self._timeout_seconds = timeout_seconds

    async def ledger_id(self) -> str:
        """Which ledger this is: a random name that it got when it was begun, which is now if there was none.

        Raises UnavailableError, IntegrityError when the head is not one.
        """
        name = secrets.token_urlsafe(16)
        head = json.dumps({"ledger": name}).encode()
        with translated("the removals ledger cannot be begun"):
            async with asyncio.timeout(self._timeout_seconds):
                try:
                    await obstore.put_async(self._store, _HEAD, head, mode="create")
                except AlreadyExistsError:
                    found = await self.find_id()
                    if found is None:
                        raise IntegrityError("the head of the removals ledger was removed while it was read") from None
                    return found
            await self._sync(_HEAD)
        return name

    async def find_id(self) -> str | None:
        """As `ledger_id`, None when there is none here."""
        try:
            head = json.loads(await self._get(_HEAD))
        except NotFoundError:
            return None
        except ValueError as error:
            raise IntegrityError("the head of the removals ledger is not JSON") from error
        name = head.get("ledger") if isinstance(head, dict) else None
        if not isinstance(name, str):
            raise IntegrityError("the head of the removals ledger names none")
        return name

    async def note_expunged(
        self, at: datetime, *, gallery: str, kind: RemovalKind, digest: str, images: Sequence[str]
    ) -> None:
        """Returns when the entry is durable. Raises UnavailableError: the act must not be committed then."""
        await self._append(
            Expungement(
                entry_id=_entry_id(at), at=rfc3339(at), gallery=gallery, kind=kind, digest=digest, images=images
            )
        )

    async def note_destroyed(self, at: datetime, objects: Collection[str]) -> None:
        """Returns when the entry is durable. Raises UnavailableError: the keys must not be destroyed then."""
        if objects:
            await self._append(Destruction(entry_id=_entry_id(at), at=rfc3339(at), objects=sorted(objects)))

    async def note_purged(
        self, at: datetime, *, probe_id: str, outcome: str, objects: Mapping[str, str | None]
    ) -> None:
        """Returns when the entry is durable. Raises UnavailableError: the keys must not be destroyed then."""
        await self._append(
            ProbePurge(entry_id=_entry_id(at), at=rfc3339(at), probe_id=probe_id, outcome=outcome, objects=objects)
        )

    async def note_hold(self, at: datetime, *, hold_id: str, probes: Sequence[str] = (), lifted: bool = False) -> None:
        """Returns when the entry is durable. Raises UnavailableError: the act must not be committed then."""
        await self._append(
            HoldNote(entry_id=_entry_id(at), at=rfc3339(at), hold_id=hold_id, probes=probes, lifted=lifted)
        )

    async def note_reopened(self, at: datetime, *, disposition_id: str, probes: Sequence[str]) -> None:
        """Returns when the entry is durable. Raises UnavailableError: the act must not be committed then."""
        await self._append(
            ReopenedNote(entry_id=_entry_id(at), at=rfc3339(at), disposition_id=disposition_id, probes=probes)
        )

    async def add_copy(self, entry: LedgerEntry) -> None:
        """Puts an entry from a copy here; one that is here already stays as it is."""
        await self._put(entry)

    async def names(self) -> list[str]:
        """The ids of all entries, oldest first. Raises UnavailableError."""
        found: list[str] = []
        with translated("the removals ledger cannot be read"):
            async for some in obstore.list(self._store, _ENTRIES):
                found += [one["path"].rsplit("/", 1)[1].removesuffix(".json") for one in some]
        return sorted(found)

    async def entries(self) -> AsyncIterator[LedgerEntry]:
        """All entries, oldest first. Raises UnavailableError, IntegrityError for one that cannot be read."""
        names = await self.names()
        for start in range(0, len(names), _READ_AT_ONCE):
            some = names[start : start + _READ_AT_ONCE]
            for content in await asyncio.gather(*(self._get(f"{_ENTRIES}/{name}.json") for name in some)):
                yield read_entry(content)

    async def _append(self, entry: LedgerEntry) -> None:
        await self.ledger_id()
        await self._put(entry)

    async def _put(self, entry: LedgerEntry) -> None:
        with translated("the removals ledger cannot be written"):
            async with asyncio.timeout(self._timeout_seconds):
                path = f"{_ENTRIES}/{entry.entry_id}.json"
                with suppress(AlreadyExistsError):
                    await obstore.put_async(self._store, path, write_entry(entry), mode="create")
                await self._sync(path)

    async def _sync(self, path: str) -> None:
        if self._folder is not None:
            await asyncio.to_thread(sync_to_disk, self._folder / path)

    async def _get(self, path: str) -> bytes:
        with translated("the removals ledger cannot be read"):
            async with asyncio.timeout(self._timeout_seconds):
                return bytes(await (await obstore.get_async(self._store, path)).bytes_async())


def _entry_id(at: datetime) -> str:
    return f"{rfc3339(at).replace(':', '')}-{secrets.token_hex(8)}"


def write_entry(entry: LedgerEntry) -> bytes:
    """The entry as one line of JSON, without a line break."""
    return json.dumps(asdict(entry), separators=(",", ":")).encode()


def read_entry(content: bytes) -> LedgerEntry:
    """Raises IntegrityError for what `write_entry` did not write."""
    try:
        values = {name: value for name, value in json.loads(content).items() if value}
        if not _ENTRY_ID.fullmatch(values["entry_id"]):
            raise ValueError("the entry's name would lead elsewhere")
        if "probe_id" in values:
            return ProbePurge(**values)
        if "hold_id" in values:
            return HoldNote(**values)
        if "disposition_id" in values:
            return ReopenedNote(**values)
        if "digest" not in values:
            return Destruction(**values)
        return Expungement(**{**values, "kind": RemovalKind(values["kind"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntegrityError("an entry of the removals ledger cannot be read: it was altered") from error
