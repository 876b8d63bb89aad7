"""Who of the user's people can be searched for."""

import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from rtcc_bridge.app.foundation import Core, open_core
from rtcc_bridge.commands.console import ProgressBar
from rtcc_bridge.demo.cast import SplitSource, enroll_faces
from rtcc_bridge.demo.pictures import FacesSplit, Person, encode_png, portrait, rephotograph
from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.settings import DatabaseSettings, ObjectSettings, PolicySettings, Settings
from tests.probe_kit import POLICY_FILE

GALLERY = "demo"
STRANGER = Person("stranger", (), Path("stranger/0.png"))
BAR = ProgressBar(Console(quiet=True))


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(f"sqlite+aiosqlite:///{tmp_path / 'rtcc-bridge.sqlite3'}")),
        objects=ObjectSettings(url=(tmp_path / "objects").as_uri(), master_key_file=tmp_path / "master.key"),
        policy=PolicySettings(file=POLICY_FILE),
    )
    async with open_core(settings) as opened:
        yield opened


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return tmp_path / "faces"


def person(faces: Path, name: str, enrolled: bytes) -> Person:
    """Somebody with a picture to enrol and one to search with."""
    folder = faces / name
    folder.mkdir(parents=True)
    (folder / "0.png").write_bytes(enrolled)
    (folder / "1.jpg").write_bytes(rephotograph(portrait()))
    return Person(name, (folder / "0.png",), folder / "1.jpg")


async def test_nobody_is_searched_for_whose_pictures_were_not_enrolled(
    core: Core, faces: Path, default_pack: ModelPack
) -> None:
    """The folder of the other one is named as some file systems compose letters."""
    broken = person(faces, "broken", b"no picture")
    found = person(
        faces, unicodedata.normalize("NFD", "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}"), encode_png(portrait())
    )
    split = FacesSplit((broken, found), (broken, found), (STRANGER,))
    receipt, left = await enroll_faces(core, default_pack, GALLERY, faces, split, BAR)
    assert (receipt.enrolled, receipt.set_aside) == (1, {Reason.UNREADABLE: 1})
    (searched,) = left.mated
    assert searched.probe == found.probe
    assert searched.reference == "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}"
    assert left.nonmated == split.nonmated


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("2019-05-30-front.jpg", "2019-05-30"),
        ("2019-05-30.png", "2019-05-30"),
        ("2019-02-30.png", ""),
        ("2999-01-01.png", ""),
        ("0001.png", ""),
        ("front.jpg", ""),
    ],
)
def test_the_name_of_a_picture_may_say_when_it_was_taken(tmp_path: Path, name: str, day: str) -> None:
    somebody = Person("somebody", (tmp_path / "somebody" / name,), tmp_path / "probe.jpg")
    [row] = SplitSource(tmp_path, FacesSplit((somebody,), (), ())).rows()
    assert row.taken_on == day


async def test_it_is_told_when_nobody_can_be_searched_for(core: Core, faces: Path, default_pack: ModelPack) -> None:
    broken = person(faces, "broken", b"no picture")
    with pytest.raises(ConfigurationError, match="nobody who was enrolled has another picture"):
        await enroll_faces(core, default_pack, GALLERY, faces, FacesSplit((broken,), (broken,), (STRANGER,)), BAR)
