"""Wires the audit log: its sequencer and the courier of its checkpoints in the role relay, and what commands read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from rtcc_bridge.app.assembly import Assembly
from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.audit.courier import CheckpointCourier
from rtcc_bridge.audit.export import AuditExport
from rtcc_bridge.audit.journal import AuditJournal
from rtcc_bridge.audit.journal_merge import JournalMerge
from rtcc_bridge.audit.note import COSIGNATURE, VerifierKey
from rtcc_bridge.audit.places import FilePlace, Place, StorePlace
from rtcc_bridge.audit.proofs import LogState, ProofReader, read_state
from rtcc_bridge.audit.sequencer import Sequencer
from rtcc_bridge.audit.signing_key import load_signing_keys
from rtcc_bridge.audit.witness import WitnessPlace
from rtcc_bridge.audit_settings import AuditSettings
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, InvalidInputError
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage.store_opening import open_store


async def add_audit(assembly: Assembly) -> None:
    """Raises ConfigurationError, UnavailableError."""
    core = assembly.core
    assembly.add_part("audit sequencer", (await sequencer_for(core)).run)
    courier = CheckpointCourier(core.database, await _places(core), core.metrics, core.clock)
    assembly.add_part("checkpoint courier", courier.run)


def add_journal_merge(assembly: Assembly) -> None:
    """In every process, since each acts and notes."""
    core = assembly.core
    journal = AuditJournal(core.settings.audit.journal_folder)
    merge = JournalMerge(core.database, core.audit, journal, core.metrics)
    assembly.add_part("audit journal", merge.run)


async def sequencer_for(core: Core) -> Sequencer:
    """Raises ConfigurationError when the signing key cannot be used."""
    settings = core.settings
    may_create = settings.profile == "demo"
    keys = await asyncio.to_thread(partial(load_signing_keys, settings.audit, may_create=may_create))
    return Sequencer(
        core.database,
        core.audit,
        core.outbox,
        keys,
        settings.audit,
        settings.kafka.topics.audit_checkpoints,
        core.metrics,
        core.clock,
    )


@asynccontextmanager
async def open_proofs(settings: Settings) -> AsyncIterator[ProofReader]:
    """Raises as `open_core` does."""
    async with open_core(settings) as core:
        yield ProofReader(core.database)


@asynccontextmanager
async def open_log_state(settings: Settings) -> AsyncIterator[LogState]:
    """Raises NotFoundError when nothing was signed yet, and as `open_core` does."""
    async with open_core(settings) as core:
        yield await read_state(core.database)


@asynccontextmanager
async def open_audit_export(settings: Settings) -> AsyncIterator[AuditExport]:
    """Raises as `open_core` does."""
    async with open_core(settings) as core:
        yield AuditExport(core.database, core.audit)


async def _places(core: Core) -> list[Place]:
    settings = core.settings.audit
    places: list[Place] = []
    if settings.checkpoint_file is not None:
        places.append(FilePlace(settings.checkpoint_file))
    if (url := settings.outside_url) is not None:
        store = await asyncio.to_thread(open_store, url, "audit.outside_url", settings.timeout_seconds)
        places.append(StorePlace(store, settings.timeout_seconds))
    if settings.witness_url is not None:
        key = witness_key(settings)
        places.append(WitnessPlace(settings.witness_url, key, ProofReader(core.database), settings.timeout_seconds))
    return places


def witness_key(settings: AuditSettings) -> VerifierKey:
    """Whose signatures acknowledge checkpoints. Raises ConfigurationError."""
    text = settings.witness_key
    try:
        key = None if text is None else VerifierKey.read(text)
    except InvalidInputError as error:
        raise _problem(str(error)) from error
    if key is None or key.kind != COSIGNATURE:
        raise _problem("is not the key of a witness, and only a signature that is checked acknowledges anything")
    return key


def _problem(cause: str) -> ConfigurationError:
    remedy = "Set it to the verifier key that the witness publishes (name+id+key), beside audit.witness_url"
    return ConfigurationError(ConfigurationProblem("audit.witness_key", cause, remedy))
