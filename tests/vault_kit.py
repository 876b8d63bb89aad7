"""What tests of sealed objects have in common."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from rtcc_bridge.settings import ObjectSettings
from rtcc_bridge.storage.master_keys import LocalMasterKeys, MasterKeys
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.removals_ledger import PREFIX
from rtcc_bridge.storage.store_marker import MARKER
from tests.doubles import ManualClock


def master_keys(*fills: bytes) -> LocalMasterKeys:
    """Master keys of an environment, the one that wraps first."""
    secret = SecretStr(" ".join(base64.b64encode(fill * 32).decode() for fill in fills or (b"k",)))
    return LocalMasterKeys.load(ObjectSettings(master_key=secret), may_create=False)


@asynccontextmanager
async def open_vault(folder: Path, clock: ManualClock, keys: MasterKeys | None = None) -> AsyncIterator[ObjectVault]:
    async with ObjectVault(ObjectSettings(url=f"file://{folder}"), keys or master_keys(), clock) as vault:
        yield vault


def stored_files(folder: Path) -> list[Path]:
    """Every file in the object folder, the staged ones too, but for the mark of a store and the removals ledger."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    return sorted(path for path in files if PREFIX not in path.parts)
