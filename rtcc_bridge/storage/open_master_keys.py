"""Chooses where the master keys are, by the settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.master_keys import EarlierLocalKeys, LocalMasterKeys, MasterKeys
from rtcc_bridge.storage.transit import TransitMasterKeys


@asynccontextmanager
async def open_master_keys(settings: ObjectSettings, *, may_create: bool) -> AsyncIterator[MasterKeys]:
    """The key management service when there is one, else the file or the environment. Raises ConfigurationError.

    may_create: a missing file is created with a new key (demo profile).
    """
    if settings.transit_url is None:
        yield await asyncio.to_thread(lambda: LocalMasterKeys.load(settings, may_create=may_create))
        return
    async with TransitMasterKeys(settings) as transit:
        if settings.master_key is None and settings.master_key_file is None:
            yield transit
            return
        earlier = await asyncio.to_thread(lambda: LocalMasterKeys.load(settings, may_create=False))
        yield EarlierLocalKeys(transit, earlier)
