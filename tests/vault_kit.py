"""What tests of sealed objects have in common."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.master_key import MasterKey, load_master_key
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.store_marker import MARKER
from tests.doubles import ManualClock


def master_key(fill: bytes = b"k") -> MasterKey:
    secret = SecretStr(base64.b64encode(fill * 32).decode())
    return load_master_key(ObjectSettings(master_key=secret), may_create=False)


@asynccontextmanager
async def open_vault(folder: Path, clock: ManualClock, key: MasterKey | None = None) -> AsyncIterator[ObjectVault]:
    async with ObjectVault(ObjectSettings(url=f"file://{folder}"), key or master_key(), clock) as vault:
        yield vault


def stored_files(folder: Path) -> list[Path]:
    """Every file in the object folder, the staged ones too, but for the mark of a store."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
