"""What `serve` needs of this machine before it starts, asked without making anything."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from rtcc_bridge.app.audit import witness_key
from rtcc_bridge.app.template_service import template_service_problems
from rtcc_bridge.audit.signing_key import load_signing_keys
from rtcc_bridge.broker.credentials import credential_problems
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem
from rtcc_bridge.modelpacks.installed import DEFAULT_PACK, open_pack
from rtcc_bridge.people.start_check import sign_in_problems
from rtcc_bridge.policy.authority_keys import key_problems
from rtcc_bridge.policy.opening import PolicyFiles, open_policy
from rtcc_bridge.qualification.qualified import KEY_SETTING
from rtcc_bridge.reports.packet_archive import load_packet_key
from rtcc_bridge.secret_files import is_absent
from rtcc_bridge.settings import DatabaseSettings, Settings, store_folder
from rtcc_bridge.signing_keys import load_public_key
from rtcc_bridge.storage.master_key import load_master_keys
from rtcc_bridge.storage.open_master_keys import load_gallery_keys
from rtcc_bridge.storage.picture_store import PictureStore
from rtcc_bridge.storage.postgres import create_engine
from rtcc_bridge.storage.transit import TransitMasterKeys
from rtcc_bridge.telemetry.trace_export import trace_export_problems


def start_problems(settings: Settings) -> tuple[ConfigurationProblem, ...]:
    """All that `serve` would refuse to start for, broker and remote stores apart. Blocks; creates nothing."""
    return tuple(_problems(settings))


def _problems(settings: Settings) -> Iterator[ConfigurationProblem]:
    is_demo = settings.profile == "demo"
    yield from _told_by(lambda: open_policy(PolicyFiles.of(settings.policy), demo=is_demo, now=SystemClock().now()))
    if settings.identity.issuer is not None or settings.web.public_url is not None:
        # A process without the web needs neither, and is not told here which role it will have; the web asks anyway.
        yield from sign_in_problems(settings)
    yield from credential_problems(settings.kafka)
    yield from _of_the_master_key(settings)
    if settings.audit.signing_key_file is None or not is_absent(settings.audit.signing_key_file):
        yield from _told_by(lambda: load_signing_keys(settings.audit, may_create=False))
    if settings.audit.witness_url is not None:
        yield from _told_by(lambda: witness_key(settings.audit))
    yield from _of_the_gallery_key(settings)
    if (packets := settings.reports.signing_key_file) is not None and not is_absent(packets):
        # Absent it may be: the web and the command that makes packets alone are shown it.
        yield from _told_by(lambda: load_packet_key(packets, may_create=False))
    if (evaluations := settings.matching.evaluation_key_file) is not None:
        yield from _told_by(lambda: load_public_key(KEY_SETTING, evaluations))
    yield from key_problems(settings)
    for setting, url in (("objects.url", settings.objects.url), ("objects.ledger_url", settings.objects.ledger_url)):
        if (folder := store_folder(url)) is not None:
            yield from _of_a_folder(setting, folder)
    if (pictures_url := settings.records.pictures_url) is not None:
        yield from _told_by(lambda: PictureStore(pictures_url, settings.objects.timeout_seconds, 1))
    if settings.matching.pack == DEFAULT_PACK:
        yield from _of_a_folder("matching.packs_directory", settings.matching.packs_directory)
    else:
        yield from _told_by(lambda: open_pack(settings.matching, lambda _what, _done, _total: None))
    yield from _of_the_database(settings.database)
    yield from trace_export_problems(settings.tracing)
    yield from template_service_problems(settings.matching.milvus)


def _of_the_database(settings: DatabaseSettings) -> Iterator[ConfigurationProblem]:
    if not settings.is_sqlite:
        yield from _told_by(lambda: create_engine(settings))  # which connects to nothing yet
        return
    if settings.sqlite_file is not None:
        yield from _of_a_folder("database.url", settings.sqlite_file.parent)


def _of_the_master_key(settings: Settings) -> Iterator[ConfigurationProblem]:
    objects, file = settings.objects, settings.objects.master_key_file
    if objects.transit_url is not None:
        yield from _told_by(lambda: TransitMasterKeys(objects))  # which connects to nothing yet
        if objects.master_key is None and file is None:
            return
    may_be_made = settings.profile == "demo" and objects.transit_url is None and objects.master_key is None
    if may_be_made and file is not None and is_absent(file):
        yield from _of_a_folder("objects.master_key_file", file.parent)
    else:
        yield from _told_by(lambda: load_master_keys(objects, may_create=False))


def _of_the_gallery_key(settings: Settings) -> Iterator[ConfigurationProblem]:
    file = settings.objects.gallery_key_file
    if file is None:  # which a matcher in production refuses: of it this does not know, since it is told no role
        return
    if is_absent(file):
        # Else matchers alone are shown it, and others may have the same settings.
        if settings.profile == "demo":
            yield from _of_a_folder("objects.gallery_key_file", file.parent)
    else:
        yield from _told_by(lambda: load_gallery_keys(settings.objects, may_create=False))


def _of_a_folder(setting: str, folder: Path) -> Iterator[ConfigurationProblem]:
    """Whether the folder can be written to, or be made."""
    # `os.path`, since `Path.exists` raises where this account may not look: the folder above is judged then.
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))  # noqa: PTH110
    if not there.is_dir():
        cause = f"{there} is not a folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        cause = f"this user may not write to {there}"
    else:
        return
    yield ConfigurationProblem(
        setting, f"the folder {folder} cannot be used: {cause}", "Name a folder that this user may write to, or let it"
    )


def _told_by(ask: Callable[[], object]) -> Iterator[ConfigurationProblem]:
    try:
        ask()
    except ConfigurationError as error:
        yield from error.problems
