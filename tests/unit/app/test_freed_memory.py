"""What a process frees is written over. Looked at from outside, as anybody would who may read its memory."""

import subprocess
import sys

import pytest

from tests.memory_scan import found_in_memory

_WORK = """
import sys
from rtcc_bridge.app.freed_memory import write_over_freed_memory
if sys.argv[1] == "written over":
    assert write_over_freed_memory()
secret = bytes.fromhex(sys.stdin.readline())
pieces = [secret * times for times in (100, 1_000, 10_000) for _ in range(20)]
pieces += [bytearray(piece) for piece in pieces]
del pieces
secret = None
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the memory of a process as Linux shows it")
@pytest.mark.parametrize("how", ["written over", "as it is"])
def test_pictures_do_not_stay_in_memory_that_was_freed(how: str) -> None:
    secret = bytes(range(33, 97))
    needle = {"the secret": secret + secret}
    command = [sys.executable, "-c", _WORK, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{secret.hex()}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        found = found_in_memory(needle, process.pid)
        process.communicate("\n")
    assert bool(found) == (how == "as it is")
