"""Chooses where the master keys are, by the settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.master_keys import EarlierKeys, LocalMasterKeys, MasterKeys
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
        yield EarlierKeys(transit, earlier)


def load_gallery_keys(settings: ObjectSettings, *, may_create: bool) -> MasterKeys | None:
    """The master keys of the galleries' templates; None where they have no own ones. Blocks.

    Raises ConfigurationError.
    """
    if settings.gallery_key_file is None:
        return None
    own = {"master_key_file": settings.gallery_key_file, "master_key": None, "transit_url": None}
    source = settings.model_copy(update=own)
    try:
        return LocalMasterKeys.load(source, may_create=may_create)
    except ConfigurationError as error:
        raise ConfigurationError(*(_of_galleries(problem) for problem in error.problems)) from error


def _of_galleries(problem: ConfigurationProblem) -> ConfigurationProblem:
    return replace(problem, path=problem.path.replace("objects.master_key_file", "objects.gallery_key_file"))
