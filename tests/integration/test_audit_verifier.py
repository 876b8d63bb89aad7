"""An independent verifier in Go agrees with what the program signs, exports and proves, and on what is spoiled."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rtcc_bridge.audit import export_files
from rtcc_bridge.audit.receipts import Receipt
from rtcc_bridge.audit.tiles import appended, range_hash
from rtcc_bridge.audit.tree import (
    Leaves,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    root_from_inclusion,
    roots_from_consistency,
)
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage.engine import Database
from tests.audit_kit import AuditKit, lines_of, rehash, write_lines
from tests.doubles import ManualClock
from tests.tools import program

MODULE = Path(__file__).resolve().parents[1] / "audit_verifier"


@pytest.fixture(scope="session")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from its module, whose dependencies go.sum pins."""
    program("go", "golang-go")
    binary = tmp_path_factory.mktemp("verifier") / "audit-verifier"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false -trimpath"}
    subprocess.run(["go", "build", "-o", str(binary), "."], cwd=MODULE, env=environment, check=True)
    return binary


@pytest.fixture
async def kit(database: Database, clock: ManualClock, metrics: Metrics) -> AuditKit:
    built = AuditKit(database, clock, metrics)
    for count in (7, 260, 1, 40):
        await built.act(count, subject=f"lead-{count}")
        await built.sign()
    return built


def run(verifier: Path, key: object, folder: Path, *receipts: Path) -> subprocess.CompletedProcess[str]:
    command = [str(verifier), str(key), str(folder), *map(str, receipts)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def written(receipt: Receipt, file: Path) -> Path:
    file.write_text(json.dumps(receipt.as_json(), ensure_ascii=False), encoding="utf-8")
    return file


async def test_it_agrees_on_a_good_export_and_its_receipts(verifier: Path, kit: AuditKit, tmp_path: Path) -> None:
    older = await kit.proofs.newest()
    await kit.act(33, subject="lead-1")
    await kit.sign()
    folder = await kit.export(tmp_path / "export")
    receipts = [
        written(await kit.proofs.of_subject("lead-1"), tmp_path / "lead.json"),
        written(await kit.proofs.of_subject("lead-7"), tmp_path / "first.json"),
        written(await kit.proofs.since(older), tmp_path / "since.json"),
    ]
    done = run(verifier, await kit.key(), folder, *receipts)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "verified 342 entries, 5 checkpoints, 3 receipts\n"


SPOILED: dict[str, Callable[[Path], None]] = {
    "another entry": lambda folder: _entries(folder, lambda lines: [*lines[:99], lines[99][:-1] + " }", *lines[100:]]),
    "one less": lambda folder: _entries(folder, lambda lines: lines[:99] + lines[100:]),
    "one more": lambda folder: _entries(folder, lambda lines: [*lines[:99], "{}", *lines[99:]]),
    "another order": lambda folder: _entries(folder, lambda lines: [*lines[:99], lines[100], lines[99], *lines[101:]]),
    "cut off": lambda folder: _entries(folder, lambda lines: lines[:99]),
}


def _entries(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    write_lines(folder, export_files.ENTRIES, change(lines_of(folder, export_files.ENTRIES)))
    rehash(folder)


@pytest.mark.parametrize("how", SPOILED)
async def test_it_refuses_what_is_spoiled(verifier: Path, kit: AuditKit, tmp_path: Path, how: str) -> None:
    folder = await kit.export(tmp_path / "export")
    SPOILED[how](folder)
    assert run(verifier, await kit.key(), folder).returncode == 1


async def test_it_refuses_another_key(verifier: Path, kit: AuditKit, tmp_path: Path) -> None:
    folder = await kit.export(tmp_path / "export")
    kit.seeds = (b"\x09" * 32,)
    await kit.act()
    await kit.sign()
    done = run(verifier, await kit.key(), folder)
    assert (done.returncode, done.stdout) == (1, "")


async def test_it_refuses_a_receipt_that_was_changed(verifier: Path, kit: AuditKit, tmp_path: Path) -> None:
    folder = await kit.export(tmp_path / "export")
    receipt = (await kit.proofs.of_subject("lead-7")).as_json()
    receipt["entries"][0]["position"] += 1
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(receipt), encoding="utf-8")
    assert "receipt.json" in run(verifier, await kit.key(), folder, file).stderr


def test_the_proofs_of_its_library_s_reference_tree_are_ours(verifier: Path) -> None:
    done = subprocess.run([str(verifier), "vectors"], capture_output=True, text=True, check=True)
    vectors = json.loads(done.stdout)
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in vectors["leaves"]]
    tiles = appended(0, {}, leaves)
    roots = [range_hash(tiles, Leaves(0, size)) for size in range(1, len(leaves) + 1)]
    assert [root.hex() for root in roots] == vectors["roots"]
    assert len(vectors["inclusion"]) == len(vectors["consistency"]) + len(leaves) == 70 * 71 // 2
    for one in vectors["inclusion"]:
        proof = [range_hash(tiles, part) for part in inclusion_ranges(one["older"], one["newer"])]
        assert [hash_.hex() for hash_ in proof] == one["proof"]
        assert root_from_inclusion(leaves[one["older"]], one["older"], one["newer"], proof) == roots[one["newer"] - 1]
    for one in vectors["consistency"]:
        proof = [range_hash(tiles, part) for part in consistency_ranges(one["older"], one["newer"])]
        assert [hash_.hex() for hash_ in proof] == one["proof"]
        older, newer = roots[one["older"] - 1], roots[one["newer"] - 1]
        assert roots_from_consistency(one["older"], older, one["newer"], proof) == (older, newer)
