"""What was freed between blocks in use goes back to the system."""

from pathlib import Path

import pytest

from rtcc_bridge.app import unused_memory


def _resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.skipif(not unused_memory.can_be_returned(), reason="the C library has no malloc_trim")
def test_freed_memory_between_blocks_in_use_is_given_back() -> None:
    blocks = [bytearray(b"x") * 8_000 for _ in range(10_000)]
    kept = blocks[::50]
    del blocks
    before = _resident_pages()
    unused_memory.return_unused_memory()
    assert _resident_pages() < before - 10_000, "about 19,000 pages of 4 kB lie free between the kept ones"
    assert all(block[0] == ord("x") for block in kept)
