import subprocess
import sys
from pathlib import Path

import pytest

COUNT_THREADS = """
import os
import rtcc_bridge.matching.session, rtcc_bridge.matching.search_index
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_runtime_reports_to_nobody(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-I", "-c", COUNT_THREADS], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "1", "a thread that nobody here started"
    assert list(tmp_path.iterdir()) == [], "an identifier or a queue of reports was stored"


def test_nothing_imports_the_runtime_past_the_switch() -> None:
    package = Path(__file__).parents[3] / "rtcc_bridge"
    importers = [
        file.name
        for file in package.rglob("*.py")
        if any(line.startswith(("import onnxruntime", "from onnxruntime")) for line in file.read_text().splitlines())
    ]
    assert importers == ["runtime.py"]
