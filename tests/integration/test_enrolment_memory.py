"""Enrolment takes no more memory for a hundred thousand templates than for twenty thousand."""

import os
import subprocess
import sys
from pathlib import Path

TEMPLATES = 100_000
FIRST = 20_000
MOST_GROWTH_BYTES = 16_000_000
"""Rows kept for each of the further eighty thousand, at the 300 bytes that one takes, would be 24 MB."""

_ENROLL = f"""
import asyncio, gc, sys
from datetime import UTC, datetime
from pathlib import Path
import numpy as np
from pydantic import SecretStr
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import DatabaseSettings
from rtcc_bridge.storage import schema
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.gallery_kit import ADMINISTRATOR, PACK, open_kit

def given():
    generator = np.random.default_rng(1)
    for start in range(0, {TEMPLATES}, 5000):
        rows = generator.standard_normal((5000, PACK.template_length)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        yield rows, [f"person-{{number % 1000}}" for number in range(start, start + 5000)]

def anonymous_bytes():
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("RssAnon")).split()[1])

def tell(progress):
    if progress.done in ({FIRST}, {TEMPLATES}):
        print(progress.enrolled, anonymous_bytes())

async def main():
    folder = Path(sys.argv[1])
    database = Database(DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{{folder}}/gallery.sqlite3")))
    await schema.upgrade(database)
    async with open_kit(database, folder / "objects", ManualClock(), Metrics()) as kit:
        words = {{"provenance": "drawn at random", "lawful_basis": "test", "account": ADMINISTRATOR}}
        await kit.enroller().enroll_templates(
            "city", GalleryKind.DEMO, given(), total={TEMPLATES}, retain_until=datetime(2099, 1, 1, tzinfo=UTC),
            on_progress=tell, **words,
        )
    await database.close()

asyncio.run(main())
"""


def test_memory_stays_flat(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _ENROLL, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    first, last = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    assert (first[0], last[0]) == (FIRST, TEMPLATES)
    assert last[1] - first[1] < MOST_GROWTH_BYTES
