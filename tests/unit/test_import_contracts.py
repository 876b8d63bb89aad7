"""The import contracts speak of every module that there is, so that a new one is not left out in silence."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS: dict[str, dict[str, Any]] = {
    contract["name"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
MODULES = {
    entry.stem
    for entry in (ROOT / "rtcc_bridge").iterdir()
    if (entry.suffix == ".py" and entry.stem != "__init__") or (entry / "__init__.py").is_file()
}


def test_only_storage_may_write_sql() -> None:
    contract = CONTRACTS["only storage writes SQL"]
    sources = {source.removeprefix("rtcc_bridge.") for source in contract["source_modules"]}
    assert sources == {"*"} or sources == MODULES - {"storage"}
    assert {excepted.split(" -> ")[0] for excepted in contract.get("ignore_imports", ())} <= {"rtcc_bridge.storage.**"}
    assert {"sqlalchemy", "alembic", "aiosqlite", "asyncpg"} <= set(contract["forbidden_modules"])


def test_every_module_stands_on_a_layer() -> None:
    (contract,) = (one for one in CONTRACTS.values() if one["type"] == "layers")
    placed = {name.strip("() \n") for layer in contract["layers"] for name in layer.split(":")}
    assert placed == MODULES


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())
def test_a_contract_names_only_modules_that_exist(contract: dict[str, Any]) -> None:
    named = {*contract.get("source_modules", ()), *contract.get("forbidden_modules", ())}
    own = {name.removeprefix("rtcc_bridge.") for name in named if name.startswith("rtcc_bridge.")}
    assert {name for name in own - {"*"} if not _exists(name)} == set()


def _exists(name: str) -> bool:
    place = ROOT / "rtcc_bridge" / name.replace(".", "/")
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()
