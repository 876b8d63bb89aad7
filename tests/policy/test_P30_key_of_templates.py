"""P30: the gallery at rest is sealed, and its key is released to the role matcher alone."""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import chain, combinations
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from rtcc_bridge.app.foundation import open_core
from rtcc_bridge.app.matcher import warn_of_earlier_wrapping
from rtcc_bridge.app.process import serve
from rtcc_bridge.app.roles import Role, opens_templates
from rtcc_bridge.app.template_keys import load_template_keys, require_gallery_key, require_other_key
from rtcc_bridge.broker.grants import grants
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.errors import ConfigurationError, UnavailableError
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.retention import RetentionKeeper
from rtcc_bridge.gallery.segment_watch import SegmentWatch
from rtcc_bridge.gallery.segments import OBJECT_KIND
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.retention.clock_watch import ClockWatch
from rtcc_bridge.settings import DatabaseSettings, ObjectSettings, Settings
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.key_rotation import KeyRotation
from rtcc_bridge.storage.master_keys import EarlierKeys, MasterKeys, Withheld, WrappedKey
from rtcc_bridge.storage.object_keys import Kinds
from rtcc_bridge.storage.objects import ObjectVault
from tests.doubles import ManualClock
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit
from tests.policy_kit import SignedPolicy
from tests.records_kit import KAFKA, RecordSystem, booking_desk, handled, people, records_handler, removal
from tests.vault_kit import master_keys, stored_files

WITHHELD = Withheld("not here")


@pytest.fixture
def production(tmp_path: Path) -> Settings:
    """The settings that all processes of an installation share, with the key of templates."""
    policy = SignedPolicy.make(tmp_path / "policy", SystemClock())
    policy.sign()
    settings = policy.settings(tmp_path, profile="production")
    for name in ("master.key", "gallery.key"):
        (tmp_path / name).write_text(base64.b64encode(os.urandom(32)).decode())
        (tmp_path / name).chmod(0o600)
    objects = settings.objects.model_copy(update={"gallery_key_file": tmp_path / "gallery.key"})
    return settings.model_copy(update={"objects": objects})


@asynccontextmanager
async def gallery_of(
    database: Database, folder: Path, clock: ManualClock, metrics: Metrics, gallery_keys: MasterKeys | Withheld
) -> AsyncIterator[GalleryKit]:
    settings = ObjectSettings(url=f"file://{folder}")
    async with ObjectVault(settings, master_keys(b"k"), clock, gallery_keys) as vault:
        yield GalleryKit(database, vault, folder, clock, metrics)


@pytest.fixture
async def matcher(
    database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics
) -> AsyncIterator[GalleryKit]:
    """The galleries as a process with the role matcher has them."""
    async with gallery_of(database, tmp_path / "objects", clock, metrics, master_keys(b"g")) as kit:
        yield kit


@pytest.fixture
async def other(database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics) -> AsyncIterator[GalleryKit]:
    """As any other process has them: the same database, store and master key of all objects."""
    async with gallery_of(database, tmp_path / "objects", clock, metrics, WITHHELD) as kit:
        yield kit


async def test_with_the_same_settings_other_roles_neither_read_the_key_nor_open_a_template(
    production: Settings,
) -> None:
    key = production.objects.gallery_key_file
    assert key is not None
    async with open_core(production) as core:
        segment = await core.vault.seal(OBJECT_KIND, b"templates")
        assert await core.vault.unseal(segment.object_key, segment) == b"templates"
    key.unlink()
    for role in (Role.WEB, Role.CONSUMER, Role.RELAY):
        async with open_core(production, opens_templates=opens_templates({role})) as core:
            with pytest.raises(UnavailableError, match="only the role matcher"):
                await core.vault.unseal(segment.object_key, segment)
            with pytest.raises(UnavailableError, match="only the role matcher"):
                await core.vault.seal(OBJECT_KIND, b"templates")
            with pytest.raises(UnavailableError):  # nor would another program, with all that this one was given
                await core.master_keys.unwrap(WrappedKey(segment.wrapped_key, segment.master_key_id))
            picture = await core.vault.seal("gallery-picture", b"picture")
            assert await core.vault.unseal(picture.object_key, picture) == b"picture"
    assert not key.exists()
    with pytest.raises(ConfigurationError, match=r"objects\.gallery_key_file"):
        async with open_core(production, opens_templates=opens_templates({Role.MATCHER})):
            pass


async def test_a_matcher_says_while_templates_from_before_are_under_the_key_that_every_role_has(
    production: Settings,
) -> None:
    objects = production.objects.model_copy(update={"gallery_key_file": None})
    async with open_core(production.model_copy(update={"objects": objects})) as before:
        segment = await before.vault.seal(OBJECT_KIND, b"templates")
        async with before.database.write() as tx:
            await before.vault.record(tx, segment)
    async with open_core(production) as core:
        assert await core.vault.unseal(segment.object_key, segment) == b"templates"
        with capture_logs() as logged:
            await warn_of_earlier_wrapping(core)
        assert [(entry["segments"], entry["remedy"]) for entry in logged] == [
            (1, "rtcc-bridge keys rotate --gallery --no-new-key")
        ]
        assert core.gallery_keys is not None
        keys = EarlierKeys(core.gallery_keys, core.master_keys)
        await KeyRotation(core.database, keys, Kinds.GALLERY).rewrap_all()
        with capture_logs() as logged:
            await warn_of_earlier_wrapping(core)
        assert not logged


def test_a_process_without_the_role_matcher_is_not_one_that_opens_templates() -> None:
    for roles in chain.from_iterable(combinations(Role, count) for count in range(1, len(Role) + 1)):
        assert opens_templates(roles) == (Role.MATCHER in roles)


async def test_a_matcher_in_production_does_not_start_without_a_key_of_their_own(production: Settings) -> None:
    """But on SQLite, where one process has all roles and there is nobody to keep it from."""
    postgres = DatabaseSettings(url=SecretStr("postgresql+asyncpg://rtcc@127.0.0.1:1/rtcc"))
    objects = production.objects.model_copy(update={"gallery_key_file": None})
    several = production.model_copy(update={"database": postgres})
    keyless = several.model_copy(update={"objects": objects})
    with pytest.raises(ConfigurationError) as refusal:
        await serve(keyless, {Role.MATCHER}, lambda _what, _done, _all: None)
    (problem,) = refusal.value.problems
    assert problem.path == "objects.gallery_key_file"
    assert "keys rotate --gallery --no-new-key" in problem.remedy
    told = load_template_keys(keyless, opens_templates=True, may_create=False)
    assert isinstance(told, Withheld), "a command gets on as far as it touches no template"
    assert "objects.gallery_key_file is not set" in told.why
    with pytest.raises(ConfigurationError, match="the master key of all objects"):
        await require_other_key(several, master_keys(b"k"), master_keys(b"n", b"k"))
    await require_other_key(several, master_keys(b"g"), master_keys(b"n", b"k"))
    for settings in (several, production, keyless.model_copy(update={"profile": "demo"})):
        require_gallery_key(settings)
    require_gallery_key(production.model_copy(update={"objects": objects}))


async def test_what_a_relay_removes_at_its_date_goes_from_the_segments_by_a_matcher(
    matcher: GalleryKit, other: GalleryKit, tmp_path: Path
) -> None:
    (tmp_path / "people/ann").mkdir(parents=True)
    (tmp_path / "people/ann/1").write_text("ann-1")
    source = FolderSource(tmp_path / "people", **SOURCE_WORDS)
    await matcher.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    (segment,) = (file for file in stored_files(matcher.folder) if file.parent.name == OBJECT_KIND)
    content = segment.read_bytes()
    matcher.clock.advance(timedelta(days=365 * 40).total_seconds())
    watch = ClockWatch(other.clock, "gallery", None, waits_after_silence=False, monotonic=lambda: 0.0)
    relay = RetentionKeeper(other.parts(), other.withdrawals, None, other.metrics, watch)
    assert await relay.remove_all() == 1
    assert await people(matcher) == {}
    assert segment.read_bytes() == content
    with pytest.raises(UnavailableError, match="not here"):
        await other.scrubber().scrub_all()
    watching = SegmentWatch(other.database, other.metrics)
    await watching.look()
    waiting = other.metrics.registry.get_sample_value
    assert waiting("rtcc_bridge_segments_to_scrub") == 1
    assert await matcher.scrubber().scrub_all() == 1
    assert not segment.exists()
    await watching.look()
    assert waiting("rtcc_bridge_segments_to_scrub") == 0


async def test_bookings_and_orders_are_taken_by_matchers_and_nobody_else_can_enrol(
    matcher: GalleryKit, other: GalleryKit, tmp_path: Path
) -> None:
    readers = {
        one.party for one in grants(KAFKA) if one.name == KAFKA.topics.gallery_records and "Read" in one.operations
    }
    assert readers == {Role.MATCHER, "operator"}
    (tmp_path / "store").mkdir()
    records = RecordSystem(tmp_path / "store")
    booked = records.booked("ann", "ann-1")
    with pytest.raises(UnavailableError, match="not here"):
        await handled(records_handler(other, booking_desk(other, records.store), KAFKA), booked)
    assert await people(matcher) == {}
    handler = records_handler(matcher, booking_desk(matcher, records.store), KAFKA)
    assert await handled(handler, booked) == [None]
    assert await people(matcher) == {"ann": 1}
    assert await handled(handler, removal("ann")) == [None]
    assert await people(matcher) == {}
