"""Whether what the settings name answers, asked before anything is started."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from rtcc_bridge.app.audit import witness_key
from rtcc_bridge.app.template_service import template_service_version
from rtcc_bridge.audit.places import StorePlace
from rtcc_bridge.audit.witness import ping_witness
from rtcc_bridge.audit_settings import AuditSettings
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.topics import compare_topics
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.errors import BridgeError, UnavailableError
from rtcc_bridge.identity_settings import IdentitySettings
from rtcc_bridge.milvus_settings import MilvusSettings
from rtcc_bridge.people.provider_documents import ping_provider
from rtcc_bridge.secret_files import is_absent
from rtcc_bridge.settings import DatabaseSettings, KafkaSettings, ObjectSettings, Settings, store_folder
from rtcc_bridge.storage import schema
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.open_master_keys import open_master_keys
from rtcc_bridge.storage.picture_store import PictureStore
from rtcc_bridge.storage.store_opening import open_store

_NOT_MADE_YET: Final = "not made yet: `serve` makes it"


@dataclass(frozen=True, slots=True)
class Reached:
    """What one dependency answered. problem: why it cannot be used, and what to do."""

    dependency: str
    detail: str = ""
    problem: str | None = None


async def reach(settings: Settings) -> AsyncIterator[Reached]:
    """Asks each dependency in turn, each within its own time limit of the settings.

    Creates and migrates nothing; an object store other than a folder that is not there yet gets a byte written, since
    one that is full or read-only answers reads. Where others keep something, as checkpoints or pictures of bookings,
    nothing is written.
    """
    for dependency, ask in _checks(settings):
        try:
            yield Reached(dependency, await ask())
        except BridgeError as error:
            yield Reached(dependency, problem=str(error))


def _checks(settings: Settings) -> Iterator[tuple[str, Callable[[], Awaitable[str]]]]:
    yield "broker", lambda: _broker(settings.kafka)
    yield "topics", lambda: _topics(settings.kafka)
    yield "database", lambda: _database(settings.database)
    yield "master keys", lambda: _master_keys(settings.objects)
    yield "objects", lambda: _objects(settings.objects)
    if settings.identity.issuer is not None:
        yield "identity provider", lambda: _identity_provider(settings.identity)
    if (outside_url := settings.audit.outside_url) is not None:
        yield "checkpoint store", lambda: _checkpoint_store(outside_url, settings.audit)
    if (witness_url := settings.audit.witness_url) is not None:
        yield "witness", lambda: _witness(witness_url, settings.audit)
    if (pictures_url := settings.records.pictures_url) is not None:
        yield "pictures of bookings", lambda: _pictures(pictures_url, settings.objects.timeout_seconds)
    if settings.matching.milvus.uri is not None:
        yield "milvus", lambda: _milvus(settings.matching.milvus)


async def _broker(kafka: KafkaSettings) -> str:
    producer = EventProducer(kafka)
    try:
        await producer.ping()
    finally:
        await producer.close()
    return "answers"


async def _topics(kafka: KafkaSettings) -> str:
    state = await compare_topics(kafka)
    if state.missing:
        missing = ", ".join(state.missing)
        raise UnavailableError(f"{missing}: missing, or this client may not see them: run `rtcc-bridge topics create`")
    if state.differences:
        return f"{len(state.differences)} settings are not as they should be: see `rtcc-bridge topics check`"
    return "as they should be"


async def _database(settings: DatabaseSettings) -> str:
    if settings.sqlite_file is not None and await asyncio.to_thread(is_absent, settings.sqlite_file):
        return _NOT_MADE_YET
    database = Database(settings)
    try:
        present = await schema.present_revision(database)
    finally:
        await database.close()
    if present is None:
        return "answers and is empty: `rtcc-bridge db upgrade`, or the first `serve`, makes the tables"
    newest = schema.newest_revision()
    return f"at revision {present}" if present == newest else f"at revision {present}; `db upgrade` brings {newest}"


async def _master_keys(settings: ObjectSettings) -> str:
    if not _has_key(settings):
        return _NOT_MADE_YET
    async with open_master_keys(settings, may_create=False) as keys:
        return f"the current one is {await keys.current_id()}"


async def _objects(settings: ObjectSettings) -> str:
    if not _has_key(settings) or _is_new_folder(settings.url):
        return _NOT_MADE_YET
    async with (
        open_master_keys(settings, may_create=False) as keys,
        ObjectVault(settings, keys, SystemClock()) as vault,
    ):
        await vault.ping()
    return "can be written to"


async def _identity_provider(identity: IdentitySettings) -> str:
    return f"answers, {await ping_provider(identity)} keys"


async def _checkpoint_store(url: str, audit: AuditSettings) -> str:
    if _is_new_folder(url):
        return _NOT_MADE_YET
    store = await asyncio.to_thread(open_store, url, "audit.outside_url", audit.timeout_seconds)
    await StorePlace(store, audit.timeout_seconds).ping()
    return "can be read; writing there is not tried"


async def _witness(url: str, audit: AuditSettings) -> str:
    key = witness_key(audit)
    await ping_witness(url, key, audit.timeout_seconds)
    return f"{key.name} answers"


async def _pictures(url: str, timeout_seconds: float) -> str:
    store = await asyncio.to_thread(PictureStore, url, timeout_seconds, 1)
    await store.ping()
    return "can be read"


async def _milvus(settings: MilvusSettings) -> str:
    return f"answers, version {await asyncio.to_thread(template_service_version, settings)}"


def _has_key(settings: ObjectSettings) -> bool:
    if settings.transit_url is not None or settings.master_key is not None:
        return True
    return settings.master_key_file is not None and not is_absent(settings.master_key_file)


def _is_new_folder(url: str) -> bool:
    folder = store_folder(url)
    return folder is not None and (is_absent(folder) or not any(folder.iterdir()))
