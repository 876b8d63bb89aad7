"""What `check-config --reach` asks of those outside: identity provider, who keeps checkpoints, the record system."""

from pathlib import Path
from typing import Any

import pytest

from rtcc_bridge.app.reachability import Reached, reach
from rtcc_bridge.settings import load_settings
from tests.node_provider import node_provider
from tests.ports import free_port
from tests.witness_server import running_witness

pytestmark = pytest.mark.once

NOBODY = f"http://127.0.0.1:{free_port()}"


async def asked(tmp_path: Path, **sections: Any) -> dict[str, Reached]:
    """What each answered. The broker is nobody's concern here: it is away."""
    settings = load_settings(
        kafka={"bootstrap_servers": ["127.0.0.1:1"], "request_timeout_seconds": 1, "session_timeout_seconds": 1},
        database={"url": f"sqlite+aiosqlite:///{tmp_path}/none.sqlite3"},
        objects={"url": (tmp_path / "objects").as_uri(), "master_key_file": str(tmp_path / "none.key")},
        **sections,
    )
    return {one.dependency: one async for one in reach(settings)}


async def test_nobody_is_asked_whom_the_settings_do_not_name(tmp_path: Path) -> None:
    assert set(await asked(tmp_path)) == {"broker", "topics", "database", "master keys", "objects"}


async def test_an_identity_provider_is_asked_for_its_keys(tmp_path: Path, provider_nursery: str) -> None:
    async with node_provider(provider_nursery, "http://127.0.0.1:1/logout") as provider:
        found = (await asked(tmp_path, identity=provider.identity()))["identity provider"]
        assert (found.problem, found.detail.startswith("answers, ")) == (None, True)
        other = provider.identity(issuer=f"{provider.issuer}/")
        found = (await asked(tmp_path, identity=other))["identity provider"]
        assert found.problem is not None
        assert "names another issuer than identity.issuer" in found.problem
        away = (await asked(tmp_path, identity=provider.identity(issuer=NOBODY)))["identity provider"]
    assert away.problem is not None
    assert "cannot be reached" in away.problem


async def test_a_witness_is_asked_and_signs_nothing(tmp_path: Path) -> None:
    async with running_witness() as witness:
        audit = {"witness_url": witness.url, "witness_key": str(witness.key)}
        found = (await asked(tmp_path, audit=audit))["witness"]
        assert (found.detail, found.problem) == (f"{witness.key.name} answers", None)
        assert witness.signed is None
        elsewhere = (await asked(tmp_path, audit={**audit, "witness_url": f"{witness.url}/typo"}))["witness"]
        away = (await asked(tmp_path, audit={**audit, "witness_url": NOBODY}))["witness"]
    assert elsewhere.problem is not None
    assert "answered 404, as no witness does: check audit.witness_url" in elsewhere.problem
    assert away.problem is not None
    assert "does not answer" in away.problem


async def test_the_store_outside_is_read_and_nothing_is_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city = tmp_path / "city"
    audit = {"outside_url": city.as_uri()}
    assert (await asked(tmp_path, audit=audit))["checkpoint store"].detail == "not made yet: `serve` makes it"
    assert not city.exists()
    city.mkdir()
    (city / "rtcc-audit").mkdir()
    assert (await asked(tmp_path, audit=audit))["checkpoint store"].problem is None
    assert [entry.name for entry in city.iterdir()] == ["rtcc-audit"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-the-test")
    away = await asked(tmp_path, audit={"outside_url": "s3://city/rtcc-audit", "timeout_seconds": 2})
    assert away["checkpoint store"].problem is not None


async def test_the_store_of_bookings_pictures_is_read(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    records = {"pictures_url": pictures.as_uri()}
    assert (await asked(tmp_path, records=records))["pictures of bookings"].detail == "can be read"
    pictures.rmdir()
    gone = (await asked(tmp_path, records=records))["pictures of bookings"]
    assert gone.problem is not None
