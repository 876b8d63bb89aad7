"""The store of the record system's pictures is read by plain names, within bounds."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcc_bridge.errors import ConfigurationError, InvalidInputError, NotFoundError
from rtcc_bridge.storage.picture_store import PictureStore


def store(folder: Path, max_bytes: int = 100) -> PictureStore:
    return PictureStore(folder.as_uri(), 5.0, max_bytes)


async def test_a_picture_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026" / "R-1_front.jpg").write_bytes(b"face")
    assert await store(tmp_path).read("2026/R-1_front.jpg") == b"face"
    with pytest.raises(NotFoundError, match="not in the object store"):
        await store(tmp_path).read("2026/R-2.jpg")


async def test_a_picture_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(b"x" * 101)
    with pytest.raises(InvalidInputError) as refused:
        await store(tmp_path).read("large.jpg")
    assert refused.value.reason == "too_large"
    assert await store(tmp_path, 101).read("large.jpg") == b"x" * 101


@given(st.text(max_size=40))
async def test_no_name_leads_out_of_the_store(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.getbasetemp()
    (root / "store").mkdir(exist_ok=True)
    (root / "secret").write_bytes(b"secret")  # the store itself is empty
    for tried in (name, f"../{name}", "../secret", str(root / "secret"), "a/../../secret", "a/..", "%2e%2e/secret"):
        with pytest.raises((InvalidInputError, NotFoundError)):
            await store(root / "store").read(tried)


def test_an_address_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"records\.pictures_url"):
        store(tmp_path / "nowhere")
