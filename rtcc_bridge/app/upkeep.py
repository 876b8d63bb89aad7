"""Wires what an operator does to an installation: backup, restoration, rotation of the master key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.app.galleries import expunger_for, scrubber_for
from rtcc_bridge.app.retention import purge_replay_for
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.leads.readback import LeadReadback
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage.key_rotation import KeyRotation
from rtcc_bridge.storage.master_keys import EarlierKeys
from rtcc_bridge.storage.object_keys import Kinds
from rtcc_bridge.upkeep.backup import Backup
from rtcc_bridge.upkeep.master_key import MasterKeyRotation
from rtcc_bridge.upkeep.restore import Restore, RestoreParts
from rtcc_bridge.upkeep.sweep import OrphanSweep


@asynccontextmanager
async def open_backup(settings: Settings, actor: str) -> AsyncIterator[Backup]:
    """Raises as `open_core` does."""
    async with open_core(settings, under_policy=False) as core:
        yield Backup(core.database, core.vault, core.audit, settings.kafka, core.clock, actor)


@asynccontextmanager
async def open_restore(settings: Settings, folder: Path, actor: str) -> AsyncIterator[Restore]:
    """A restoration of the backup in this folder into the database and the object store of the settings."""
    async with open_core(settings, restoring=True, under_policy=False) as core:
        yield Restore(restore_parts(core), folder, actor)


def restore_parts(core: Core) -> RestoreParts:
    """What a restoration works with."""
    exercise_topic = core.settings.kafka.topics.leads_exercise
    return RestoreParts(
        database=core.database,
        vault=core.vault,
        audit=core.audit,
        expunger=expunger_for(core),
        scrubber=scrubber_for(core),
        readback=LeadReadback(core.database, core.outbox, core.audit, core.clock, exercise_topic),
        purges=purge_replay_for(core),
        kafka=core.settings.kafka,
        clock=core.clock,
    )


@asynccontextmanager
async def open_key_rotation(
    settings: Settings, actor: str, *, gallery: bool = False
) -> AsyncIterator[MasterKeyRotation]:
    """The master keys of an installation and what they wrap.

    gallery: those of the galleries' templates. Raises ConfigurationError when these have none of their own.
    """
    async with open_core(settings, under_policy=False) as core:
        keys, kinds = core.master_keys, Kinds.ALL if core.gallery_keys is None else Kinds.OTHERS
        if gallery:
            if core.gallery_keys is None:
                cause = "is not set: the templates are wrapped by the master key of all objects"
                remedy = "Name a file for it, or leave --gallery out"
                raise ConfigurationError(ConfigurationProblem("objects.gallery_key_file", cause, remedy))
            keys, kinds = EarlierKeys(core.gallery_keys, core.master_keys), Kinds.GALLERY
        yield MasterKeyRotation(core.database, keys, KeyRotation(core.database, keys, kinds), core.audit, actor)


@asynccontextmanager
async def open_orphan_sweep(settings: Settings, actor: str) -> AsyncIterator[OrphanSweep]:
    """Looks for sealed objects without a key."""
    async with open_core(settings, under_policy=False) as core:
        yield OrphanSweep(core.database, core.vault, core.audit, core.clock, actor)
